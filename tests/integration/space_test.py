"""Space that moves in the running server: large values into memory full of small ones, expiry without reads, the resident set."""

import random
import time

from harness import process, space, tap
from harness.patience import costly, patient

suite = tap.Suite()

MIB = 1 << 20
PAGE_BYTES = 256 << 10


WORKERS = ["-t", "2"]


@suite.test("1 MiB and the -I size are stored while memory is full of small items and others go on storing them")
def large_among_small(options):
    flags = ["-m", "64", "-I", "32m"] + WORKERS
    with process.Server(options, flags) as server:
        small = random.Random(1).randbytes(50).hex().encode()
        with server.connect() as first, server.connect() as second:
            for connection, prefix in ((first, b"a"), (second, b"b")):
                space.store_many(connection, 300_000, small * 2, prefix=prefix)
            assert int(first.stats()["evictions"]) > 0
            with space.Background(server) as one, space.Background(server) as other:
                for value_bytes, rounds in ((MIB - 100, 10), (32 * MIB - 100, 2)):
                    value = random.Random(value_bytes).randbytes(value_bytes)
                    for number in range(rounds):
                        for connection in (first, second):
                            key = b"large%d" % number
                            connection.send(b"set %s 0 0 %d\r\n" % (key, value_bytes) + value + b"\r\n")
                            line = connection.line()
                            assert line == b"STORED", line
                            connection.send(b"mg %s v\r\n" % key)
                            line = connection.line()
                            # Two of the largest do not fit beside each other, and small sets may evict it.
                            assert line in (b"VA %d" % value_bytes, b"EN"), line
                            if line != b"EN":
                                assert connection.take(value_bytes + 2) == value + b"\r\n"
                for background in (one, other):
                    assert set(background.answers) == {b"STORED"}, background.answers
            stats = first.stats()
            assert int(stats["page_bytes"]) <= 64 * MIB, stats["page_bytes"]
            assert int(stats["slabs_moved"]) > 0 and int(stats["store_no_memory"]) == 0, stats


@suite.test("the largest value there may be, 1 GiB, is stored, sent and replaced")
def largest(options):
    if space.bytes_available() < 4 << 30:
        raise tap.Skip("4 GiB of memory needed")
    value_bytes = (1 << 30) - 100
    piece = random.Random(30).randbytes(MIB)

    def pieces():
        for at in range(0, value_bytes, MIB):
            yield piece[:value_bytes - at]

    flags = ["-m", "2048", "-I", "1024m", "-t", "1"]
    with process.Server(options, flags) as server, server.connect(timeout=patient(60)) as client:
        client.send(b"set key 7 0 %d\r\n" % value_bytes)
        for part in pieces():
            client.send(part)
        client.send(b"\r\n")
        assert client.line() == b"STORED"
        client.send(b"get key\r\n")
        assert client.line() == b"VALUE key 7 %d" % value_bytes
        for part in pieces():
            assert client.take(len(part)) == part
        assert client.take(7) == b"\r\nEND\r\n"
        client.send(b"set key 0 0 3\r\nnew\r\nget key\r\n")
        assert client.line() == b"STORED" and client.line() == b"VALUE key 0 3"
        client.take(10)
        # What it took serves others.
        space.store_many(client, 3, b"v" * 900_000)
        assert int(client.stats()["store_no_memory"]) == 0


@suite.test("expired items are gone soon, without reads, at little CPU, and their pages are free")
def expiry(options):
    items, ttl = 200_000, 4
    with process.Server(options, ["-m", "128"] + WORKERS) as server:
        with server.connect() as first, server.connect() as second:
            for connection, prefix in ((first, b"a"), (second, b"b")):
                space.store_many(connection, items // 2, b"v" * 32, ttl, prefix)
            stored = time.monotonic()
            resident = int(first.stats()["page_bytes_resident"])
        time.sleep(max(0, stored + ttl - 1 - time.monotonic()))
        began, cpu = time.monotonic(), space.cpu_seconds(server.process.pid)
        gone = space.seconds_until_gone(server, 30 if server.is_sanitized() else 10 + 1)
        assert gone is not None, server.stats()["curr_items"]
        share = (space.cpu_seconds(server.process.pid) - cpu) / max(time.monotonic() - began, 10)
        assert share < costly(0.05) or server.is_sanitized(), f"{share:.3f} of a core"
        stats = server.stats()
        assert int(stats["crawler_reclaimed"]) == items and int(stats["get_expired"]) == 0, stats
        assert int(stats["page_bytes"]) <= 16 * 256 * 1024, stats["page_bytes"]
        assert int(stats["page_bytes_resident"]) <= resident, stats  # kept for what is stored next
        classes = {name: value for name, value in server.stats("items").items() if name.endswith(":number")}
        assert not classes, classes


@suite.test("an idle server sleeps, with items that never expire and with some that will")
def idle(options):
    with process.Server(options, ["-m", "64"] + WORKERS) as server:
        with server.connect() as connection:
            space.store_many(connection, 50_000, b"v" * 100, prefix=b"stay")
            space.store_many(connection, 50_000, b"v" * 100, 3600, prefix=b"later")
        time.sleep(1)
        seconds = 2
        before, cpu = space.wake_ups(server.process.pid), space.cpu_seconds(server.process.pid)
        time.sleep(seconds)
        woken = space.wake_ups(server.process.pid) - before
        used = space.cpu_seconds(server.process.pid) - cpu
        threads = 2 + 2  # workers, acceptor, main
        # A tick is a quarter of a second.
        assert woken <= threads * 5 * (seconds + 0.5), woken
        assert used / seconds < (0.1 if server.is_sanitized() else costly(0.01)), used


@suite.test("the resident set grows by what stats says, at two sizes of -m, whatever is stored")
def resident_set(options):
    for limit, value_bytes in ((16, 60), (64, 3000)):
        with process.Server(options, ["-m", str(limit)] + WORKERS) as server:
            if server.is_sanitized():
                return  # shadow memory
            connections = [server.connect() for _ in range(50)]
            for connection in connections:  # so that every buffer of the workers has been used once
                space.store_many(connection, 100, b"v" * 3000, prefix=b"warm")
            before, resident_before = connections[0].stats(), server.resident_kib() * 1024
            count = 2 * limit * MIB // (value_bytes + 50)
            for number, connection in enumerate(connections[:2]):
                space.store_many(connection, count // 2, b"v" * value_bytes, prefix=b"p%d" % number)
            # The thread that gets memory ahead may be behind what it just read.
            until = time.monotonic() + patient(2)
            while True:
                after, resident = connections[0].stats(), server.resident_kib() * 1024
                predicted = space.predicted_growth(before, after)
                error = resident - resident_before - predicted
                if abs(error) <= max(predicted * 0.03, 2 * MIB):
                    break
                assert time.monotonic() < until, f"-m {limit}: grew by {resident - resident_before}, predicted {predicted}"
                time.sleep(0.2)
            assert int(after["page_bytes"]) <= limit * MIB, after["page_bytes"]
            # A page may be on its way from one worker to the other.
            assert int(after["page_bytes"]) >= limit * MIB - PAGE_BYTES, after["page_bytes"]


@suite.test("slabs automove: 0 stops the moving, the ratio and the window are taken")
def automove(options):
    with process.Server(options, ["-m", "16", "-t", "1", "-o", "slab_automove=0"]) as server:
        with server.connect() as connection:
            space.store_many(connection, 150_000, b"v" * 100, prefix=b"small")
            space.store_many(connection, 3000, b"v" * 10240, prefix=b"first")
            held = int(connection.stats()["slabs_moved"])
            for line in (b"slabs automove 1", b"slabs automove ratio 0.9", b"slabs automove window 20"):
                connection.send(line + b"\r\n")
                assert connection.line() == b"OK", line
            settings = connection.stats("settings")
            assert settings["slab_automove_ratio"] == "0.90" and settings["slab_automove_window"] == "20", settings
            space.store_many(connection, 6000, b"v" * 10240, prefix=b"second")
            moved = int(connection.stats()["slabs_moved"])
            assert held <= 4 and moved >= 50, (held, moved)


@suite.test("--eviction lru keeps what was used again, as S3-FIFO does")
def eviction_order(options):
    kept = {}
    for policy in ("lru", "s3fifo"):
        with process.Server(options, ["-m", "4", "-t", "1", "--eviction", policy]) as server:
            with server.connect() as connection:
                space.store_many(connection, 200, b"v" * 1000, prefix=b"new")
                # More than the small queue holds, less than the whole memory.
                space.store_many(connection, 2500, b"v" * 1000, prefix=b"scan")
                connection.send(b"".join(b"mg new%d\r\n" % i for i in range(200)) + b"mn\r\n")
                hits = 0
                while (line := connection.line()) != b"MN":
                    hits += line == b"HD"
                space.store_many(connection, 3000, b"v" * 1000, prefix=b"more")
                connection.send(b"".join(b"mg new%d\r\n" % i for i in range(200)) + b"mn\r\n")
                kept[policy] = 0
                while (line := connection.line()) != b"MN":
                    kept[policy] += line == b"HD"
                assert hits == 200, hits
                assert int(connection.stats()["evictions"]) > 0
    assert min(kept.values()) > 150, kept


if __name__ == "__main__":
    tap.main(suite, __doc__)
