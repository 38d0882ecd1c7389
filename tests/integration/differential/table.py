"""How the rows of differences.py are looked up, checked and written as a page."""

import dataclasses
import re
from typing import Callable

from differential.unit import Unit

FORMAT = "CLIENT_ERROR bad command line format"
ANY = "(?s:.*)"
# What becomes of a data block that is taken for commands.
ERRORS = f"(?:\n?(?:ERROR|{FORMAT}))*"


@dataclasses.dataclass(frozen=True)
class Row:
    """A known difference. `theirs` maps a peer ("18", "45") to a pattern; patterns are of whole replies, LF for CR LF,
    without the last line end."""

    name: str
    verbs: tuple
    applies: Callable
    example: tuple
    ours: str
    theirs: dict
    why: str
    # What makes our answer of theirs, where patterns would be too loose.
    rewrite: Callable = None
    # Nothing after it can be compared on that connection.
    ends_stream: bool = False
    # It must not be pipelined behind others.
    alone: bool = False

    def covers(self, peer, ours, theirs):
        return peer in self.theirs and matches(self.ours, ours) and matches(self.theirs[peer], theirs) \
            and (self.rewrite is None or self.rewrite(theirs) == ours)


def matches(pattern, reply):
    text = reply.decode("latin-1").replace("\r\n", "\n").removesuffix("\n")
    return re.fullmatch(pattern, text, flags=re.DOTALL) is not None


class Table:
    """Rows by the first word (or the opcode) of the commands they may apply to; `None` is for any."""

    def __init__(self, rows):
        self.rows = rows
        self._by_verb = {}
        for row in rows:
            for verb in row.verbs:
                self._by_verb.setdefault(verb, []).append(row)

    def rows_of(self, unit):
        if unit.binary:
            verb = unit.opcode() if len(unit.shape()) > 1 else None
        else:
            words = unit.words()
            verb = words[0] if words else b""
        candidates = self._by_verb.get(verb, []) + self._by_verb.get("binary" if unit.binary else "text", [])
        return [row for row in candidates if row.applies(unit)] if candidates else []

    def accepting(self, peer, units, ours, theirs):
        """The name of the row that covers a difference in the answers to `units`, or None."""
        rows = [row for row in self.rows_of(units[-1]) if peer in row.theirs]
        for row in rows:
            if row.covers(peer, ours, theirs):
                return row.name
        # Several differences at once.
        rewriting = [row for row in rows if row.rewrite]
        for row in rewriting:
            theirs = row.rewrite(theirs)
        return " and ".join(row.name for row in rewriting) if rewriting and theirs == ours else None


@dataclasses.dataclass(frozen=True)
class CounterRow:
    """Counters of `stats` that differ after the commands to which it applies."""

    name: str
    applies: Callable
    example: tuple
    counters: tuple
    why: str


def example_units(row):
    closing = "<closed>" in getattr(row, "ours", "")
    return [Unit(sent if isinstance(sent, tuple) else (sent,), binary=sent[0] == 0x80, closes=closing and number + 1 == len(row.example))
            for number, sent in enumerate(row.example)]


# --- the page ---

PAGE_HEAD = """# Differences to memcached

Written by `tests/integration/differential_test.py --write-docs` from `tests/integration/differential/differences.py`.
Everything else, in hundreds of thousands of random commands per run, is answered as memcached answers it.

Answers are patterns: `...` is anything, `(a|b)?` one of the alternatives or nothing, `/` the end of a line. 1.6.18 stands
for releases up to 1.6.39, 1.6.45 for 1.6.40 and later; `same` means that it answers as ringcached does. Numbers in
parentheses are sections of the protocol specification.

| difference | sent | ringcached | 1.6.18 | 1.6.45 | why |
|---|---|---|---|---|---|
"""
COUNTERS_HEAD = """
## Counters

| difference | sent | counters of `stats` | why |
|---|---|---|---|
"""
PAGE_TAIL = """
These need a state to be seen, so no stream of commands compares them:

| counter | ringcached | why |
|---|---|---|
| `malloc_fails` | items that found no memory, as in `store_no_memory` | memcached counts allocations outside of item memory; there are none here on the way of a request |
| `cmd_set` of `stats slabs` | stores that were refused before they took memory are in no class (`replace`, `append`, `cas` of a missing key, a bad data chunk) | memcached takes the memory first; `cmd_set` of `stats` counts them all in both |
| `connection_structures`, `read_buf_*`, `response_obj_*`, `reserved_fds`, `hash_bytes` | of ringcached's own engine | see [administration.md](administration.md#the-resident-set) |
| `libevent` | `io_uring` or `epoll` | what serves, there being no libevent |
| `version` | `1.6.45-ringcached-` and the release | clients that choose by the number find memcached's first |

## UDP

| what | ringcached | memcached 1.6.45 |
|---|---|---|
| `flush_all` while flushes, with stores between them, follow one another faster than memory can be gone over (from 16 on that upkeep has not caught up with) | neither done nor answered, as if the datagram had been lost, and counted in `udp_replies_dropped`; over a connection it waits for its turn | done at once |

## Starting and stopping

| what | ringcached | memcached 1.6.45 |
|---|---|---|
| no `-l` | loopback only; `-l '*'` for all addresses | all addresses |
| no `-t`, `-t 0` | a worker for each CPU the process may use | 4; refused |
| `-c` | clients; the limit of open files must have room for the server's own as well | descriptor numbers, the server's own included: fewer clients than the number |
| sizes and times | with a unit as well: `-m 2g`, `idle_timeout=5m` | what is behind the number is dropped: `-m 2g` is 2 MB |
| values that are no number, out of range, or too long (`-p abc`, `-b 0`, `-D ab`, `-s` of more than 107 bytes) | refused | mostly taken as 0, wrapped or cut |
| words that are no flag, shortened long flags (`--mem`) | refused | ignored; completed where unambiguous |
| `-I` below 512 KB, or not a multiple of it | any size from 1 KB | refused without a fitting `slab_chunk_max` |
| `-p 0` with nothing else to listen on | refused | starts, and cannot be reached |
| `-P`, `MEMCACHED_PORT_FILENAME` that cannot be written | refused | a message; goes on without |
| `-P` that names a running server | refused | replaced |
| `-s` on which a server answers | refused | taken over |
| an address in use | tried for two seconds, for a predecessor that is about to end | refused at once |
| `-M` and no memory left | a value that stays in its class is overwritten | the new value needs memory of its own: refused, and the old value is gone |
| SIGTERM, SIGINT | answers owed leave first, for at most `network.stop_deadline`; a second signal ends at once | ends at once |
| the socket file at the end | removed where the user may | stays |
| `-e`, `-Z`, `-o proxy_config` | refused: not in this release | |
"""
SHOWN_BYTES_MAX = 60


def cell(text):
    return text.replace("|", "\\|") or " "


def shown_pattern(pattern):
    """A pattern as a reader wants it."""
    for raw, plain in ((ERRORS, " / errors"), (ANY, "..."), ("(?:", "("), ("(?!ERROR$)...", "..."), ("\\d+", "N"), (".*", "..."),
                       ("\\.", "."), ("\\[", "["), ("\\]", "]"), ("\n", " / ")):
        pattern = pattern.replace(raw, plain)
    return f"`{cell(pattern)}`" if pattern else "nothing"


def shown_example(row):
    text = " ".join(repr(unit.shape())[2:-1] for unit in example_units(row))
    text = text if len(text) <= SHOWN_BYTES_MAX else f"{text[:SHOWN_BYTES_MAX // 2]} ... {text[-10:]}"
    return f"`{cell(text)}`"


def page(rows, counter_rows):
    lines = []
    for row in rows:
        theirs = [shown_pattern(row.theirs[peer]) if peer in row.theirs else "same" for peer in ("18", "45")]
        lines.append("| " + " | ".join([row.name, shown_example(row), shown_pattern(row.ours), *theirs, cell(row.why)]) + " |\n")
    counters = [f"| {row.name} | {shown_example(row)} | {', '.join(row.counters)} | {cell(row.why)} |\n" for row in counter_rows]
    return PAGE_HEAD + "".join(lines) + COUNTERS_HEAD + "".join(counters) + PAGE_TAIL
