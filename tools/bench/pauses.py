#!/usr/bin/env python3
"""How long a worker's turns get while a ringcached server grows its index, flushes, expires items and moves pages: JSON
lines of {"name", "value", "unit", "goal", "met"}.

Run with the paths of a server and of the load generator. What counts is the CPU time of turns, from the histograms that the
server keeps (`stats latency`), since other processes stretch the rest; while background work is under way a client gets. On a
machine with other work --real-time keeps that work from interrupting a worker: who waits for a lock that an interrupted one
holds is charged for the waiting. `tools/dev bench store` runs all of it.
"""

import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time
import types

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from harness import process, space  # noqa: E402  (the path must be known first)

TURN_US_MAX = 1000
BUCKETS_AT_START = 16
ITEMS_PER_BUCKET = 7.5
POWER_OF_ITEMS = 3  # hash_power_level is of buckets for one item each, as memcached's
FILL_SECONDS_MAX = 600
REAL_TIME_PRIORITY = 40


def row(name, value, unit, goal, met):
    """`met` is None for a figure without a goal."""
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "goal": goal, "met": met}), flush=True)


class Gets(space.Client):
    """One get after the other."""

    def __init__(self, server):
        super().__init__(server.connect(timeout=120))
        self.longest = 0.0

    def once(self):
        began = time.monotonic()
        self.connection.get("probe")
        self.longest = max(self.longest, time.monotonic() - began)
        time.sleep(0.0002)


class Run:
    """What the server's turns took while the body of the `with` ran."""

    def __init__(self, server, name, gets=True):
        self.server, self.name = server, name
        self.gets = Gets(server) if gets else None

    def __enter__(self):
        with self.server.connect(timeout=120) as connection:
            connection.set("probe", b"v")
            assert connection.request("stats reset") == "RESET"
            connection.get("probe")  # workers clear their histograms in their next turn
        time.sleep(0.3)
        if self.gets:
            self.gets.__enter__()
        return self

    def __exit__(self, failure, *_):
        if self.gets:
            self.gets.__exit__()
        if failure:
            return
        found = {name: float(value) for name, value in self.server.stats("latency").items()}
        longest, most = found["turn_cpu_max_us"], found["turn_cpu_p999_us"]
        row(f"{self.name}: turn, CPU, longest of {found['turn_cpu_count']:,.0f}", longest, "us", f"<= {TURN_US_MAX}",
            longest <= TURN_US_MAX)
        row(f"{self.name}: turn, CPU, 99.9 %", most, "us", f"<= {TURN_US_MAX}", most <= TURN_US_MAX)
        row(f"{self.name}: turn, elapsed, longest", found["turn_max_us"], "us", "", None)
        if longest > TURN_US_MAX:
            parts = {name[len("longest_turn_"):]: value for name, value in found.items() if name.startswith("longest_turn_")}
            print(f"{self.name}: of the longest turn: {parts}", file=sys.stderr, flush=True)
        for step in ("reaper", "index", "pages", "flush"):
            if found.get(f"upkeep_{step}_count", 0) > 0:
                row(f"{self.name}: step of {step}, longest", found[f"upkeep_{step}_max_us"], "us", "", None)
        if self.gets:
            row(f"{self.name}: get of the client beside, longest", self.gets.longest * 1e6, "us", "", None)


def start(options, memory_mib, *flags, workers=2):
    return process.Server(options, flags=["-m", str(memory_mib), "-t", str(workers), "--latency-histograms", "cpu", *flags])


def load(options, server, keys, value_bytes, connections=4, pipeline=16):
    """Every key once. Pipelines so short that the requests themselves are no long turn."""
    subprocess.run([options.generator, "--port", str(server.port), "--keys", str(keys),
                    "--key-bytes", "16", "--value-bytes", str(value_bytes), "--connections", str(connections),
                    "--pipeline", str(pipeline), "--preload-only"], check=True, stdout=subprocess.DEVNULL,
                   timeout=FILL_SECONDS_MAX)


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def pages_by_class(server):
    return {int(name.split(":")[0]): int(value) for name, value in server.stats("slabs").items()
            if name.endswith(":total_pages")}


def growth_and_flush(options):
    """Both over the same items."""
    items = int((1 << options.buckets) * ITEMS_PER_BUCKET * 1.02)
    memory_mib = items * 56 // (1 << 20) + 64
    with start(options, memory_mib, "-o", f"hashpower={BUCKETS_AT_START + POWER_OF_ITEMS}") as server:
        before = int(server.stats()["hash_power_level"]) - POWER_OF_ITEMS
        began = time.monotonic()
        with Run(server, f"growing from 2^{before} to 2^{options.buckets} buckets"):
            load(options, server, items, 1)
        row("items stored for that", items, "items", "", None)
        row("seconds for that", time.monotonic() - began, "s", "", None)
        power = int(server.stats()["hash_power_level"]) - POWER_OF_ITEMS
        row("buckets then, as a power of 2", power, "", f">= {options.buckets}", power >= options.buckets)
        with Run(server, "the same load, without growth"):
            load(options, server, min(items, 2_000_000), 1)
        flushed = int(server.stats()["curr_items"])
        began = time.monotonic()
        with Run(server, f"flush_all over {flushed / 1e6:.1f} million items"), server.connect() as connection:
            assert connection.request("flush_all") == "OK"
            wait_for(lambda: int(connection.stats()["curr_items"]) <= 1, 300, "flush")
        row("until their memory is back", time.monotonic() - began, "s", "", None)


def many_flushes(options, items=5_000_000, flushes=300):
    """Epochs are numbered modulo 64, so that memory must be gone over before a number is used again."""
    with start(options, items * 64 // (1 << 20)) as server:
        load(options, server, items, 1)
        with Run(server, f"{flushes} flush_all, a set before each, over {items // 1_000_000} million items"):
            began, longest = time.monotonic(), 0.0
            with server.connect(timeout=120) as connection:
                for _ in range(flushes):
                    connection.set("one", b"v")
                    asked = time.monotonic()
                    assert connection.request("flush_all") == "OK"
                    longest = max(longest, time.monotonic() - asked)
                assert connection.get("one") is None
        row("seconds for these", time.monotonic() - began, "s", "", None)
        row("the slowest of these answered after", longest * 1e3, "ms", "", None)


def size_change(options, memory_mib=256):
    """From the smallest class, 8192 items a page, to others."""
    with start(options, memory_mib) as server:
        # Of 5 byte keys: a class of 32 bytes has 8192 chunks in a page.
        with server.connect(timeout=120) as connection:
            space.store_many(connection, memory_mib * (1 << 20) // 32, b"v", prefix=b"")
        full = pages_by_class(server)
        row("pages of the smallest class", full[min(full)], "pages", "", None)
        for value_bytes, count in ((100, 400_000), (10_000, 20_000)):
            with Run(server, f"from items of 32 bytes to values of {value_bytes:,}"):
                load(options, server, count, value_bytes, pipeline=4)
        row("pages moved by that", int(server.stats()["slabs_moved"]), "pages", "", None)
        with Run(server, "slabs reassign out of the smallest class"), server.connect(timeout=120) as connection:
            moved = 0
            large = max(pages_by_class(server))
            deadline = time.monotonic() + 5
            while moved < 100 and time.monotonic() < deadline:
                answer = connection.request(f"slabs reassign {min(full)} {large}")
                moved += answer == "OK"
                time.sleep(0.002)
        row("pages moved on request", moved, "pages", "", None)
    with start(options, memory_mib, "-I", "2m") as server, server.connect(timeout=120) as connection:
        space.store_many(connection, memory_mib * (1 << 20) // 32, b"v", prefix=b"")
        with Run(server, "values of 1 MiB into memory full of items of 32 bytes"):
            for number in range(50):
                connection.set(f"large{number}", b"v" * (1 << 20))
        row("pages moved by that", int(server.stats()["slabs_moved"]), "pages", "", None)


def first_of_their_classes(options, memory_mib=256):
    """One worker whose memory is full to the last chunk and was never short: nobody to ask, and nothing made ready yet."""
    with start(options, memory_mib, workers=1) as server, server.connect(timeout=120) as connection:
        stored = 0

        def room():
            free = [int(value) for name, value in server.stats("slabs").items() if name.endswith(":free_chunks")]
            return int(server.stats()["slab_global_page_pool"]) * 8192 + max(free, default=0)

        while stored == 0 or room() > 300:
            count = max(room() // 2, 100) if stored else memory_mib * (1 << 20) // 64
            space.store_many(connection, count, b"v", prefix=b"", first=stored)
            stored += count
        assert server.stats()["evictions"] == "0"
        with Run(server, "the first values of 100, 1,000 and 10,000 bytes among 8 million items of 32"):
            for value_bytes in (100, 1000, 10_000):
                assert connection.set(f"first{value_bytes}", b"v" * value_bytes) == "STORED"


def expiry(options, items=1_000_000, ttl=3):
    with start(options, 256) as server:
        with server.connect(timeout=120) as connection:
            space.store_many(connection, items, b"v" * 8, ttl)
        with Run(server, f"{items:,} items expire"), server.connect() as connection:
            wait_for(lambda: int(connection.stats()["curr_items"]) <= 1, 60, "expiry")


PARTS = {"growth": growth_and_flush, "flushes": many_flushes, "pages": size_change, "classes": first_of_their_classes, "expiry": expiry}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", help="the ringcached to run")
    parser.add_argument("generator", help="bench/load_generator")
    parser.add_argument("--buckets", type=int, default=22, help="to grow to, as a power of 2: 22 takes 2 GiB and a minute, 24 9 GiB")
    parser.add_argument("--only", default="", choices=["", *PARTS])
    parser.add_argument("--real-time", action="store_true", help=f"run the server with real-time priority {REAL_TIME_PRIORITY}")
    arguments = parser.parse_args()
    server = os.path.abspath(arguments.server)
    if arguments.real_time:
        server = shlex.join(["chrt", "-f", str(REAL_TIME_PRIORITY), server])
    options = types.SimpleNamespace(server=server, server_flags="", dialect="rc",
                                    generator=os.path.abspath(arguments.generator), buckets=arguments.buckets)
    for name, part in PARTS.items():
        if arguments.only in ("", name):
            part(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
