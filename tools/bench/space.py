#!/usr/bin/env python3
"""How a ringcached server's space moves: JSON lines of {"name", "value", "unit", "goal", "met"}.

Run with the path of a server; --long adds an item of 1 GiB, for which 2.5 GiB of memory must be free.
"""

import argparse
import json
import os
import pathlib
import random
import sys
import time
import types

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from harness import process, space  # noqa: E402  (the path must be known first)

MIB = 1 << 20
KEYS_PER_READ = 50


def row(name, value, unit, goal, met):
    """`met` is None for a figure without a goal."""
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "goal": goal, "met": met}), flush=True)
    return met is not False


class Popular:
    """Ranks by Zipf's law with exponent 1, the same for the same seed."""

    def __init__(self, keys, seed):
        self.weights = []
        total = 0.0
        for rank in range(keys):
            total += 1 / (rank + 1)
            self.weights.append(total)
        self.random = random.Random(seed)

    def draw(self, count):
        return self.random.choices(range(len(self.weights)), cum_weights=self.weights, k=count)


class Client:
    """Reads many keys at a time and stores what was missed."""

    def __init__(self, server):
        self.connection = server.connect()
        self.stored_bytes = 0

    def access(self, names, sizes):
        """The number of hits. Values are not asked for: `mg <key>` answers HD or EN."""
        self.connection.send(b"".join(b"mg %s\r\n" % name for name in names))
        missed = [at for at in range(len(names)) if self.connection.line() == b"EN"]
        text = []
        for name, size in {names[at]: sizes[at] for at in missed}.items():
            text.append(b"ms %s %d q\r\n" % (name, size) + b"v" * size + b"\r\n")
            self.stored_bytes += size
        if text:
            self.connection.send(b"".join(text) + b"mn\r\n")
            assert self.connection.line() == b"MN"
        return len(names) - len(missed)


PHASES = (
    ("100 B", [100], 3.0),
    ("10 KiB", [10240], 10.0),
    ("mixed", [100, 1024, 10240], 10.0),
)


def run_phase(name, sizes, clients, keys, memories, limit, seed):
    """Hit ratios per tenth of what is stored, in per cent: [(memories stored, hits %)]."""
    popular = Popular(keys, seed)
    prefix = name.replace(" ", "").encode()
    before = sum(client.stored_bytes for client in clients)
    series, hits, asked, mark = [], 0, 0, memories / 20
    turn = 0
    deadline = time.monotonic() + 120
    while mark <= memories and time.monotonic() < deadline:
        ranks = popular.draw(KEYS_PER_READ)
        names = [b"%s:%d" % (prefix, rank) for rank in ranks]
        hits += clients[turn % len(clients)].access(names, [sizes[rank * 2654435761 % 4294967296 % len(sizes)] for rank in ranks])
        asked += KEYS_PER_READ
        turn += 1
        stored = (sum(client.stored_bytes for client in clients) - before) / limit
        if stored >= mark:
            series.append((stored, 100 * hits / asked))
            hits, asked, mark = 0, 0, mark + memories / 20
    return series


def size_change(options, memory_mib, workers, writers_then):
    """The hit ratio at the end of each phase, against a fresh server's."""
    good = True
    limit = memory_mib * MIB
    flags = ["-m", str(memory_mib), "-t", str(workers)]
    with process.Server(options, flags) as changed:
        old_clients = [Client(changed) for _ in range(4 * workers)]
        for number, (name, sizes, memories) in enumerate(PHASES):
            mean = sum(sizes) / len(sizes)
            keys = int(3 * limit / (mean + 60))
            # Connections go to the workers in turn.
            step = 1 if number == 0 else workers // writers_then
            with process.Server(options, flags) as fresh:
                new_clients = [Client(fresh) for _ in range(4 * workers)]
                expected = run_phase(name, sizes, new_clients[::step], keys, memories, limit, number)
            series = run_phase(name, sizes, old_clients[::step], keys, memories, limit, number)
            if not expected or not series:
                continue
            tail = max(len(expected) // 4, 1)
            fresh_percent = sum(percent for _, percent in expected[-tail:]) / tail
            tail = max(len(series) // 4, 1)
            percent = sum(hits for _, hits in series[-tail:]) / tail
            label = f"-m {memory_mib}, {workers} workers, {'all' if step == 1 else writers_then} storing: {name}"
            row(f"fresh server, {label}", fresh_percent, "% hits", "", None)
            good &= row(f"after the phase before, {label}", percent, "% hits", f">= {fresh_percent - 1:.2f}",
                        percent >= fresh_percent - 1)
            late = [stored for stored, hits in series if hits < fresh_percent - 1]
            good &= row(f"until within a point, {label}", late[-1] if late else 0, "memories stored", "<= 8",
                        not late or late[-1] <= 8)
    return good


def large_items(options, long_run):
    """A large value while memory is full of small ones and another client goes on storing them."""
    cases = [("1m", 64, MIB - 100, 20), ("128m", 256, 128 * MIB - 100, 3)]
    if long_run:
        cases.append(("1024m", 2048, 1024 * MIB - 200, 1))
    good = True
    for text, memory_mib, value_bytes, rounds in cases:
        with process.Server(options, ["-m", str(memory_mib), "-I", text, "-t", "2"]) as server:
            with server.connect(timeout=300) as connection:
                space.store_many(connection, memory_mib * MIB // 150, b"v" * 100, prefix=b"fill")
                value = b"v" * value_bytes
                stored = 0
                with space.Background(server) as background:
                    began = time.monotonic()
                    for number in range(rounds):
                        connection.send(b"set large%d 0 0 %d\r\n" % (number, value_bytes) + value + b"\r\n")
                        stored += connection.line() == b"STORED"
                    seconds = (time.monotonic() - began) / rounds
                ok = stored == rounds and set(background.answers) == {b"STORED"}
                good &= row(f"values of {text} stored while memory is full, -m {memory_mib}", 100 * stored / rounds, "%",
                            "100", ok)
                row(f"time for one, {text}, with another client storing", seconds * 1000, "ms", "", None)
    return good


def expiry(options, items=1_000_000, ttl=5):
    """A million items that expire."""
    with process.Server(options, ["-m", "256", "-t", "2"]) as server:
        with server.connect() as first, server.connect() as second:
            for connection, prefix in ((first, b"a"), (second, b"b")):
                space.store_many(connection, items // 2, b"v" * 32, ttl, prefix)
        ended = time.monotonic() + ttl
        # Those stored first expire before the last.
        began, cpu = time.monotonic(), space.cpu_seconds(server.process.pid)
        row("items there when the last is stored", int(server.stats()["curr_items"]), "items", "", None)
        time.sleep(max(0, ended - 0.5 - time.monotonic()))
        gone = space.seconds_until_gone(server, 30)
        seconds = time.monotonic() - ended
        watched = ttl + 10
        time.sleep(max(0, watched - (time.monotonic() - began)))
        used = space.cpu_seconds(server.process.pid) - cpu
        stats = server.stats()
        good = row(f"{items:,} items with a TTL of {ttl} s: gone after their time", seconds if gone is not None else 30, "s",
                   "<= 10", gone is not None and seconds <= 10)
        good &= row("CPU for that, over 10 s", 100 * used / 10, "% of a core", "< 5", used / 10 < 0.05)
        row("pages still in use", int(stats["page_bytes"]) / MIB, "MiB", "", None)
        row("pages kept resident for the next use", int(stats["page_bytes_resident"]) / MIB, "MiB", "", None)
        return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", help="the ringcached to run")
    parser.add_argument("--memory", type=int, default=64, help="-m of the size-change rows, in MiB")
    parser.add_argument("--long", action="store_true", help="an item of 1 GiB, too")
    parser.add_argument("--only", default="", choices=["", "size-change", "large", "expiry"])
    arguments = parser.parse_args()
    options = types.SimpleNamespace(server=os.path.abspath(arguments.server), server_flags="", dialect="rc")
    good = True
    if arguments.only in ("", "expiry"):
        good &= expiry(options)
    if arguments.only in ("", "large"):
        good &= large_items(options, arguments.long)
    if arguments.only in ("", "size-change"):
        good &= size_change(options, arguments.memory, 1, 1)
        good &= size_change(options, arguments.memory, 2, 1)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
