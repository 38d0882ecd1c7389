"""Measures of a server's memory and background work, for the tests and the bench."""

import os
import pathlib
import threading
import time

# Lines of `stats` that are memory of their own; docs/administration.md says what each is.
RESIDENT_LINES = ("page_bytes_resident", "hash_bytes", "queue_bytes", "read_buf_bytes", "response_obj_bytes")
CONNECTION_BYTES = 640  # a connection that has done a get, and its socket's share of the process


def predicted_growth(before, after):
    """By how many bytes the resident set grew between two answers of `stats`."""
    grown = sum(int(after[line]) - int(before[line]) for line in RESIDENT_LINES)
    return grown + CONNECTION_BYTES * (int(after["curr_connections"]) - int(before["curr_connections"]))


def bytes_available():
    """Memory of this machine that a test may use."""
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pid):
    """Time on a CPU of all threads of the process so far."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def wake_ups(pid):
    """How often threads of the process have gone to sleep so far."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                total += int(line.split()[1])
    return total


def store_many(connection, count, value, ttl=0, prefix=b"key", batch=2000, first=0):
    """`count` items under new keys, numbered from `first` on, without answers; returns when the last is stored."""
    tail = b" 0 %d %d noreply\r\n%s\r\n" % (ttl, len(value), value)
    for start in range(first, first + count, batch):
        end = min(first + count, start + batch)
        connection.send(b"".join(b"set %s%d%s" % (prefix, i, tail) for i in range(start, end)))
    connection.send(b"mn\r\n")
    assert connection.line() == b"MN"


def seconds_until_gone(server, seconds_max):
    """Until `curr_items` is 0, looking ten times a second; None if it takes longer than that."""
    began = time.monotonic()
    with server.connect() as connection:
        while int(connection.stats()["curr_items"]) > 0:
            if time.monotonic() - began > seconds_max:
                return None
            time.sleep(0.1)
    return time.monotonic() - began


class Client(threading.Thread):
    """A connection of its own that does again and again what `once()` says, as long as the `with` lasts."""

    def __init__(self, connection):
        super().__init__()
        self.connection = connection
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            self.once()

    def once(self):
        raise NotImplementedError

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()
        self.connection.close()


class Background(Client):
    """Small sets; `answers` counts what came back."""

    BATCH = 200

    def __init__(self, server, value_bytes=100, keys=1_000_000):
        super().__init__(server.connect())
        self.value = os.urandom(value_bytes // 2).hex().encode()
        self.keys = keys
        self.number = 0
        self.answers = {}

    def once(self):
        keys = ((self.number + i) % self.keys for i in range(self.BATCH))
        self.connection.send(b"".join(b"set small%d 0 0 %d\r\n%s\r\n" % (key, len(self.value), self.value) for key in keys))
        self.number += self.BATCH
        for _ in range(self.BATCH):
            line = self.connection.line()
            self.answers[line] = self.answers.get(line, 0) + 1
