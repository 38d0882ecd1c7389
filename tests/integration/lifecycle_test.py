"""Stopping, dying and starting again: no answer owed is lost, and the next start works at once."""

import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time

from harness import process, tap, wire
from harness.patience import patient, wait_for

suite = tap.Suite()

# The answers are far more than the sockets of both sides hold; the requests fit one receive buffer.
PIPELINE_REQUESTS = 400
PIPELINE_VALUE = b"x" * 100_000


class Requester(threading.Thread):
    """Keeps a pipeline of requests going and remembers how many answers are owed and how many came."""

    def __init__(self, server, name):
        super().__init__(daemon=True)
        self.connection = server.connect()
        self.name_bytes = name.encode()
        self.problem = None
        self.answered = 0

    def run(self):
        try:
            self._run()
        except Exception as error:  # pylint: disable=broad-except  # reported by the test's own thread
            self.problem = repr(error)

    def _run(self):
        value = b"v" * 500
        while True:
            try:
                self.connection.send(b"set %s 0 0 500\r\n%s\r\nget %s\r\n" % (self.name_bytes, value, self.name_bytes))
            except OSError:
                # The server no longer takes requests; what it took before must have been answered in full pairs.
                break
            try:
                assert self.connection.line() == b"STORED"
                assert self.connection.line().startswith(b"VALUE ")
                assert self.connection.take(502) == value + b"\r\n"
                assert self.connection.line() == b"END"
            except wire.Closed as closed:
                # Between two turns the server may close; in the middle of an answer it must not.
                assert str(closed).endswith("with b'' unread"), closed
                break
            self.answered += 1


@suite.test("SIGTERM under load: whole answers only, then exit 0")
def terminate_under_load(options):
    with process.Server(options) as server:
        requesters = [Requester(server, f"key{number}") for number in range(8)]
        for requester in requesters:
            requester.start()
        time.sleep(0.5)
        server.terminate()
        status = server.wait_exit()
        for requester in requesters:
            requester.join(10)
        assert not any(requester.is_alive() for requester in requesters), "a client still waits for an answer"
        problems = [requester.problem for requester in requesters if requester.problem]
        assert not problems, problems
        assert all(requester.answered > 0 for requester in requesters), "a client was never served"
        assert status == 0, status


@suite.test("SIGTERM while a pipeline is being answered: every request that arrived is answered")
def terminate_owes_answers(options):
    with process.Server(options, ["--stop-deadline", f"{patient(5)}s"]) as server, server.connect() as connection:
        assert connection.set("key", PIPELINE_VALUE) == "STORED"
        connection.send(b"get key\r\n" * PIPELINE_REQUESTS)
        time.sleep(0.3)
        server.terminate()
        time.sleep(0.3)
        answer = connection.rest()
        expected = b"VALUE key 0 100000\r\n" + PIPELINE_VALUE + b"\r\nEND\r\n"
        whole, partial = divmod(len(answer), len(expected))
        assert (whole, partial) == (PIPELINE_REQUESTS, 0), f"{whole} answers and {partial} bytes"
        assert answer == expected * whole
        assert server.wait_exit() == 0


@suite.test("SIGTERM with idle and half-sent requests, and a second SIGTERM, end at once")
def terminate_idle(options):
    with process.Server(options) as server:
        idle = [server.connect() for _ in range(20)]
        for connection in idle[:10]:
            connection.send(b"set key 0 0 100\r\nhalf")
        start = time.monotonic()
        server.terminate()
        server.terminate()
        assert server.wait_exit() == 0
        assert time.monotonic() - start < 10, "idle connections held the stop up"
        for connection in idle:
            assert connection.rest() == b""
            connection.close()


@suite.test("SIGINT stops like SIGTERM")
def interrupt(options):
    with process.Server(options) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.wait_exit() == 0


@suite.test("SIGHUP and SIGPIPE do not end the server")
def harmless_signals(options):
    with process.Server(options) as server:
        for number in (signal.SIGPIPE, signal.SIGHUP):
            server.process.send_signal(number)
            with server.connect() as connection:
                assert connection.request("version").startswith("VERSION")


@suite.test("SIGHUP reads the configuration file again and says in one line each what came of it")
def reload_file(options):
    with process.Server(options) as server:
        path = server.directory / "config"
        server.flags += ["--config", str(path)]
        port = server.port
        server.stop()
        path.write_text("[process]\nverbosity = 0\n")
        server.start(port)
        said = len(server.stderr())
        for text, expected in (
                ("[process]\nverbosity = 1\n", b"ringcached: reloaded process.verbosity: 0 -> 1\n"),
                ("[process\n", b"ringcached: reload refused, the old configuration stays: %b:1:" % bytes(path)),
                ("[process]\nverbosity = 0\n", b"ringcached: reloaded process.verbosity: 1 -> 0\n"),
                ("[memory]\nlimit = '65m'\n", b'ringcached: needs a restart: memory.limit: "64m" -> "65m"\n'),
                ("[memory]\nlimit = '65m'\n", b'ringcached: needs a restart: memory.limit: "64m" -> "65m"\n')):
            path.write_text(text)
            server.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + process.START_SECONDS_MAX
            while not server.stderr()[said:].endswith(b"\n"):
                assert time.monotonic() < deadline, f"nothing said of {text!r}"
                time.sleep(0.02)
            new = server.stderr()[said:]
            assert new.startswith(expected) and new.count(b"\n") == 1, (text, new)
            said += len(new)


@suite.test("-vv into a pipe that nobody reads: all are served, lines are kept, then dropped and counted, then told")
def unread_log(options):
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        path = f"{directory}/socket"
        command = process.command_of(options) + process.privileges() + ["-t", "2", "-vv", "-s", path]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as server:
            with wait_for(lambda: wire.Connection(path), "the socket") as connection:
                count = 0
                for rounds, dropped in ((40, False), (400, True)):
                    for _ in range(rounds):  # of lines of 60 bytes
                        connection.send(b"".join(b"get key%044d\r\n" % (count + i) for i in range(100)))
                        count += 100
                        for _ in range(100):
                            assert connection.line() == b"END"
                    lost = int(connection.stats()["log_lines_dropped"])
                    assert (lost > 0) == dropped, (count, lost)
            server.terminate()
            text = server.stderr.read()
        assert server.returncode == 0, server.returncode
        lines = text.splitlines()
        gets = [int(line.split(b"get key")[1]) for line in lines if b"get key" in line]
        assert gets[:10_000] == list(range(10_000)), gets[:10]
        assert gets == sorted(gets) and count - lost <= len(gets) + 10, (len(gets), count, lost)
        assert any(line.endswith(b"are missing here: nobody has read them in time") for line in lines), lines[-3:]


@suite.test("kill -9, then start again on the same port and with the same pidfile")
def restart_same_port(options):
    with process.Server(options) as server:
        pidfile = server.directory / "pid"
        server.flags += ["-P", str(pidfile)]
        port = server.port
        server.stop()
        server.start(port)
        held = server.connect()
        assert held.set("key", b"value") == "STORED"
        for _ in range(3):
            server.kill()
            server.start(port)
            with server.connect() as connection:
                assert connection.get("key") is None
                assert connection.stats()["pid"] == str(server.process.pid)
            assert int(pathlib.Path(pidfile).read_text(encoding="ascii")) == server.process.pid
        held.close()


@suite.test("kill -9, then start again on the same UNIX socket")
def restart_same_socket(options):
    with process.Server(options, unix=True) as server:
        for _ in range(3):
            server.kill()
            assert os.path.exists(server.unix_path)
            server.start()
            with server.connect() as connection:
                assert connection.set("key", b"value") == "STORED"


@suite.test("a port is free again the moment the process is gone")
def restart_after_stop(options):
    with process.Server(options) as server:
        port = server.port
        with server.connect() as connection:
            connection.set("key", b"value")
            server.terminate()
            server.wait_exit()
        server.start(port)
        with server.connect() as connection:
            assert connection.get("key") is None


@suite.test("-vv tells of clients and requests, keys escaped; without it nothing is told")
def traced(options):
    requests = b"set a 0 0 1\r\n1\r\nget a b\x1b[2J\r\nmg a v\r\nget c\r\nget d\r\n"
    packet = bytes([0x80, 0]) + (3).to_bytes(2, "big") + bytes(4) + (3).to_bytes(4, "big") + bytes(12) + b"k\n1"
    for flags, told in ((["-vv"], True), (["-v"], False)):
        with process.Server(options, flags) as server:
            with server.connect() as connection:
                connection.send(requests + b"version\r\n")
                while not connection.line().startswith(b"VERSION"):
                    pass
            with server.connect() as connection:
                connection.send(packet)
                assert len(connection.take(24)) == 24
            server.stop()
            text = server.stderr()
            for line in (b"new client connection from tcp:127.0.0.1:", b"connection closed.", b"set a 0 0 1", b"mg a v",
                         b"get a b\\x1B[2J", b"get c", b"get d", b"binary opcode 0 key k\\x0A1, body of 3 bytes"):
                assert (line in text) == told, (line, text)
            assert b"\x1b" not in text


if __name__ == "__main__":
    tap.main(suite, __doc__)
