"""The fuzz corpus, which holds memcached's history of bad inputs, against the real server in every situation that mattered:
log level, transport, whole or byte by byte, before and after a login, with a watcher, read fast or not at all."""

import itertools
import os
import pathlib
import socket

from harness import process, tap, wire

suite = tap.Suite()

CORPUS = pathlib.Path(__file__).resolve().parent.parent / "fuzz" / "corpus"
# Long inputs go byte by byte only so far: what they test by length they test when sent whole.
SINGLE_BYTES_MAX = 1200
# What a client may leave behind in the server beyond what the store keeps: buffers, slots, allocator caches.
GROWTH_KIB_MAX = 64 * 1024
LOGIN = b"set login 0 0 8\r\nreplay r\r\n"
WATCH = b"watch fetchers mutations evictions connevents deletions sysevents\r\n"


def corpus():
    files = sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.parent.name != "udp")
    assert len(files) > 70, "the corpus is incomplete"
    return [(f"{path.parent.name}/{path.name}", path.read_bytes()) for path in files]


def send_all(connection, data, single_bytes):
    """A server that closes in the middle is within its rights."""
    try:
        if single_bytes:
            for at in range(min(len(data), SINGLE_BYTES_MAX)):
                connection.send(data[at:at + 1])
            data = data[SINGLE_BYTES_MAX:]
        if data:
            connection.send(data)
        connection.send_end()
    except OSError:
        return


def read_to_end(connection):
    """The server must end the connection after ours has ended; how, is not judged here."""
    connection.socket.settimeout(20)
    try:
        while connection.socket.recv(1 << 20):
            pass
    except ConnectionError:
        pass


class Situation:
    def __init__(self, verbosity, unix, login):
        self.verbosity = verbosity
        self.unix = unix
        self.login = login

    def __str__(self):
        return (f"-v {self.verbosity}, {'UNIX' if self.unix else 'TCP'}, "
                f"{'with a password file' if self.login else 'open'}")

    def flags(self, directory):
        flags = ["-" + "v" * self.verbosity] if self.verbosity else []
        if self.login:
            path = os.path.join(directory, "passwords")
            with open(path, "w", encoding="utf-8") as file:
                file.write("replay:r\n")
            flags += ["-Y", path]
        return flags


def log_in(connection, situation):
    if situation.login:
        connection.send(LOGIN)
        assert connection.line() == b"STORED"


def log_in_now(server):
    try:
        with server.connect() as connection:
            connection.send(LOGIN)
            return connection.line() == b"STORED"
    except (OSError, wire.Closed):
        return False


def check_alive(server, situation, name, tries=1):
    """What other clients have sent may flush between the two commands: `tries` where some of it is still on its way."""
    with server.connect() as probe:
        log_in(probe, situation)
        for _ in range(tries):
            assert probe.set("alive", b"yes") == "STORED", name
            value = probe.get("alive")
            if value == b"yes":
                return
            assert value is None, f"{name}: {value!r}"
        raise AssertionError(f"{name}: {tries} times not found right after it was stored")


def replay(server, situation, single_bytes, watched):
    watcher = None
    if watched:
        watcher = server.connect()
        log_in(watcher, situation)
        watcher.send(WATCH)
        assert watcher.line() == b"OK"
    for (name, data), logged_in in itertools.product(corpus(), (True, False) if situation.login else (True,)):
        with server.connect() as connection:
            if logged_in:
                log_in(connection, situation)
            send_all(connection, data, single_bytes)
            read_to_end(connection)
        check_alive(server, situation, name)
    if watcher:
        watcher.close()


def replay_unread(server, situation):
    """Clients that send and never read, all at once."""
    clients = []
    for _, data in corpus():
        connection = server.connect()
        log_in(connection, situation)
        connection.socket.setblocking(False)
        try:
            connection.socket.send(data)
        except OSError:
            pass
        clients.append(connection)
    # Each client flushes a few times at most.
    check_alive(server, situation, "clients that do not read", tries=len(clients))
    for connection in clients:
        try:
            connection.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        connection.close()
    check_alive(server, situation, "after clients that did not read")


def check(options, situation, watched):
    if situation.login and situation.unix and situation.verbosity:
        modes = (False,)
    else:
        modes = (False, True)
    server = process.Server(options, unix=situation.unix, ready=log_in_now if situation.login else None)
    server.flags = situation.flags(server.directory)
    with server:
        replay(server, situation, modes[0], watched)
        before = server.resident_kib()
        for single_bytes in modes:
            replay(server, situation, single_bytes, watched)
        replay_unread(server, situation)
        growth = server.resident_kib() - before
        assert growth < GROWTH_KIB_MAX, f"{growth} KiB more than after the first replay"


for verbose, over_unix, with_login, with_watcher in itertools.product((0, 3), (False, True), (False, True), (False, True)):
    CASE = Situation(verbose, over_unix, with_login)
    suite.add(f"{CASE}{', watched' if with_watcher else ''}",
              lambda options, case=CASE, watched=with_watcher: check(options, case, watched), seconds=120)

if __name__ == "__main__":
    tap.main(suite, __doc__)
