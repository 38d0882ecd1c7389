"""Random command streams to ringcached and to memcached at once: equal answers, or a row in the table of differences.

    differential_test.py --server build/dev/ringcached --seed 7 --commands 20000
    differential_test.py --server build/dev/ringcached --seed 7 --stream 123        one stream of that run again
    differential_test.py --server ... --write-docs                                  writes docs/differences.md

The peers are Debian's memcached (--memcached, from the path) and a newer one (--memcached-newer, or the environment's
RINGCACHED_MEMCACHED_NEWER). A peer that is missing is a skip said aloud.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import sys
import time

from differential import compare, differences, shrink, table
from differential import stream as streams
from differential.unit import Unit, show
from harness import process, tap

SEED = 20260701
COMMANDS = 200_000
SERVER_FLAGS = ["-m", "1024", "-t", "1"]
# Different ones; each is shrunk.
REPORTS_MAX = 8
# Of some thousand answers that depend on time, in a run.
ONCE_MAX = 3
SECONDS_MAX = 250
PEER_NAMES = {"18": "memcached 1.6.18", "45": "memcached 1.6.45"}
# So that no id of an item is one of the small ids that streams use as old ones.
FIRST_STORES = 20
PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "differences.md"
KNOWN = table.Table(differences.ROWS)


def peers_of(options):
    """{name: path} of the peers that are here."""
    found = {}
    newer = (options.memcached_newer, os.environ.get("RINGCACHED_MEMCACHED_NEWER"))
    for name, places in (("18", (options.memcached,)), ("45", newer)):
        path = next(filter(None, (shutil.which(place) for place in places if place)), None)
        if path:
            found[name] = path
        else:
            print(f"# {PEER_NAMES[name]} is not here: nothing is compared with it", flush=True)
    return found


class Field:
    """The servers of one test, running: ringcached as "ours" and the peers; `player` plays streams against them."""

    def __init__(self, options, peers, accepts=KNOWN.accepting):
        self._stack = contextlib.ExitStack()
        self.servers = {}
        with contextlib.ExitStack() as starting:
            self.servers["ours"] = starting.enter_context(process.Server(options, SERVER_FLAGS))
            for name, path in peers.items():
                arguments = argparse.Namespace(server=path, server_flags="")
                # How a peer ends is no business of this test.
                self.servers[name] = starting.enter_context(process.Server(arguments, SERVER_FLAGS, expect_exit=None))
            self._control = {name: starting.enter_context(server.connect(timeout=60))
                             for name, server in self.servers.items()}
            self._stack = starting.pop_all()
        for connection in self._control.values():
            for _ in range(FIRST_STORES):
                connection.set("first", b"")
        self.player = compare.Player({name: server.port for name, server in self.servers.items()}, accepts)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        return self._stack.__exit__(*failure)

    def flush(self, names):
        for name in names:
            self._control[name].request("flush_all")

    def counters(self):
        return compare.counters(self._control)


class Findings:
    """What differed, each kind once, shrunk at once."""

    def __init__(self, field):
        self._field = field
        self._seen = {}
        self._once = 0

    def full(self):
        return len(self._seen) >= REPORTS_MAX

    def add_repeated(self, mismatches, same_stream):
        """Those that a second try shows again. The peers' clocks tick in whole seconds and tell an item from a flush of the same
        second by that, so a tick at the wrong moment changes an answer of theirs; that is rare, and said aloud."""
        self._field.flush(self._field.servers)
        again = {mismatch.signature() for mismatch in self._field.player.play(same_stream)}
        for mismatch in mismatches:
            if mismatch.signature() in again:
                self.add(mismatch)
                continue
            self._once += 1
            self._print("seen once and not again:\n" + mismatch.stream.describe() + "\n" + mismatch.describe())

    def add(self, mismatch):
        signature = mismatch.signature()
        self._seen[signature] = self._seen.get(signature, 0) + 1
        if self._seen[signature] > 1:
            return
        print(f"# {mismatch.stream.describe()}")
        self._print(mismatch.describe())
        shrunk = shrink.smallest(self._field.player, mismatch, self._field.flush)
        if shrunk is None:
            self._print("not repeated with each command sent by itself; replay the stream")
            return
        units, smallest = shrunk
        self._print("shrunk to\n" + "\n".join(f"  {show(unit.shape())}" for unit in units) + "\n" + smallest.describe())

    def add_counters(self, stream, changes):
        """Counters that changed by another amount than ours, unless rows explain them."""
        ours = changes.pop("ours")
        explained = {counter for row in differences.COUNTER_ROWS for unit in stream.units() if row.applies(unit)
                     for counter in row.counters}
        for name, change in changes.items():
            different = sorted(counter for counter in ours if change[counter] != ours[counter] and counter not in explained)
            signature = (name, *different)
            if different and signature not in self._seen:
                self._print(f"{stream.describe()}: counters differ from {name} (ours, theirs): "
                            + ", ".join(f"{counter} {ours[counter]} {change[counter]}" for counter in different))
                for unit in stream.units()[:20]:
                    self._print(f"  {show(unit.shape(), 120)}")
            if different:
                self._seen[signature] = self._seen.get(signature, 0) + 1

    def check(self):
        if self._once > ONCE_MAX:
            raise tap.Explained(f"{self._once} differences were seen once and not again, more than {ONCE_MAX}")
        if self._seen:
            raise tap.Explained("\n".join(f"{count} x {signature}" for signature, count in self._seen.items()))

    @staticmethod
    def _print(text):
        for line in text.splitlines():
            print(f"# {line}", flush=True)


def run_streams(options):
    peers = peers_of(options)
    if not peers:
        raise tap.Skip("no memcached to compare with (packages: group client of tools/packages.txt)")
    replay = "" if options.stream is None else f" --stream {options.stream}"
    print(f"# --seed {options.seed} --commands {options.commands}{replay}, against {', '.join(peers)}", flush=True)
    start, index = time.monotonic(), options.stream or 0
    with Field(options, peers) as field:
        findings = Findings(field)
        maker = streams.Maker(options.seed, int(time.time()), KNOWN.rows_of)
        while field.player.commands < options.commands and not findings.full():
            stream = maker.make(index)
            before = field.counters() if stream.clean else None
            mismatches = field.player.play(stream)
            if mismatches:
                findings.add_repeated(mismatches, maker.make(index))
            if before and not mismatches:
                findings.add_counters(stream, compare.counter_changes(before, field.counters()))
            index += 1
            if options.stream is not None:
                break
        print(f"# {field.player.commands} commands in {index - (options.stream or 0)} streams, "
              f"{sum(field.player.accepted.values())} known differences, {time.monotonic() - start:.0f} s", flush=True)
        findings.check()


def check_examples(name):
    """Every row about the peer shows its difference; one that does not has become wrong or superfluous."""

    def run(options):
        peers = peers_of(options)
        if name not in peers:
            raise tap.Skip(f"{PEER_NAMES[name]} is not here")
        seen = []

        def accepts(_peer, units, ours, theirs):
            seen.append((units[-1], ours, theirs))
            return "noted"

        faults = []
        with Field(options, {name: peers[name]}, accepts) as field:
            field.player.patience = shrink.PATIENCE_SECONDS
            for row in (row for row in differences.ROWS if name in row.theirs):
                seen.clear()
                field.flush(field.servers)
                units = table.example_units(row)
                field.player.play(streams.single(units, units[0].binary))
                faults += faults_of(row, name, units, seen)
            for row in differences.COUNTER_ROWS:
                before = field.counters()
                units = table.example_units(row)
                field.player.play(streams.single(units, units[0].binary))
                changes = compare.counter_changes(before, field.counters())
                different = tuple(counter for counter in compare.COUNTERS if changes["ours"][counter] != changes[name][counter])
                if different != row.counters:
                    faults.append(f"{row.name}: the counters that differ are {different}")
        if faults:
            raise tap.Explained("\n".join(faults))

    return run


def faults_of(row, peer, units, seen):
    """What is wrong with a row, given the differences seen in its example."""
    if not any(row in KNOWN.rows_of(unit) for unit in units):
        return [f"{row.name}: does not apply to its own example"]
    if not seen:
        return [f"{row.name}: ringcached and {peer} answer the example alike"]
    unit, ours, theirs = seen[0]
    if not row.covers(peer, ours, theirs):
        return [f"{row.name}: the answers to {show(unit.shape(), 80)} are {show(ours)} and {show(theirs)}"]
    return []


def check_canary(options):
    """A difference that no row covers is found, and shrunk to the one command that shows it."""
    peers = peers_of(options)
    if not peers:
        raise tap.Skip("no memcached to compare with")
    name = next(iter(peers))
    with Field(options, {name: peers[name]}, lambda *_: None) as field:
        # Leading blanks are not ERROR in one, missing words are in the other: each has something to find.
        wanted = {"18": b"touch k\r\n", "45": b" get k\r\n"}[name]
        units = [Unit((sent,)) for sent in (b"set k 0 0 1\r\nx\r\n", b"get k\r\n", wanted, b"get a\r\n")]
        found = field.player.play(streams.single(units))
        assert len(found) == 1 and found[0].units[0] is units[2], found
        left, _ = shrink.smallest(field.player, found[0], field.flush)
        assert [unit.shape() for unit in left] == [wanted], left


def check_page(_options):
    wanted = table.page(differences.ROWS, differences.COUNTER_ROWS)
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted:
        raise tap.Explained("docs/differences.md is not what --write-docs would write")


def main():
    arguments = tap.parser(__doc__)
    arguments.add_argument("--memcached", default="memcached", help="Debian's memcached, 1.6.18")
    arguments.add_argument("--memcached-newer", default="",
                           help="a memcached of 1.6.40 or later; else RINGCACHED_MEMCACHED_NEWER's")
    arguments.add_argument("--seed", type=int, default=SEED)
    arguments.add_argument("--commands", type=int, default=COMMANDS)
    arguments.add_argument("--stream", type=int, help="play this one of the seed's streams only")
    arguments.add_argument("--write-docs", action="store_true", help="write docs/differences.md and end")
    options = arguments.parse_args()
    if options.write_docs:
        PAGE.write_text(table.page(differences.ROWS, differences.COUNTER_ROWS), encoding="utf-8")
        return
    suite = tap.Suite()
    suite.add("docs/differences.md is current", check_page)
    suite.add("a planted difference is found and shrunk", check_canary)
    for name, title in PEER_NAMES.items():
        suite.add(f"every row of the table differs from {title}", check_examples(name))
    suite.add("random streams", run_streams, SECONDS_MAX)
    sys.exit(suite.run(options))


if __name__ == "__main__":
    main()
