"""The house rules as a test: `house_rules_test.py --root ROOT --compiler 'g++'` prints TAP, one test a rule.

Every rule is also shown a tree that breaks it (see canaries.py); a rule that does not notice fails.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

import canaries
import rules
import scanner

STANDARD_HEADER = re.compile(r"^[a-z_0-9]+$")  # <vector>; <sys/mman.h> is none
SOURCE_DIRECTORIES = ("src", "include", "tests", "bench")
# Lengths bind the product and what tests and benches are built from; a test file may tell its story.
MEASURED_DIRECTORIES = ("src", "include", "tests/support", "bench")
TEXT_SUFFIXES = {".cc", ".h", ".py", ".md", ".txt", ".build", ".toml", ".service", ".wrap", ".yml", ".sh", ".1", ""}


class Tree:
    """The files of one source tree, read once."""

    def __init__(self, root, compiler):
        self.root = pathlib.Path(root)
        self.compiler = compiler
        self.texts = {}
        for path in self._paths():
            try:
                self.texts[str(path.relative_to(self.root))] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # a fuzz corpus holds bytes

    def _paths(self):
        skipped = {"build", ".git", "packagecache", "__pycache__", "corpus"}
        for directory, names, files in os.walk(self.root):
            names[:] = sorted(set(names) - skipped)
            if pathlib.Path(directory) == self.root / "subprojects":
                names[:] = ["packagefiles"] if "packagefiles" in names else []
            for name in sorted(files):
                path = pathlib.Path(directory) / name
                if path.suffix in TEXT_SUFFIXES and path.stat().st_size < 1 << 20:
                    yield path

    def sources(self, directories=SOURCE_DIRECTORIES):
        for name, text in self.texts.items():
            if name.endswith((".cc", ".h")) and name.startswith(tuple(f"{directory}/" for directory in directories)):
                yield name, text

    def headers(self):
        return [name for name, _ in self.sources(("src", "include")) if name.endswith(".h")]


def module_of(name):
    parts = name.split("/")
    if parts[0] == "include":
        return "public"
    return "main" if len(parts) == 2 else parts[1]


def included_module(included):
    """The module an include line names, or None for a header from outside."""
    first = included.split("/")[0]
    if first == "ringcached":
        return "public"
    return first if first in rules.INCLUDE_TABLE and "/" in included else None


def check_include_directions(tree):
    for name, text in tree.sources(("src", "include")):
        module = module_of(name)
        for line, included, quoted in scanner.includes(text):
            target = included_module(included)
            if target is None and not quoted:
                continue
            if module not in rules.INCLUDE_TABLE:
                yield f"{name}:{line}: module {module} is not in the include table"
            elif target not in rules.INCLUDE_TABLE[module]:
                yield f"{name}:{line}: {module} includes {included}: {rules.INCLUDE_REASON}"


def check_external_headers(tree):
    for prefix, places, files_max, reason in rules.EXTERNAL_HEADERS:
        users = [(name, line) for name, text in tree.sources() for line, included, _ in scanner.includes(text)
                 if included == prefix or prefix.endswith("/") and included.startswith(prefix)]
        for name, line in users:
            if not name.startswith(places or ("nowhere",)):
                yield f"{name}:{line}: <{prefix}> is not for this file: {reason}"
        in_source = sorted({name for name, _ in users if name.startswith("src/")})
        if len(in_source) > max(files_max, 1):
            yield f"<{prefix}> is included by {in_source}: {reason}"


def check_public_headers(tree):
    for name, text in tree.sources(("include",)):
        for line, included, _ in scanner.includes(text):
            if included_module(included) != "public" and not STANDARD_HEADER.match(included):
                yield f"{name}:{line}: includes {included}: {rules.PUBLIC_HEADER_REASON}"


def check_header_guards(tree):
    for name, text in tree.sources():
        if name.endswith(".h") and not re.match(r"\s*#pragma once\b", scanner.without_comments(text)):
            yield f"{name}:1: {rules.HEADER_GUARD_REASON}"


def check_file_lengths(tree):
    measured = [*tree.sources(), *((name, text) for name, text in tree.texts.items() if name.endswith(".py"))]
    for name, text in measured:
        lines = text.count("\n")
        if lines > rules.LINES_PER_FILE_MAX and name.startswith((*MEASURED_DIRECTORIES, "tests/", "tools/")):
            yield f"{name}: {lines} lines, at most {rules.LINES_PER_FILE_MAX}: {rules.LENGTH_REASON}"


def check_function_lengths(tree):
    for name, text in tree.sources(MEASURED_DIRECTORIES):
        for function, line, lines in scanner.functions(text):
            if lines > rules.LINES_PER_FUNCTION_MAX:
                yield (f"{name}:{line}: {function} has {lines} lines, at most {rules.LINES_PER_FUNCTION_MAX}: "
                       f"{rules.LENGTH_REASON}")


def check_banned_calls(tree):
    for pattern, places, reason in rules.BANNED_CALLS:
        call = re.compile(pattern)
        for name, text in tree.sources():
            if places and name.startswith(places):
                continue
            for number, line in enumerate(scanner.code_only(text).splitlines(), 1):
                match = call.search(line)
                if match:
                    yield f"{name}:{number}: {match.group(0).strip(' (')}: {reason}"


def check_unfinished(tree):
    marks = re.compile(r"\b(?:" + "|".join(rules.UNFINISHED_WORDS) + r")\b")
    for name, text in tree.texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            if marks.search(line):
                yield f"{name}:{number}: {marks.search(line).group(0)}: {rules.UNFINISHED_REASON}"


def check_machine_paths(tree):
    machine = re.compile("|".join(rules.MACHINE_PATTERNS))
    for name, text in tree.texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            if machine.search(line):
                yield f"{name}:{number}: {machine.search(line).group(0)}: {rules.MACHINE_REASON}"


def check_white_space(tree):
    for name, text in tree.sources():
        for number, line in enumerate(text.splitlines(), 1):
            if line != line.rstrip() or "\t" in line:
                yield f"{name}:{number}: {rules.EOL_REASON}"
        if text and (not text.endswith("\n") or text.endswith("\n\n")):
            yield f"{name}: {rules.EOL_REASON}"


def check_dead_files(tree):
    """A source is alive when some meson.build gives its path, or the end of its name as in `dialect + '_fuzz.cc'`."""
    named, endings = set(), ()
    for build, text in tree.texts.items():
        if build.endswith("meson.build"):
            for source in re.findall(r"'([^'\n]+\.cc)'", text):
                named |= {source, os.path.normpath(os.path.join(os.path.dirname(build), source))}
                endings += (source,) if source.startswith("_") else ()
    for name, _ in tree.sources():
        if name.endswith(".cc") and name not in named and not (endings and name.endswith(endings)):
            yield f"{name}: {rules.DEAD_FILE_REASON}"


def compile_alone(tree, header):
    # Only the paths that the header's users have: the public ones see include/ alone.
    paths = ["-Iinclude"] if header.startswith("include/") else ["-Iinclude", "-Isrc"]
    command = [*tree.compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-x", "c++", *paths, header]
    # "#pragma once in main file" is what compiling a header means.
    done = subprocess.run([*command, "-w"], cwd=tree.root, capture_output=True, text=True, check=False)
    first_error = next((line for line in done.stderr.splitlines() if "error" in line), "")
    return None if done.returncode == 0 else f"{header}: {first_error}: {rules.ALONE_REASON}"


def check_headers_alone(tree):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from filter(None, pool.map(lambda header: compile_alone(tree, header), tree.headers()))


class Missing(Exception):
    """A tool that a rule needs is not installed; the rule is skipped, aloud."""


def check_format(tree):
    if not shutil.which("clang-format"):
        raise Missing("clang-format is not installed")
    names = [name for name, _ in tree.sources()]
    done = subprocess.run(["clang-format", "--dry-run", "--Werror", *names], cwd=tree.root, capture_output=True,
                          text=True, check=False)
    seen = set()
    for name in re.findall(r"^([^:\s]+):\d+:\d+: (?:error|warning)", done.stderr, flags=re.MULTILINE):
        if name not in seen:
            seen.add(name)
            yield f"{name}: not formatted: {rules.FORMAT_REASON}"
    if done.returncode != 0 and not seen:
        yield f"clang-format failed: {done.stderr.strip()[:300]}"


CHECKS = {
    "include directions": check_include_directions,
    "third-party headers": check_external_headers,
    "public headers": check_public_headers,
    "header guards": check_header_guards,
    "file lengths": check_file_lengths,
    "function lengths": check_function_lengths,
    "banned calls": check_banned_calls,
    "unfinished work": check_unfinished,
    "machine paths": check_machine_paths,
    "white space": check_white_space,
    "dead files": check_dead_files,
    "headers compile alone": check_headers_alone,
    "clang-format": check_format,
}


def run_canary(check, files, expected, compiler):
    """The findings about a small tree made of `files` must be exactly one, and name what was planted."""
    with tempfile.TemporaryDirectory(prefix="ringcached-tidy-") as directory:
        for name, text in files.items():
            path = pathlib.Path(directory) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        findings = list(check(Tree(directory, compiler)))
    if len(findings) != 1 or expected not in findings[0]:
        yield f"a tree with one violation ({expected}) gave {findings}"


def report(number, name, findings):
    """Prints one TAP result; true when there was no finding."""
    try:
        found = list(findings)
    except Missing as reason:
        print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        return True
    print(f"{'not ok' if found else 'ok'} {number} - {name}", flush=True)
    for finding in found:
        print(f"# {finding}", flush=True)
    return not found


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--root", required=True)
    arguments.add_argument("--compiler", default="c++", help="command that compiles C++")
    options = arguments.parse_args()
    compiler = shlex.split(options.compiler)
    tree = Tree(options.root, compiler)
    if not tree.headers():
        sys.exit(f"{options.root} is no source tree of this project")

    print("TAP version 13")
    print(f"1..{len(CHECKS) + len(canaries.CANARIES)}", flush=True)
    number, clean = 0, True
    for name, check in CHECKS.items():
        number += 1
        clean = report(number, name, check(tree)) and clean
    for title, check_name, files, expected in canaries.CANARIES:
        number += 1
        clean = report(number, f"canary: {title}", run_canary(CHECKS[check_name], files, expected, compiler)) and clean
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()
