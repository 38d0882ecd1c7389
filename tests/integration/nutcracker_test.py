"""twemproxy (nutcracker) in front of three servers: one is killed and comes back, and no value is ever wrong."""

import contextlib
import json
import pathlib
import socket
import subprocess
import tempfile
import time

from clients import need_program, value_of
from harness import process, tap, wire

suite = tap.Suite()

RETRY_MILLISECONDS = 1000
WAIT_SECONDS_MAX = 20

CONFIGURATION = """\
pool:
  listen: 127.0.0.1:{port}
  hash: md5
  distribution: ketama
  auto_eject_hosts: true
  server_failure_limit: 1
  server_retry_timeout: {retry}
  timeout: 10000
  servers:
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def proxy_before(servers):
    """Runs one nutcracker in the foreground; yields its port and its port of statistics."""
    program = need_program("nutcracker", "/usr/sbin/nutcracker")
    port, stats_port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="ringcached-nutcracker-") as name:
        directory = pathlib.Path(name)
        text = CONFIGURATION.format(port=port, retry=RETRY_MILLISECONDS)
        text += "".join(f"   - 127.0.0.1:{server.port}:1 server{number}\n" for number, server in enumerate(servers))
        (directory / "pool.yml").write_text(text)
        child = subprocess.Popen([program, "-c", directory / "pool.yml", "-o", directory / "log", "-p", directory / "pid",
                                  "-a", "127.0.0.1", "-s", str(stats_port), "-i", "100"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until("the proxy listens", lambda: child.poll() is not None or listens(port))
            assert child.poll() is None, (directory / "log").read_text()
            yield port, stats_port
            assert child.poll() is None, (directory / "log").read_text()
        finally:
            child.kill()
            child.wait()


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        return True
    except OSError:
        return False


def wait_until(what, condition):
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS_MAX} s: {what}"
        time.sleep(0.02)


class CheckedClient:
    """Talks to the proxy and knows for every key what was acknowledged last: anything else but a miss is wrong."""

    def __init__(self, port):
        self.connection = wire.Connection(("127.0.0.1", port))
        self.acknowledged = {}

    def set(self, key, value):
        """Whether it was stored; a failing server's answer is an error line."""
        answer = self.connection.set(key, value)
        if answer != "STORED":
            assert answer.startswith("SERVER_ERROR"), answer
            return False
        self.acknowledged[key] = value
        return True

    def get(self, key):
        """`hit`, `miss` or `error`."""
        self.connection.send(f"get {key}\r\n".encode())
        head = self.connection.line()
        if head == b"END":
            return "miss"
        if head.startswith(b"SERVER_ERROR"):
            return "error"
        words = head.split(b" ")
        assert words[:2] == [b"VALUE", key.encode()], head
        value = self.connection.take(int(words[3]))
        assert self.connection.take(2) == b"\r\n" and self.connection.line() == b"END"
        assert value == self.acknowledged[key], f"a wrong value for {key}: {value[:100]}"
        return "hit"

    def results(self, keys):
        return {self.get(key) for key in keys}


def keys_of(server, keys):
    """Which of the keys this server holds, asked without the proxy."""
    with server.connect() as connection:
        return {key for key in keys if connection.get(key) is not None}


def proxy_stats(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        text = b""
        while piece := connection.recv(65536):
            text += piece
    return json.loads(text)


@suite.test("the classic commands through the proxy")
def operations(options):
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(process.Server(options)) for _ in range(3)]
        port, _ = stack.enter_context(proxy_before(servers))
        connection = stack.enter_context(wire.Connection(("127.0.0.1", port)))
        for line, answer in (
                ("add key 0 0 3\r\none", "STORED"), ("add key 0 0 3\r\ntwo", "NOT_STORED"),
                ("replace key 0 0 5\r\nthree", "STORED"), ("append key 0 0 1\r\n!", "STORED"),
                ("prepend key 0 0 1\r\n?", "STORED"), ("replace nokey 0 0 1\r\nx", "NOT_STORED"),
                ("touch key 100", "TOUCHED"), ("touch nokey 100", "NOT_FOUND"), ("set number 0 0 2\r\n10", "STORED"),
                ("incr number 5", "15"), ("decr number 20", "0"), ("incr nokey 1", "NOT_FOUND"),
                ("delete number", "DELETED"), ("delete number", "NOT_FOUND")):
            assert connection.request(line) == answer, line
        assert connection.get("key") == b"?three!"
        head = connection.request("gets key").split(" ")
        assert head[:4] == ["VALUE", "key", "0", "7"] and connection.take(9) == b"?three!\r\n", head
        assert connection.line() == b"END"
        assert connection.request(f"cas key 0 0 4 {head[4]}\r\nfour") == "STORED"
        assert connection.request(f"cas key 0 0 4 {head[4]}\r\nlate") == "EXISTS"
        values = {f"key{number}": value_of(f"key{number}", size) for number, size in
                  enumerate([1, 1024, 102400, 1_000_000, *range(100, 200)])}
        for key, value in values.items():
            assert connection.set(key, value) == "STORED", key
        # One request, which the proxy splits between the servers.
        connection.send(b"get " + " ".join(values).encode() + b"\r\n")
        found = {}
        while (head := connection.line()) != b"END":
            words = head.split(b" ")
            found[words[1].decode()] = connection.take(int(words[3]))
            assert connection.take(2) == b"\r\n"
        assert found == values
        assert all(keys_of(server, values) for server in servers), "a server has no key"


@suite.test("one server killed and back: its keys move and return, the others' keys stay, no value is wrong")
def ejection(options):
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(process.Server(options)) for _ in range(3)]
        port, stats_port = stack.enter_context(proxy_before(servers))
        client = CheckedClient(port)
        keys = [f"key{number}" for number in range(300)]
        for number, key in enumerate(keys):
            assert client.set(key, value_of(f"{key} first", 20 + 100 * number))
        homes = [keys_of(server, keys) for server in servers]
        assert sum(map(len, homes)) == len(keys) and min(map(len, homes)) > 30, [len(home) for home in homes]
        lost, kept = sorted(homes[1]), sorted(homes[0] | homes[2])

        servers[1].kill()
        # The first requests notice the dead server and are answered by an error; then it is ejected.
        wait_until("the dead server is ejected", lambda: client.results(lost[:1]) == {"miss"})
        assert client.results(kept) == {"hit"}
        # A retry of the dead server, once a second, may cost a request its answer.
        for key in lost:
            wait_until(f"{key} moves", lambda key=key: client.set(key, value_of(f"{key} moved", 500)))
            wait_until(f"{key} is served", lambda key=key: client.get(key) == "hit")
        assert keys_of(servers[0], lost) | keys_of(servers[2], lost) == set(lost)
        assert client.results(kept) == {"hit"}

        servers[1].start(port=servers[1].port)
        wait_until("the server is back behind the proxy",
                   lambda: client.set(lost[0], value_of(f"{lost[0]} probe", 600)) and keys_of(servers[1], lost[:1]))
        assert client.results(kept) == {"hit"}
        # It came back empty.
        assert client.results(lost[1:]) == {"miss"}
        for key in lost:
            assert client.set(key, value_of(f"{key} again", 700)), key
        assert client.results(keys) == {"hit"}
        assert keys_of(servers[1], keys) == set(lost)
        ejected = proxy_stats(stats_port)["pool"]["server_ejects"]
        assert ejected >= 1, ejected
        client.connection.close()


if __name__ == "__main__":
    tap.main(suite, __doc__)
