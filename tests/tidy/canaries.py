"""Small trees with exactly one violation each: (title, check, files, what the finding must name)."""

import rules

GUARD = "#pragma once\n"
LONG_BODY = "  step();\n" * rules.LINES_PER_FUNCTION_MAX
CALL = "at" + "oi"

CANARIES = (
    ("store includes net", "include directions",
     {"src/store/a.cc": '#include "base/b.h"\n#include "net/ring.h"\n'}, "src/store/a.cc:2: store includes net/ring.h"),
    ("base includes server", "include directions",
     {"src/base/a.h": GUARD + '#include "server/s.h"\n'}, "src/base/a.h:2"),
    ("an example looks behind the public headers", "include directions",
     {"src/examples/a.cc": '#include "base/b.h"\n'}, "src/examples/a.cc:1"),
    ("liburing outside the seam", "third-party headers",
     {"src/net/worker.cc": "#include <liburing.h>\n"}, "src/net/worker.cc:1"),
    ("two readers of the command line", "third-party headers",
     {"src/config/a.cc": "#include <CLI/CLI.hpp>\n", "src/config/b.cc": "#include <CLI/App.hpp>\n"}, "src/config/b.cc"),
    ("a public header with a system header", "public headers",
     {"include/ringcached/a.h": GUARD + "#include <sys/mman.h>\n"}, "sys/mman.h"),
    ("a header without guard", "header guards", {"src/base/a.h": "// Nothing.\nint f();\n"}, "src/base/a.h"),
    ("a long file", "file lengths",
     {"src/base/a.cc": "int a;\n" * (rules.LINES_PER_FILE_MAX + 1)}, f"{rules.LINES_PER_FILE_MAX + 1} lines"),
    ("a long function", "function lengths",
     {"src/base/a.cc": "namespace x {\nvoid f(int a) {\n" + LONG_BODY + "}\nvoid g() {}\n}\n"},
     f"src/base/a.cc:2: f has {rules.LINES_PER_FUNCTION_MAX + 2} lines"),
    ("a long constructor behind its initializers", "function lengths",
     {"src/base/a.cc": "A::A(int a)\n    : a_{a}, b_{2} {\n" + LONG_BODY + "}\n"}, "src/base/a.cc:1: A::A"),
    ("a long test helper within braces and strings", "function lengths",
     {"tests/support/a.h": 'inline int f() {\n  auto s = "}}";  // }}\n  char c = \'}\';\n' + LONG_BODY + "}\n"}, ": f has"),
    ("a banned call", "banned calls", {"src/base/a.cc": f"// {CALL}(x)\nint f() {{ return {CALL}(x); }}\n"}, "src/base/a.cc:2"),
    ("unfinished work", "unfinished work", {"docs/a.md": "some " + rules.UNFINISHED_WORDS[0] + " left\n"}, "docs/a.md:1"),
    ("a path of one machine", "machine paths", {"tools/a.py": "path = '/ro" + "ot/x'\n"}, "tools/a.py:1"),
    ("blanks at a line's end", "white space", {"src/base/a.cc": "int a; \n"}, "src/base/a.cc:1"),
    ("a dead file", "dead files",
     {"src/base/meson.build": "files('a.cc')\n", "src/base/a.cc": "\n", "src/base/dead.cc": "\n"}, "src/base/dead.cc"),
    ("a header that leans on others", "headers compile alone",
     {"src/base/a.h": GUARD + "inline std::string f() { return {}; }\n", "src/base/b.h": GUARD + "#include <string>\n"},
     "src/base/a.h"),
    ("unformatted code", "clang-format",
     {".clang-format": "BasedOnStyle: Google\n", "src/base/a.cc": "int  a ;\n"}, "src/base/a.cc"),
)
