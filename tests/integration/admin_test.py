"""Dumps and administration of a server with many items, while it is at work; and the tools that are written for them."""

import os
import pathlib
import shutil
import subprocess
import threading
import time

from harness import process, tap
from harness.patience import patient

ITEMS = 300_000
BATCH = 5_000
TOOL = pathlib.Path("/usr/share/memcached/scripts/memcached-tool")
METADUMP = b"lru_crawler metadump all\r\n"
BUSY = b"BUSY currently processing crawler request"

suite = tap.Suite()


def fill(server, items=ITEMS, value=b"v" * 20):
    with server.connect(timeout=60) as connection:
        for start in range(0, items, BATCH):
            connection.send(b"".join(b"set key:%d 0 0 %d noreply\r\n%s\r\n" % (i, len(value), value)
                                     for i in range(start, min(start + BATCH, items))))
        connection.request("version")


def read_dump(connection, end=b"END\r\n"):
    """Everything up to the end line, with `OK` first."""
    data = bytearray()
    while not data.endswith(b"\n" + end):
        piece = connection.socket.recv(1 << 20)
        assert piece, "closed in the middle of a dump"
        data += piece
    lines = bytes(data).split(b"\n")
    assert lines[0] == b"OK\r", lines[0]
    return lines[1:-2]


def key_of(line):
    words = line.split(b" ")
    assert words[-1] == b"" and [word.split(b"=")[0] for word in words[:-1]] == [
        b"key", b"exp", b"la", b"cas", b"fetch", b"cls", b"size", b"flags"], line
    return words[0][len(b"key="):].replace(b"%3A", b":")


class Writer(threading.Thread):
    """Overwrites all keys again and again, with values of changing lengths, until stopped."""

    def __init__(self, server):
        super().__init__()
        self.connection = server.connect()
        self.stopped = threading.Event()
        self.rounds = 0
        self.failure = None

    def run(self):
        try:
            while not self.stopped.is_set():
                value = b"w" * (20 + self.rounds % 3 * 40)
                for start in range(0, ITEMS, 1000):
                    self.connection.send(b"".join(b"set key:%d 0 0 %d noreply\r\n%s\r\n" % (i, len(value), value)
                                                  for i in range(start, start + 1000)))
                    self.connection.request("version")
                    if self.stopped.is_set():
                        break
                self.rounds += 1
        except Exception as failure:  # pylint: disable=broad-except  # told to the test by stop()
            self.failure = failure

    def stop(self):
        self.stopped.set()
        self.join()
        self.connection.close()
        assert self.failure is None, self.failure


@suite.test("300000 items: complete and exact, also while they are overwritten", seconds=240)
def complete(options):
    with process.Server(options, ["-m", "256"]) as server:
        fill(server)
        expected = {b"key:%d" % i for i in range(ITEMS)}
        assert int(server.stats()["curr_items"]) == ITEMS
        with server.connect(timeout=60) as connection:
            connection.send(METADUMP)
            keys = [key_of(line) for line in read_dump(connection)]
            assert len(keys) == ITEMS and set(keys) == expected
            connection.send(b"lru_crawler mgdump hash\r\n")
            lines = read_dump(connection, b"EN\r\n")
            assert {line[len(b"mg "):-1] for line in lines} == expected and len(lines) == ITEMS
            writer = Writer(server)
            writer.start()
            for _ in range(3):
                connection.send(METADUMP)
                keys = [key_of(line) for line in read_dump(connection)]
                assert set(keys) == expected, f"{len(expected - set(keys))} items are missing"
                assert len(keys) == ITEMS
            writer.stop()
            assert connection.request("version").startswith("VERSION ")


@suite.test("other connections are served during a dump", seconds=120)
def others(options):
    with process.Server(options, ["-m", "256", "-t", "1"]) as server:
        fill(server)
        with server.connect(timeout=60) as dumping, server.connect() as asking:
            dumping.send(METADUMP)
            longest = 0.0
            served = 0
            done = threading.Event()
            reader = threading.Thread(target=lambda: (read_dump(dumping), done.set()))
            reader.start()
            while not done.is_set():
                start = time.monotonic()
                assert asking.get("key:1") is not None
                longest = max(longest, time.monotonic() - start)
                served += 1
            reader.join()
            print(f"# {served} requests meanwhile, the slowest took {longest * 1000:.1f} ms")
            assert served >= 5


@suite.test("a client that never reads: memory stays, others are told BUSY, its end sets them free", seconds=120)
def never_reads(options):
    with process.Server(options, ["-m", "256"]) as server:
        fill(server)
        before = server.resident_kib()
        with server.connect(receive_buffer_bytes=4096) as stuck, server.connect() as other:
            stuck.send(METADUMP)
            time.sleep(1.0)
            assert server.resident_kib() - before < 16 * 1024
            for command in (METADUMP, b"lru_crawler mgdump all\r\n", b"lru_crawler crawl all\r\n"):
                other.send(command)
                assert other.line() == BUSY
            assert server.stats()["lru_crawler_running"] == "1"
            assert other.get("key:7") is not None
            stuck.close()
            deadline = time.monotonic() + patient(10)
            while server.stats()["lru_crawler_running"] == "1":
                assert time.monotonic() < deadline, "the dump of a closed connection goes on"
                time.sleep(0.05)
            other.send(METADUMP)
            assert len(read_dump(other)) == ITEMS


@suite.test("a slow reader gets everything", seconds=120)
def slow_reader(options):
    with process.Server(options, ["-m", "256"]) as server:
        fill(server, 50_000)
        with server.connect(receive_buffer_bytes=8192) as slow:
            slow.send(METADUMP + b"get key:1\r\n")
            data = bytearray()
            while b"\nEND\r\nVALUE key:1 0 20\r\n" not in data[-200:]:
                data += slow.socket.recv(20_000)
                time.sleep(0.0005)
            assert data.count(b"key=") == 50_000


@suite.test("fifty dumps cut short leave nothing behind", seconds=120)
def cut_short(options):
    with process.freed_memory_given_back(), process.Server(options, ["-m", "256"]) as server:
        fill(server, 100_000)
        for i in range(50):
            with server.connect() as connection:
                connection.send(METADUMP)
                connection.line()
                if i % 2:
                    connection.take(1000 * i)
            # The right to dump comes back when the server has seen the end.
            deadline = time.monotonic() + patient(10)
            while server.stats()["lru_crawler_running"] == "1":
                assert time.monotonic() < deadline
                time.sleep(0.002)
            if i == 9:
                settled = server.resident_kib()
        grown = server.resident_kib() - settled
        assert grown < (16384 if server.is_sanitized() else 4096), f"{grown} KiB"
        with server.connect() as connection:
            connection.send(METADUMP)
            assert len(read_dump(connection)) == 100_000


@suite.test("a cachedump of many items ends at 2 MB and holds nobody up", seconds=120)
def cachedump(options):
    with process.Server(options, ["-m", "256"]) as server:
        fill(server)
        items = {name.split(":")[1]: int(value) for name, value in server.stats("items").items()
                 if name.endswith(":number")}
        largest = max(items, key=items.get)
        with server.connect() as connection:
            connection.send(f"stats cachedump {largest} 0\r\n".encode())
            size = 0
            while (line := connection.line()) != b"END":
                assert line.startswith(b"ITEM key:") and line.endswith(b" [20 b; 0 s]"), line
                size += len(line) + 2
            assert (2 << 20) - 200 < size <= 2 << 20
            connection.send(f"stats cachedump {largest} 10\r\n".encode())
            assert sum(1 for _ in iter(connection.line, b"END")) == 10


@suite.test("stats items, stats slabs and cachedump agree about the classes")
def classes(options):
    with process.Server(options) as server:
        with server.connect() as connection:
            for i in range(40):
                connection.set(f"k{i}", b"x" * (2 << (i % 13)))
            found = set()
            per_class = connection.stats("items")
            for name, value in per_class.items():
                if not name.endswith(":number"):
                    continue
                number = name.split(":")[1]
                hot, warm = (int(per_class[f"items:{number}:number_{queue}"]) for queue in ("hot", "warm"))
                assert hot + warm == int(value)
                assert f"{number}:chunk_size" in connection.stats("slabs")
                connection.send(f"stats cachedump {number} 0\r\n".encode())
                lines = list(iter(connection.line, b"END"))
                assert len(lines) == int(value)
                found |= {line.split(b" ")[1] for line in lines}
            assert found == {b"k%d" % i for i in range(40)}


@suite.test("memcached-tool: display, stats, settings, sizes, dump")
def tool(options):
    if not TOOL.exists() or not shutil.which("perl"):
        raise tap.Skip("memcached-tool or perl is not installed")
    with process.Server(options, ["-o", "track_sizes"]) as server:
        with server.connect() as connection:
            for i in range(200):
                assert connection.set(f"key{i}", b"value", flags=i) == "STORED"
            assert connection.set("large", b"x" * 5000) == "STORED"

        def run(mode):
            done = subprocess.run(["perl", str(TOOL), f"127.0.0.1:{server.port}", mode], capture_output=True,
                                  stdin=subprocess.DEVNULL, timeout=30, check=False,
                                  env=dict(os.environ, LC_ALL="C"))
            assert done.returncode == 0, done
            return done.stdout.decode()

        shown = run("display").splitlines()
        assert shown[0].split()[:4] == ["#", "Item_Size", "Max_age", "Pages"], shown
        assert sum(int(line.split()[4]) for line in shown[1:]) == 201, shown
        assert ["curr_items", "201"] in [line.split() for line in run("stats").splitlines()]
        assert "maxbytes" in run("settings")
        sizes = [line.split() for line in run("sizes").splitlines() if line.split() and line.split()[0].isdigit()]
        assert sum(int(count) for _size, count in sizes) == 201, sizes
        dumped = run("dump")
        assert dumped.count("add ") == 201, dumped[:2000]
        assert "add key7 7 0 5\nvalue" in dumped.replace("\r", ""), dumped[:2000]


@suite.test("no_lru_crawler stops the reaping alone: a lowered limit still gives memory back")
def no_crawler(options):
    with process.Server(options, ["-m", "64", "-o", "no_lru_crawler"]) as server:
        with server.connect() as connection:
            for i in range(300):
                assert connection.set(f"m{i}", b"x" * 100_000, exptime=1) == "STORED"
            time.sleep(2.5)
            assert int(connection.stats()["curr_items"]) == 300
            assert connection.request("cache_memlimit 8") == "OK"
            deadline = time.monotonic() + patient(10)
            while int(connection.stats()["page_bytes"]) > 8 << 20:
                assert time.monotonic() < deadline, connection.stats()
                time.sleep(0.1)
            assert "lru_crawler_running" not in connection.stats()
            assert connection.request("lru_crawler enable") == "OK"
            while int(connection.stats()["curr_items"]) > 0:
                assert time.monotonic() < deadline + 10
                time.sleep(0.1)


@suite.test("slabs automove 0 stops the moving of pages, 1 lets it go on", seconds=90)
def automove(options):
    with process.Server(options, ["-m", "8", "-t", "1", "-o", "slab_automove=0"]) as server:
        with server.connect() as connection:
            def work(seconds):
                end = time.monotonic() + seconds
                number = 0
                while time.monotonic() < end:
                    connection.send(b"".join(b"set l%d 0 0 1500 noreply\r\n%s\r\n" % (number + i, b"x" * 1500)
                                             for i in range(500)))
                    number += 500
                    connection.request("version")
                return int(connection.stats()["slabs_moved"])

            for i in range(40_000):
                connection.send(b"set s%d 0 0 100 noreply\r\n%s\r\n" % (i, b"y" * 100))
            connection.request("version")
            still = work(4)
            assert work(3) == still, "pages move although slab_automove is 0"
            assert connection.request("slabs automove 1") == "OK"
            deadline = time.monotonic() + patient(45)
            while work(2) == still:
                assert time.monotonic() < deadline, "no page moves although slab_automove is 1"


if __name__ == "__main__":
    tap.main(suite, __doc__)
