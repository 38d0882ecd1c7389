"""The accepted differences between ringcached and memcached: the only ones the differential test lets pass.

A row says which commands it is about, how each side answers them (patterns over whole replies: LF stands for CR LF, the
last line end is left out), and why. Peers: "18" is memcached 1.6.18 and stands for releases up to 1.6.39, "45" is 1.6.45
and stands for 1.6.40 and later. After such a command the items of its keys are deleted on all sides, so that one
difference does not cause the next. Section numbers are those of the protocol specification.
"""

import base64
import re

from differential.table import ANY, ERRORS, FORMAT, CounterRow, Row
from differential.binary_commands import UNKNOWN_OPCODES
from differential.unit import Cas

NOTHING = ""
STORAGE = (b"set", b"add", b"replace", b"append", b"prepend", b"cas")
META = (b"mg", b"ms", b"md", b"ma")
GET = (b"get", b"gets", b"gat", b"gats")
ARITHMETIC = (b"incr", b"decr")
KEY_BYTES_MAX = 250
META_WORDS_MAX = 20
# Bodies of about the limit of 1 MiB: which side of it hardly matters here.
LARGE_BODY_BYTES = (1 << 20) - 400
LETTERS = b"bcfhklqstuvxCDEFIJLMNOPRT"
OPAQUE_BYTES_MAX = 32
ANSWER = "(?:STORED|NOT_STORED|EXISTS|NOT_FOUND)?"
NON_NUMERIC = "CLIENT_ERROR cannot increment or decrement non-numeric value"
ARITHMETIC_ANSWER = "NOT_FOUND|CLIENT_ERROR cannot increment or decrement non-numeric value"
# What may follow the key of a delete.
DELETE_WORDS = ([b"0"], [b"noreply"], [b"0", b"noreply"], [b"00"], [b"-0"])

STRICT_WHY = ("malformed input is answered with CLIENT_ERROR; ERROR is for unknown commands only, because clients take it "
              "for \"not supported\" (15)")


# --- what a command looks like ---

def words(unit, least=0, most=10 ** 6):
    return least <= len(unit.words()) <= most


def noreply(unit):
    return len(unit.words()) > 1 and unit.words()[-1] == b"noreply"


def number(word, low=0, high=(1 << 64) - 1, digits=22):
    """Is it a number the strict way: digits, with a minus only when negative ones are allowed."""
    return re.fullmatch(rb"-?\d+" if low < 0 else rb"\d+", word) is not None and len(word) <= digits \
        and low <= int(word) <= high


def seconds(word):
    return number(word, -(1 << 31), (1 << 31) - 1, 11)


def strtol(word):
    return re.fullmatch(rb"[+-]?\d+", word) is not None


def meta_flags(unit):
    return unit.words()[3 if unit.words()[0] == b"ms" else 2:]


def has_flag(unit, letters):
    return any(flag[:1] in letters for flag in meta_flags(unit))


def long_key(unit, at=1):
    return any(len(word) > KEY_BYTES_MAX for word in unit.words()[at:])


def storage_numbers(unit):
    """(flags, exptime, bytes) of a storage line that has them."""
    return unit.words()[2:5]


def good_length(unit):
    return words(unit, 5) and number(unit.words()[4], 0, 2147483645, 11)


def bad_but_swallowed(unit):
    """A storage line with a usable length and another fault."""
    if not good_length(unit):
        return False
    line = unit.words()
    numbers = not re.fullmatch(rb"\d+", line[2]) or int(line[2]) > 0xffffffff or not seconds(line[3])
    bad_cas = line[0] == b"cas" and (len(line) < 6 or not number(line[5]))
    return long_key(unit) or numbers or bad_cas


def extra_words(unit):
    """More words than a command takes, with one more for noreply."""
    most = {b"touch": 4, b"incr": 4, b"decr": 4, b"delete": 4, b"cas": 7}.get(unit.words()[0], 6)
    return words(unit, most + 1)


def key_of_meta(unit):
    return unit.words()[1] if words(unit, 2) else b""


def flag_number(flag):
    if flag[:1] in b"TNR":
        return seconds(flag[1:])
    return number(flag[1:], 0, 0xffffffff if flag[:1] == b"F" else (1 << 64) - 1)


def faulty_flags(unit):
    """A letter twice, an unknown one, or a bad argument."""
    flags = meta_flags(unit)
    letters = [flag[:1] for flag in flags]
    return len(set(letters)) < len(letters) or any(letter not in LETTERS for letter in letters) \
        or any(flag[:1] in b"TNRCEDJF" and not flag_number(flag) for flag in flags) or b"b" in letters


def missing_words(unit):
    """Fewer words than the command needs."""
    most = {b"get": 1, b"gets": 1, b"gat": 2, b"gats": 2, b"delete": 1, b"touch": 2, b"incr": 2, b"decr": 2, b"mg": 1, b"md": 1,
            b"ma": 1, b"ms": 2, b"me": 1, b"verbosity": 1}
    return words(unit, 1, most.get(unit.words()[0], 4))


def too_short(text):
    """A line of less than two characters and CR LF."""
    return len(text.split(b"\n", 1)[0]) + 1 < 4


def fits_seconds(word):
    return -(1 << 31) <= int(word) < 1 << 31


def time_word(unit):
    """The time of touch, gat, flush_all; nothing when there is none."""
    at = 2 if unit.words()[0] == b"touch" else 1
    return unit.words()[at] if words(unit, at + 1) else b""


ROWS = (
    # --- lines ---
    Row("leading blanks", ("text",), lambda unit: unit.line().startswith(b" ") and unit.words(),
        (b" get k\r\n",), f"(?!ERROR$){ANY}", {"45": "ERROR"},
        "blanks before a command are ignored, as in all releases before 1.6.40: a harmless superset (1.2)"),
    Row("short lines", ("text",), lambda unit: too_short(unit.shape()),
        (b"a\r\n",), FORMAT, {"18": "ERROR"},
        "a line of less than two characters is malformed, as in 1.6.40 and later (3.1)"),
    Row("mn with a bare line feed", (b"mn",), lambda unit: unit.shape() == b"mn\n",
        (b"mn\n",), "MN", {"45": FORMAT}, "a complete command must not depend on the length of its line (16.4)"),
    Row("NUL in a line", ("text",), lambda unit: b"\x00" in unit.line() and not unit.line().startswith(b"\x00"),
        (b"get nul\x00key noreply\r\n", b"touch nul\x00key 0\r\n"), ANY, {"18": ANY},
        "a NUL is a byte like any other, as in 1.6.40 and later; older releases end the line there (1.2)"),
    Row("noreply alone", (b"noreply",), lambda unit: unit.words() == [b"noreply"],
        (b"noreply\r\n",), "ERROR", {"45": NOTHING}, "an unknown command; noreply counts as the last of several words (3.2)"),
    # --- numbers of words ---
    Row("missing words", STORAGE + GET + META + ARITHMETIC + (b"delete", b"touch", b"me", b"verbosity"), missing_words,
        (b"touch k\r\n",), f"{FORMAT}{ERRORS}", {"18": f"(?:ERROR|END|{FORMAT}){ERRORS}"}, STRICT_WHY),
    Row("too many words", STORAGE + ARITHMETIC + (b"touch", b"delete"), extra_words,
        (b"touch k 0 1 2\r\n",), ANY, {"18": f"ERROR{ERRORS}"},
        "words after the last one a command knows are ignored, as in 1.6.40 and later (3.1); delete refuses them"),
    Row("verbosity with more words", (b"verbosity",), lambda unit: words(unit, 4),
        (b"verbosity 0 my eyes\r\n",), "OK", {"18": "ERROR"},
        "words after the last one a command knows are ignored, as in 1.6.40 and later (3.1)"),
    Row("delete with other words", (b"delete",), lambda unit: words(unit, 3) and unit.words()[2:] not in DELETE_WORDS,
        (b"delete k 5\r\n",), "|CLIENT_ERROR bad command line format\\.  Usage: delete <key> \\[noreply\\]",
        {"45": "|DELETED|NOT_FOUND"},
        "a delayed delete is refused, so that a client that expects one notices; 1.6.40 and later ignore the time (5.3)"),
    Row("delete with another zero", (b"delete",), lambda unit: words(unit, 3) and unit.words()[2] in (b"00", b"-0"),
        (b"delete k 00\r\n",), "|DELETED|NOT_FOUND",
        {"18": "CLIENT_ERROR bad command line format\\.  Usage: delete <key> \\[noreply\\]"},
        "the time is a number, and it is zero; 1.6.18 compares the text (5.3)"),
    Row("delete of the key noreply", (b"delete",), lambda unit: unit.words()[1:] == [b"noreply"],
        (b"delete noreply\r\n",), "DELETED|NOT_FOUND", {"45": NOTHING}, "a lone key is never noreply (3.2, 16.5)"),
    # --- storage lines ---
    Row("data of a faulty storage line", STORAGE, bad_but_swallowed,
        (b"set k x 0 2\r\nab\r\n",), f"(?:{FORMAT})?", {"18": f"(?:{FORMAT})?{ERRORS}"},
        "the data block is swallowed when its length is known, so that it is never taken for commands (3.1)"),
    Row("cas without an id", (b"cas",), lambda unit: words(unit, 5, 6) and (words(unit, 5, 5) or noreply(unit)),
        (b"cas k 0 0 2\r\nab\r\n",), f"(?:{FORMAT})?{ERRORS}", {"18": f"ERROR{ERRORS}"}, STRICT_WHY),
    Row("lengths that are no numbers", STORAGE, lambda unit: words(unit, 5) and not number(unit.words()[4], 0, 2147483645, 11),
        (b"set k 0 0 +2\r\nab\r\n",), f"{FORMAT}{ERRORS}", {"18": f"(?:{ANSWER}|CLIENT_ERROR bad data chunk|{FORMAT}){ERRORS}"},
        "a length is digits and fits 31 bits; 1.6.18 takes +2 for 2 and 4294967297 for 1, and noreply hides the fault (2.2, 3.2)"),
    Row("client flags out of range", STORAGE,
        lambda unit: good_length(unit) and strtol(unit.words()[2]) and (int(unit.words()[2]) > 0xffffffff
                                                                         or unit.words()[2].startswith(b"-")),
        (b"set k 4294967296 0 2\r\nab\r\n",), f"(?:{FORMAT})?", {"18": ANSWER, "45": ANSWER},
        "refused; memcached stores them cut to 32 bits (2.2, 16.12)"),
    Row("expiry times out of range", STORAGE,
        lambda unit: good_length(unit) and strtol(unit.words()[3]) and not fits_seconds(unit.words()[3]),
        (b"set k 0 4294967296 2\r\nab\r\n",), f"(?:{FORMAT})?", {"18": ANSWER, "45": ANSWER},
        "refused; memcached cuts them to 32 bits, so that 4294967296 never expires and 2147483648 is dead at once (2.2, 16.12)"),
    Row("rest of a data block too short for a line", STORAGE,
        lambda unit: good_length(unit) and too_short(unit.data()[int(unit.words()[4]) + 2:] or b"long enough"),
        (b"set k 0 0 2\r\nabc\r\n",), f"(?:CLIENT_ERROR bad data chunk\n)?{FORMAT}",
        {"18": "(?:CLIENT_ERROR bad data chunk\n)?ERROR"},
        "a line of less than two characters is malformed, as in 1.6.40 and later (1.4)"),
    # --- numbers of other commands ---
    Row("times with a plus or many digits", (b"touch", b"gat", b"gats", b"flush_all"),
        lambda unit: strtol(time_word(unit)) and fits_seconds(time_word(unit)) and not seconds(time_word(unit)),
        (b"touch k +100\r\n",), ANY, {"45": "(?:CLIENT_ERROR invalid exptime argument)?"},
        "what an earlier release accepts as valid is accepted: a plus and leading zeros (2.2)", ends_stream=True),
    Row("times out of range", (b"touch", b"gat", b"gats", b"flush_all"),
        lambda unit: strtol(time_word(unit)) and not fits_seconds(time_word(unit)),
        (b"touch k 4294967296\r\n",), "(?:CLIENT_ERROR invalid exptime argument)?", {"18": ANY},
        "refused, as in 1.6.40 and later; 1.6.18 cuts them to 32 bits (2.2)", ends_stream=True),
    Row("deltas with a plus or many digits", ARITHMETIC,
        lambda unit: words(unit, 3) and strtol(unit.words()[2]) and not unit.words()[2].startswith(b"-")
        and not number(unit.words()[2]), (b"incr k +1\r\n",), f"(?:\\d+|{ARITHMETIC_ANSWER})?",
        {"45": "(?:CLIENT_ERROR invalid numeric delta argument)?"},
        "what an earlier release accepts as valid is accepted: a plus and leading zeros (2.2)"),
    Row("ids with a plus", (b"cas",), lambda unit: words(unit, 6) and unit.words()[5].startswith(b"+") and strtol(unit.words()[5]),
        (b"cas k 0 0 2 +7\r\nab\r\n",), ANSWER, {"45": f"(?:{FORMAT})?"},
        "what an earlier release accepts as valid is accepted: a plus and leading zeros (2.2)"),
    Row("a delta of minus zero", ARITHMETIC, lambda unit: words(unit, 3) and unit.words()[2] == b"-0",
        (b"incr k -0\r\n",), "(?:CLIENT_ERROR invalid numeric delta argument)?", {"18": f"(?:\\d+|{ARITHMETIC_ANSWER})?"},
        "a delta has no sign, as in 1.6.40 and later (2.2)"),
    Row("verbosity with a plus", (b"verbosity",), lambda unit: words(unit, 2) and unit.words()[1] == b"+0",
        (b"verbosity +0\r\n",), "(?:OK)?", {"45": f"(?:{FORMAT})?"}, "what an earlier release accepts as valid is accepted (2.2)"),
    Row("verbosity out of range", (b"verbosity",), lambda unit: words(unit, 2) and unit.words()[1] == b"4294967296",
        (b"verbosity 4294967296\r\n",), f"(?:{FORMAT})?", {"18": "(?:OK)?"}, "refused, as in 1.6.40 and later (2.2)"),
    Row("numbers of 2^63 and more", (b"set",), lambda unit: re.search(rb"\n(?:incr|decr) \S+ \d+\r\n", unit.shape()),
        (b"set n 0 0 30\r\n" + b"-" * 30 + b"\r\n", b"delete n\r\n",
         b"set n 0 0 20\r\n18446744073709551614\r\nincr n 1\r\n"), "STORED(?:\n(?:\\d+|STORED))+",
        {"18": "STORED(?:\n(?:\\d+|STORED)|\nCLIENT_ERROR cannot increment or decrement non-numeric value)+"},
        "all 64 bits count; 1.6.18 looks for a minus beyond the end of such a value, so that its answer depends on chance (5.4)"),
    # --- retrieval ---
    Row("get with a key that is too long", GET, lambda unit: long_key(unit, 1),
        (b"get " + b"k" * 251 + b"\r\n",), FORMAT, {"45": f"{FORMAT}\n"},
        "one error line; 1.6.45 sends an empty line after it, and drops the answers to commands pipelined before it (16.1)",
        alone=True),
    Row("bget", (b"bget",), lambda unit: words(unit, 2), (b"bget k\r\n",), "ERROR", {"18": f"END|VALUE{ANY}"},
        "removed from memcached long ago; no client sends it (15)"),
    # --- meta commands ---
    Row("meta flags E and x", META, lambda unit: has_flag(unit, b"Ex"),
        (b"mg k E1\r\n",), ANY, {"18": f"CLIENT_ERROR invalid (?:or duplicate )?flag{ERRORS}"},
        "known since 1.6.19; 1.6.18 refuses them (6.2)"),
    Row("ms with return flag s", (b"ms",), lambda unit: has_flag(unit, b"s"),
        (b"ms k 2 s\r\nab\r\n",), f"(?:HD|NS|EX|NF){ANY} s\\d+{ANY}|{ANY}", {"18": f"(?:HD|NS|EX|NF){ANY}|{ANY}"},
        "the size is returned, as in 1.6.40 and later (6.6)"),
    Row("ms append with N", (b"ms",), lambda unit: has_flag(unit, b"N") and has_flag(unit, b"M"),
        (b"ms k 2 MA N0\r\nab\r\n",), f"(?:HD{ANY})?|{ANY}", {"18": f"NS{ANY}|{ANY}"},
        "append creates the item, as in 1.6.40 and later (6.6)"),
    Row("mode tokens of several letters", META, lambda unit: any(flag[:1] == b"M" and len(flag) != 2 for flag in meta_flags(unit)),
        (b"ms k 2 MSS\r\nab\r\n",), ANY, {"18": f"CLIENT_ERROR (?:incorrect length for M token|invalid or duplicate flag){ERRORS}"},
        "the first letter counts, as in 1.6.40 and later (6.6)"),
    Row("mg with a CAS id", (b"mg",), lambda unit: has_flag(unit, b"C"),
        (b"set k 0 0 1\r\nx\r\n", (b"mg k C", Cas(b"k"), b" v\r\n")), ANY, {"18": ANY}, "an equal id drops the value, as in 1.6.40 and later (6.4)"),
    Row("errors in the flags of md", (b"md",), faulty_flags,
        (b"md k k k\r\n",), "CLIENT_ERROR .*", {"18": "CLIENT_ERROR invalid or duplicate flag"},
        "the text that names the fault, as in 1.6.40 and later (6.2)"),
    Row("ma with a key that is too long", (b"ma",), lambda unit: len(key_of_meta(unit)) > KEY_BYTES_MAX,
        (b"ma " + b"k" * 251 + b"\r\n",), "CLIENT_ERROR invalid or duplicate flag", {"18": FORMAT},
        "as in 1.6.40 and later (2.1)"),
    Row("more than 20 words", META, lambda unit: words(unit, META_WORDS_MAX),
        (b"md k " + b" ".join(b"k%d" % i for i in range(20)) + b"\r\n",), f"CLIENT_ERROR {ANY}", {"18": f"CLIENT_ERROR {ANY}"},
        "one text for all meta commands, as in 1.6.40 and later (2.4)"),
    Row("flags of bytes outside ASCII", META, lambda unit: any(flag[0] >= 127 for flag in meta_flags(unit)),
        (b"mg k \xff\r\n",), "CLIENT_ERROR .*|" + FORMAT + ERRORS, {"18": "CLIENT_ERROR .*"},
        "a byte that is no letter, as in 1.6.40 and later; 1.6.18 calls it a duplicate (6.2)"),
    Row("flags that are no letters", META, lambda unit: any(not 65 <= flag[0] <= 122 and not 48 <= flag[0] <= 57 for flag in meta_flags(unit)),
        (b"mg k !\r\n",), "CLIENT_ERROR .*", {"45": f"{FORMAT}{ERRORS}"},
        "an unknown flag like any other; 1.6.45 leaves the data block of ms in the stream (6.2)"),
    Row("numbers in flags", META, lambda unit: any(flag[:1] in b"TNRCEDJF" and not flag_number(flag) for flag in meta_flags(unit)),
        (b"mg k F4294967296\r\n",), ANY, {"18": ANY}, "numbers are strict, as in 1.6.40 and later (2.2)"),
    Row("ma with T that makes the number longer", (b"ma",), lambda unit: has_flag(unit, b"T"),
        (b"set n 0 0 1\r\n5\r\n", b"ma n T100 D10\r\n", b"mg n t\r\n"), "HD t100", {"18": "HD t-1", "45": "HD t-1"},
        "the item has the new time; memcached gives it to the item that it then replaces, so that a limiter's counter, say, that "
        "passes from 9 to 10 keeps its old time, or lives for ever (6.8)"),
    Row("ma with q that creates", (b"ma",), lambda unit: has_flag(unit, b"q") and has_flag(unit, b"N"),
        (b"ma k q N0\r\n",), ANY, {"18": ANY}, "q hides every success, as in 1.6.40 and later (6.3)"),
    Row("items created by way of a base64 key", (b"mg", b"ma"), lambda unit: has_flag(unit, b"b") and has_flag(unit, b"N"),
        (b"mg Zm9v b N0\r\n", b"mg foo k\r\n"), ANY, {"18": ANY, "45": ANY},
        "the item remembers that its key is binary, as with ms; memcached sends the raw bytes, and a line end among them, which "
        "whoever chose the key put there, is taken for the end of the answer (6.3)",
        rewrite=lambda theirs: re.sub(rb" k(\S+)", lambda key: b" k" + base64.b64encode(key[1]) + b" b", theirs)),
    Row("flag numbers with a plus", META, lambda unit: any(flag[:1] in b"TNRCEDJF" and flag[1:2] == b"+" and strtol(flag[1:]) for flag in meta_flags(unit)),
        (b"md k T+5\r\n",), ANY, {"45": "CLIENT_ERROR .*"},
        "what an earlier release accepts as valid is accepted: a plus (2.2)"),
    Row("a minus alone as flag number", META, lambda unit: any(flag in (b"T-", b"N-", b"R-") for flag in meta_flags(unit)),
        (b"md k T-\r\n",), "CLIENT_ERROR .*", {"45": ANY}, "a minus is no number (2.2)"),
    Row("data of ms with a key that is too long", (b"ms",), lambda unit: long_key(unit),
        (b"ms " + b"k" * 251 + b" 2\r\nab\r\n",), FORMAT, {"18": f"{FORMAT}{ERRORS}"},
        "the data block is swallowed when its length is known, so that it is never taken for commands (3.1)"),
    Row("ma with two faults", (b"ma",), lambda unit: has_flag(unit, b"C"),
        (b"set n 0 0 0\r\n\r\n", b"ma n C5\r\n"), f"EX{ANY}", {"18": f"{NON_NUMERIC}", "45": NON_NUMERIC},
        "the id is compared first; memcached sees first that the value is empty. Nothing changes either way (6.8)"),
    Row("me with a base64 key", (b"me",), lambda unit: unit.words()[2:3] == [b"b"],
        (b"set foo 0 0 1\r\nx\r\n", b"me Zm9v b\r\n"), "ME .*|EN", {"45": "EN|ME .*"},
        "b is accepted as the second word; memcached wants one more behind it (6.10, 16.2)"),
    Row("opaque tokens that are too long", (b"mg", b"ma"), lambda unit: any(flag[:1] == b"O" and len(flag) > OPAQUE_BYTES_MAX
                                                                               for flag in meta_flags(unit)),
        (b"mg k N0 O" + b"o" * 32 + b"\r\n", b"mg k s\r\n"), "EN|CLIENT_ERROR opaque token too long",
        {peer: f"HD s0(?: Z)?|NF|EX|{NON_NUMERIC}" for peer in ("18", "45")},
        "a command that is refused changes nothing; memcached finds out while it builds the answer (6.2)"),
    Row("sign of exp in me", (b"me",), lambda unit: True,
        (b"set k 0 100 1\r\nx\r\n", b"me k\r\n"), f"ME .* exp=(?:-1|\\d+) {ANY}|{ANY}", {"18": f"ME .* exp=-\\d+ {ANY}|{ANY}"},
        "exp is the seconds left; 1.6.18 prints them negated (6.10, 16.15)"),
    Row("lengths of ms that are no numbers", (b"ms",), lambda unit: words(unit, 3) and not number(unit.words()[2], 0, 2147483645, 11),
        (b"ms k +2\r\nab\r\n",), f"{FORMAT}{ERRORS}", {"18": ANY}, "a length is digits and fits 31 bits, as in 1.6.40 and later (2.2)"),
    Row("wrapped time", (b"mg", b"ma"), lambda unit: has_flag(unit, b"t") and has_flag(unit, b"TN"),
        (b"set k 0 0 1\r\nx\r\n", b"mg k T-1 t\r\n"), ANY, {"18": ANY, "45": ANY}, "t0: the item is dead; memcached wraps the negative number to an unsigned one (16.7)",
        rewrite=lambda theirs: re.sub(rb" t4\d{9}(?= |\r)", b" t0", theirs)),
    # --- binary protocol ---
    Row("GAT with a value", (0x1d, 0x1e, 0x23, 0x24), lambda unit: unit.field(8, 4) > unit.field(2, 2) + unit.shape()[4],
        (b"\x80\x1d\0\1\4\0\0\0\0\0\0\6" + bytes(16) + b"kv",), "magic=81 op=(?:1d|1e|23|24) .*status=04 .*<closed>",
        {"18": "(?!.*status=04).*", "45": "(?!.*status=04).*"},
        "the shape is wrong: refused and closed; memcached answers and executes the value as the next request, so that the data "
        "of one user can be the commands of another (8.3)", ends_stream=True),
    Row("unknown opcodes with a key or extras", UNKNOWN_OPCODES, lambda unit: unit.field(2, 2) + unit.shape()[4] > 0,
        (b"\x80\x1b\0\3\0\0\0\0\0\0\0\3\0\0\0\1" + bytes(8) + b"key",), "(?:magic=81 op=.. .*status=81 .*)?", {"18": ANY, "45": ANY},
        "the body is swallowed once; memcached swallows extras and key twice, and with them the beginning of the next request (16.6)",
        ends_stream=True, alone=True),
    # --- administration ---
    Row("shutdown refused", (b"shutdown",), lambda unit: True, (b"shutdown\r\n",), "SERVER_ERROR: shutdown not enabled",
        {"18": "ERROR: shutdown not enabled"}, "as in 1.6.40 and later (7.4)"),
    Row("shutdown noreply", (b"shutdown",), lambda unit: unit.words()[1:] == [b"noreply"],
        (b"shutdown noreply\r\n",), "SERVER_ERROR: shutdown not enabled", {"45": NOTHING},
        "the word is taken for a mode, as before 1.6.40; who is refused should hear of it (3.2, 7.4)"),
    Row("slabs automove window and freeratio", (b"slabs",), lambda unit: unit.words()[1:2] == [b"automove"] and
        unit.words()[2:3] in ([b"window"], [b"freeratio"]),
        (b"slabs automove window 10\r\n",), ANY, {"18": FORMAT}, "known in 1.6.40 and later (7.5)"),
    Row("words and noreply behind slabs and lru_crawler", (b"slabs", b"lru_crawler"), noreply,
        (b"slabs noreply\r\n",), NOTHING, {"18": f"ERROR|OK|{FORMAT}"},
        "noreply as the last word hides the answer, as in 1.6.40 and later (3.2)"),
    Row("administration with more words", (b"cache_memlimit", b"flush_all", b"slabs"), lambda unit: words(unit, 3),
        (b"flush_all 0 x y\r\n",), f"OK|{FORMAT}|CLIENT_ERROR invalid exptime argument", {"18": "ERROR"},
        "words after the last one a command knows are ignored, as in 1.6.40 and later (3.1)"),
    Row("numbers beyond 32 bits", (b"lru_crawler", b"extstore"), lambda unit: unit.words()[2:3] == [b"4294967296"],
        (b"extstore item_size 4294967296\r\n",), f"ERROR|{FORMAT}", {"18": "OK"}, "refused, as in 1.6.40 and later (2.2)"),
    Row("lru_crawler mgdump", (b"lru_crawler",), lambda unit: unit.words()[1:2] == [b"mgdump"],
        (b"lru_crawler mgdump x\r\n",), ANY, {"18": "ERROR"}, "known in 1.6.40 and later (10.3)"),
    Row("class numbers from 64 on", (b"lru_crawler", b"stats"), lambda unit: unit.words()[2:3] == [b"64"],
        (b"stats cachedump 64 1\r\n",), "OK|END", {peer: "BADCLASS invalid class id|CLIENT_ERROR Illegal slab id" for peer in ("18", "45")},
        "there are more classes, with smaller steps between them; beyond the last one the answers are the same (9.4, 9.8)"),
    Row("classes without pages", (b"slabs",), lambda unit: unit.words()[1:2] == [b"reassign"] and unit.words()[2:3] == [b"63"],
        (b"slabs reassign 63 1\r\n",), "NOSPARE source class has no spare pages",
        {peer: "BADCLASS invalid src or dst class id" for peer in ("18", "45")},
        "there are more classes, with smaller steps between them (7.5)"),
    Row("stats sizes_enable and sizes_disable", (b"stats",), lambda unit: unit.words()[1:2] == [b"sizes_disable"],
        (b"stats sizes_disable\r\n",), "ERROR", {"18": "STAT sizes_status disabled"},
        "gone in 1.6.40 and later; track_sizes is an option of the start (9.5)"),
    Row("refresh_certs", (b"refresh_certs",), lambda unit: True, (b"refresh_certs\r\n",), "ERROR",
        {peer: "Error TLS not enabled" for peer in ("18", "45")},
        "as of a memcached that is built without TLS; both peers are built with it (7.8)"),
)

COUNTER_ROWS = (
    CounterRow("a value that is too large, binary", lambda unit: unit.binary and unit.field(8, 4) > LARGE_BODY_BYTES,
               (b"\x80\1\0\1\x08\0\0\0\0\x10\0\x09" + bytes(20) + b"k" + bytes(1 << 20),), ("store_too_large",),
               "a store refused for its size is counted in every protocol; memcached counts the text protocol's only, so that nobody "
               "sees that values of binary clients are lost (9.1)"),
)
