"""A light reader of C++: comments and literals blanked out, functions found by their braces."""

import re

# Keywords that open a brace which is no function body.
CONTAINER = re.compile(r"\b(?:namespace|class|struct|union|enum|extern)\b")
CONTROL = re.compile(r"^\s*(?:if|for|while|switch|do|else|try|catch)\b")
TOKENS = re.compile(
    r'R"(?P<delimiter>[^\s()\\]{0,16})\((?:.|\n)*?\)(?P=delimiter)"'  # raw string
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'"
    r"|//[^\n]*"
    r"|/\*(?:.|\n)*?\*/")


def blank(match):
    """The same number of lines and characters, nothing in them."""
    text = match.group(0)
    keep = '"' if text[0] in '"R' else " "
    return "".join(c if c == "\n" else " " for c in text[:-1]) + keep


def without_comments(text):
    return TOKENS.sub(lambda match: blank(match) if match.group(0)[0] == "/" else match.group(0), text)


def code_only(text):
    """The text with comments, strings and preprocessor lines blanked; offsets and line numbers stay."""
    text = TOKENS.sub(blank, text)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.MULTILINE)


def matching_brace(code, start):
    depth = 0
    for position in range(start, len(code)):
        if code[position] == "{":
            depth += 1
        elif code[position] == "}":
            depth -= 1
            if depth == 0:
                return position
    return len(code)


def functions(text):
    """Yields (name, first line, number of lines) of every function body; lambdas belong to their function."""
    code = code_only(text)
    position = header_start = 0
    while position < len(code):
        character = code[position]
        if character in ";}":
            header_start = position + 1
        elif character == "{":
            header = code[header_start:position]
            end = matching_brace(code, position)
            if is_member_initializer(header, code[end + 1:end + 40]):
                position = end + 1
                continue
            if is_function(header):
                lead = len(header) - len(header.lstrip())
                first = code.count("\n", 0, header_start + lead) + 1
                yield name_of(header), first, code.count("\n", 0, end) + 2 - first
                position = end
            elif header.rstrip().endswith(("=", ",", "(")) or re.search(r"\w\s*$", header) and not CONTAINER.search(header):
                # An initializer: nothing in it declares a function.
                position = end
            header_start = position + 1
        position += 1


def is_member_initializer(header, following):
    """`Name(...) : member_{...}, other_{...} {`: the braces of a member come before a comma or the body."""
    return bool(re.search(r"\)[^;]*[^:]:[^:][^;]*[\w>]\s*$", header)) and following.lstrip()[:1] in (",", "{")


def is_function(header):
    if CONTROL.match(header) or header.rstrip().endswith("="):
        return False
    stripped = re.sub(r"\btemplate\s*<[^{}]*?>\s*(?=\w|\[)", "", header)
    stripped = re.sub(r"\b(?:alignas|__attribute__|RC_\w+)\s*\(+[^()]*\)+", "", stripped)
    if re.match(r"\s*(?:\w+\s+)*(?:namespace|class|struct|union|enum)\b(?![^{]*\))", stripped):
        return False
    # TEST_SUITE holds functions, it is none.
    return ")" in stripped and not re.match(r"\s*TEST_SUITE\b", stripped)


def name_of(header):
    match = re.search(r"([~\w:]+(?:\s*operator\s*\S+)?)\s*\(", header)
    return match.group(1) if match else header.strip()[:40]


def includes(text):
    """Yields (line number, the name between the brackets or quotes, whether it was quoted)."""
    for number, line in enumerate(without_comments(text).splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(2), match.group(1) == '"'
