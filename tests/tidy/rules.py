"""The house rules as data. Each rule has the sentence that a violation is reported with."""

LINES_PER_FILE_MAX = 800
LINES_PER_FUNCTION_MAX = 70

# Whose files may include whose: module -> modules. A module is a directory of src, "public" is include/ringcached.
# base <- protocol, store, net (siblings that never meet) <- config <- server <- main.
INCLUDE_TABLE = {
    "public": {"public"},
    "base": {"base", "public"},
    "protocol": {"protocol", "base", "public"},
    "store": {"store", "base", "public"},
    "net": {"net", "base", "public"},
    "config": {"config", "base", "public"},
    "server": {"server", "config", "protocol", "store", "net", "base", "public"},
    "main": {"server", "config", "protocol", "store", "net", "base", "public"},
    # The examples prove that the public headers are enough.
    "examples": {"public"},
}
INCLUDE_REASON = ("modules include downwards only (base <- protocol, store, net <- config <- server <- main) and siblings "
                  "never meet, so that each can be read, tested and reused alone")

# A third-party header, where it may be included, how many files of src may do so, and why.
EXTERNAL_HEADERS = (
    ("liburing.h", ("src/net/ring_uring.cc", "src/net/kernel_features.cc", "src/net/min_wait.cc", "bench/"), 3,
     "all kernel contact passes net/ring.h; the null server of bench/ is the one other user of liburing"),
    ("linux/io_uring.h", (), 0, "liburing's header owns its include guard; newer constants live in net/ring_abi.h"),
    ("CLI/", ("src/config/", "bench/"), 1, "the command line has one reader, fed from the option table"),
    ("toml++/", ("src/config/",), 1, "the configuration file has one reader, fed from the option table"),
    ("mimalloc.h", ("src/",), 1, "its interface changes between releases; one file knows it"),
    ("xxhash.h", ("src/base/hash.cc", "bench/"), 1, "one hash, seeded in one place"),
    ("numa.h", (), 0, "memory is bound by mbind; libnuma is no dependency"),
    ("doctest/", ("tests/", "bench/bench_test.cc", "bench/replay_test.cc"), 0, "test code stays in tests/"),
)

PUBLIC_HEADER_REASON = "public headers include the standard library and one another, so that they work for anyone"

# A function call, where it is allowed, and why nowhere else.
BANNED_CALLS = (
    (r"\b(?:std::)?(?:strto[a-z]+|ato[ifl]+|sscanf)\s*\(", (),
     "numbers are parsed by the checked functions; these have no bounds, or hide overflow in errno"),
    (r"\bstd::sto[a-z]+\s*\(", ("tests/",), "throws on bad input; use the checked number functions"),
    (r"\b(?:std::)?v?sprintf\s*\(", (), "has no bound"),
    (r"\b(?:std::)?(?:strcpy|strcat|strncpy|strncat|gets)\s*\(", (), "copies bytes that may have no terminator"),
    (r"\balloca\s*\(", (), "a client's number would become stack"),
    (r"\b(?:std::)?strtok\s*\(", (), "hidden state, not safe with threads"),
    (r"\b(?:std::)?rand\s*\(", (), "randomness has one printed seed"),
    (r"\b(?:std::)?system\s*\(", (), "a server starts no shell"),
    (r"\bnuma_\w+\s*\(", (), "libnuma is no dependency"),
    (r"\bio_uring_register_buf_ring\s*\(", ("bench/", "src/net/ring_uring.cc", "src/net/kernel_features.cc"),
     "liburing 2.3 drops its flags; the ring's own wrapper knows"),
    (r"\busing namespace\b", ("tests/", "src/examples/", "src/main.cc"), "names are written with their module"),
)

# Words that mark unfinished work; assembled so that this file does not contain them.
UNFINISHED_WORDS = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")
UNFINISHED_REASON = "unfinished work belongs in an issue, not into the tree"

# Paths of the machine this was written on, and hosts that only it knows, in any committed text.
MACHINE_PATTERNS = (r"(?<![\w.])/" + r"work/", r"(?<![\w.])/ro" + r"ot/", r"(?<![\w.])/ho" + r"me/\w", r"\bdeb\." + r"debian\.org",
                    r"\bpypi\." + r"org", r"\bproxy\.golang" + r"\.org")
MACHINE_REASON = "the tree must build anywhere: no path or package host of one machine"

LENGTH_REASON = "what does not fit a screen is not read; split it"
ALONE_REASON = "every header compiles alone, so that the order of includes never matters"
DEAD_FILE_REASON = "a source that no meson.build names is compiled by nobody"
HEADER_GUARD_REASON = "headers begin their code with #pragma once"
FORMAT_REASON = "run tools/dev format"
EOL_REASON = "one newline at the end, no blanks at line ends, no tabs"
