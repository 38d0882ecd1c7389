"""Who may use the server: password files, their reload, and the protocol of each listener."""

import os
import pathlib
import signal
import socket
import tempfile
import threading
import time

from harness import binary, process, tap, wire
from harness.patience import patient

suite = tap.Suite()

UNAUTHENTICATED = b"CLIENT_ERROR unauthenticated"
FAILURE = b"CLIENT_ERROR authentication failure"
BAD_TOKEN = b"CLIENT_ERROR bad authentication token format"
BAD_TERMINATION = b"CLIENT_ERROR bad command line termination"
TOO_LONG = b"CLIENT_ERROR auth token too long"

NOOP, VERSION, SASL_LIST, SASL_AUTH, SASL_STEP = 0x0a, 0x0b, 0x20, 0x21, 0x22


def login(token):
    return b"set x 0 0 %d\r\n%s\r\n" % (len(token), token)


def any_answer(server):
    """Ready as soon as it says anything: such servers do not answer `version` to strangers."""
    with server.connect() as connection:
        connection.send(b"version\r\n")
        return connection.line() != b""


def accepts(server):
    with server.connect():
        return True


class Files:
    """A directory of password files, as `with Files() as write: path = write("users", "a:b")`."""

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory()

    def __enter__(self):
        directory = self._directory.__enter__()

        def write(name, text):
            path = pathlib.Path(directory) / name
            # Beside and renamed, as an editor does, so that no reader sees a half.
            fresh = path.with_suffix(".new")
            fresh.write_bytes(text if isinstance(text, bytes) else text.encode())
            os.rename(fresh, path)
            return str(path)

        return write

    def __exit__(self, *details):
        return self._directory.__exit__(*details)


def text_server(options, write, text="bob:secret\nann:pass word:x\n", flags=(), **arguments):
    return process.Server(options, ["-Y", write("users", text), *flags], ready=any_answer, **arguments)


# What memcached 1.6.45 answers, each on a connection of its own; None: it closes. To check that:
#     auth_test.py --server "memcached -u root" --dialect 45 --only "every answer"
ANSWERS = (
    (login(b"bob secret"), b"STORED"),
    (login(b"ann pass word:x"), b"STORED"),
    (login(b"bob secreT"), FAILURE),
    (login(b"bob secre"), FAILURE),
    (login(b"bob secrets"), FAILURE),
    (login(b"bob "), FAILURE),
    (login(b" "), FAILURE),
    (login(b"bob  secret"), FAILURE),
    (login(b"ann secret"), FAILURE),
    (login(b"bobsecret"), BAD_TOKEN),
    (login(b""), BAD_TOKEN),
    (b"set x 0 0 10\r\nbob secretXX", BAD_TERMINATION),
    (b"set x 0 0 10\r\nbob secret\n\r", BAD_TERMINATION),
    (b"set x 0 0 16385\r\n", TOO_LONG),
    (b"set x 0 0 2147483646\r\n", TOO_LONG),
    (b"set x 0 0 99999999999\r\n", UNAUTHENTICATED),
    (b"set x 0 0 -1\r\n", UNAUTHENTICATED),
    (b"set x 0 0 +10\r\n", UNAUTHENTICATED),
    (b"set x 0 0 10x\r\n", UNAUTHENTICATED),
    (b"set x 0 0\r\n", UNAUTHENTICATED),
    (b"set x a b 10 noreply\r\nbob secret\r\n", b"STORED"),
    (b"setfoo x 0 0 010 1 2 3\r\nbob secret\r\n", b"STORED"),
    (b"  set x 0 0 10\r\n", UNAUTHENTICATED),
    (b"get x\r\n", UNAUTHENTICATED),
    (b"version\r\n", UNAUTHENTICATED),
    (b"stats\r\n", UNAUTHENTICATED),
    (b"shutdown\r\n", UNAUTHENTICATED),
    (b"GET / HTTP/1.1\r\n", UNAUTHENTICATED),
    (b"x" * 3000 + b"\r\n", UNAUTHENTICATED),
    (b"quit\r\n", None),
    (b"mn\r\n", None),
    (b"x" * 2049, None),
    (b"get " + b"x" * 2049, None),
)
# memcached waits for the rest of a line of two bytes, or takes no bare line feed.
OWN_ANSWERS = (
    (b"\r\n", None),
    (b"\n\n\n\n", None),
    (b"set x 0 0 10\nbob secret\r\n", b"STORED"),
)


def answers_of(options, server):
    for sent, expected in ANSWERS + (OWN_ANSWERS if options.dialect == "rc" else ()):
        with server.connect() as connection:
            connection.send(sent)
            try:
                answer = connection.line()
            except wire.Closed:
                answer = None
            assert answer == expected, f"{sent[:60]!r}: {answer!r} instead of {expected!r}"
            if expected is None:
                continue
            if expected != b"STORED":
                connection.send(login(b"bob secret"))
                assert connection.line() == b"STORED", sent[:60]
            assert connection.get("nothing") is None


@suite.test("every answer to a client that is not logged in, over TCP")
def answers_tcp(options):
    with Files() as write, text_server(options, write) as server:
        answers_of(options, server)


@suite.test("every answer to a client that is not logged in, over a UNIX socket")
def answers_unix(options):
    with Files() as write, text_server(options, write, unix=True) as server:
        answers_of(options, server)


@suite.test("a login and what is pipelined behind it arrive in any pieces")
def pipelined(options):
    stream = b"get a\r\n" + login(b"bob wrong") + login(b"bob secret") + b"set a 1 0 3\r\nabc\r\nget a\r\n"
    expected = UNAUTHENTICATED + b"\r\n" + FAILURE + b"\r\nSTORED\r\nSTORED\r\nVALUE a 1 3\r\nabc\r\nEND\r\n"
    with Files() as write, text_server(options, write) as server:
        for piece_bytes in (len(stream), 1, 3):
            with server.connect() as connection:
                connection.send_slowly(stream, piece_bytes)
                assert connection.take(len(expected)) == expected


@suite.test("counters and settings show it")
def counters(options):
    with Files() as write, text_server(options, write) as server, server.connect() as connection:
        connection.send(login(b"bob wrong") + login(b"bobwrong") + b"get a\r\n" + login(b"bob secret"))
        assert [connection.line() for _ in range(4)] == [FAILURE, BAD_TOKEN, UNAUTHENTICATED, b"STORED"]
        stats, settings = connection.stats(), connection.stats("settings")
        assert (stats["auth_cmds"], stats["auth_errors"], stats["cmd_set"]) == ("2", "1", "0"), stats
        assert settings["auth_enabled_ascii"].endswith("/users"), settings
        assert (settings["auth_enabled_sasl"], settings["binding_protocol"]) == ("no", "ascii"), settings


def may_log_in(server, token):
    with server.connect() as connection:
        connection.send(login(token))
        return connection.line() == b"STORED"


def eventually(condition, what, seconds=10):
    deadline = time.monotonic() + patient(seconds)
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)


@suite.test("SIGHUP: a good new file counts from then on, a bad one is named and the old stays")
def reload(options):
    with Files() as write, text_server(options, write) as server, server.connect() as old:
        old.send(login(b"bob secret"))
        assert old.line() == b"STORED"
        write("users", "bob:new\n")
        assert may_log_in(server, b"bob secret"), "a file counts before it is read"
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: may_log_in(server, b"bob new"), "the new password")
        assert not may_log_in(server, b"bob secret")
        assert old.set("k", b"v") == "STORED", "the client was logged out"
        write("users", "bob:newer\nmalformed\n")
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: b"users:2: no colon" in server.stderr(), "the message")
        assert b"the old passwords stay in force" in server.stderr()
        assert may_log_in(server, b"bob new") and not may_log_in(server, b"bob newer")


@suite.test("SIGHUP while clients log in: who is in every version always can", seconds=120)
def reload_under_load(options):
    with Files() as write, text_server(options, write, flags=["-t", "2"]) as server:
        done, failures = threading.Event(), []

        def client():
            while not done.is_set():
                try:
                    with server.connect() as connection:
                        connection.send(login(b"nobody x") + login(b"bob secret") + b"get k\r\n")
                        lines = [connection.line() for _ in range(3)]
                    if lines != [FAILURE, b"STORED", b"END"]:
                        failures.append(lines)
                except (OSError, wire.Closed) as reason:
                    failures.append(reason)

        clients = [threading.Thread(target=client) for _ in range(4)]
        for thread in clients:
            thread.start()
        for number in range(100):
            write("users", ("bob:secret\n", f"u{number}:x\nbob:secret\n", "malformed\n")[number % 3])
            server.process.send_signal(signal.SIGHUP)
            time.sleep(0.01)
        done.set()
        for thread in clients:
            thread.join()
        assert not failures, failures[:3]


@suite.test("long unauthenticated connections cost no memory")
def bounded(options):
    with process.freed_memory_given_back():
        with_failed_logins(options)


def with_failed_logins(options):
    with Files() as write, text_server(options, write, flags=["-t", "1"]) as server:
        with server.connect() as connection:
            pile = (login(b"bob wrong") + login(b"bob " + b"x" * 16000)) * 20
            # Enough to have touched every receive buffer.
            for _ in range(50):
                connection.send(pile)
                assert [connection.line() for _ in range(40)] == [FAILURE] * 40
            before = server.resident_kib()
            for _ in range(200):
                connection.send(pile)
                assert [connection.line() for _ in range(40)] == [FAILURE] * 40
            assert server.resident_kib() - before < 4096, (before, server.resident_kib())
            # A token that never comes to its end holds one token.
            connection.send(b"set x 0 0 16384\r\n" + b"x" * 16000)
            assert connection.silent_for(0.2) == b""


@suite.test("a wrong password file ends the start with its line and status 1")
def refused_files(options):
    port = ["-l", "127.0.0.1", "-p", "-1"]
    cases = (("", "the file is empty"), ("bob\n", "users:1: no colon"), ("a:b\n\n", "users:2: the line is empty"),
             ("a:b\n" * 9, "more than 8 entries"), ("a:" + "x" * 254, "longer than 255 bytes"),
             (b"a:b\0\n", "a NUL byte"))
    with Files() as write:
        for text, part in cases:
            path = write("users", text)
            errors = refused_twice(options, port + ["-Y", path])
            assert f"Authfile [{path}] has" in errors and part in errors, errors
            if "more" not in part:
                assert "has a malformed entry. Should be 'user:password'" in errors, errors
        errors = refused_twice(options, port + ["-Y", path + ".none"])
        assert f"Could not open authfile [{path}.none] for reading" in errors, errors
        errors = refused_twice(options, port + ["-S", "--sasl-file", "/none"])
        assert "Could not open authfile [/none] for reading" in errors, errors


def refused_twice(options, flags):
    """What a start says of `flags`; --check-config must say the same."""
    flags = process.privileges() + flags
    status, output, errors = process.run_to_end(options, flags)
    assert (status, output) == (1, "") and len(errors.splitlines()) == 1, (status, output, errors)
    checked = process.run_to_end(options, flags + ["--check-config"])
    assert checked == (1, "", errors), (checked, errors)
    return errors


@suite.test("--check-config reads the password files: good ones, and lines that a start passes over")
def checked_files(options):
    correct = "the configuration is correct\n"
    with Files() as write:
        users, pwdb = write("users", "bob:secret\n"), write("pwdb", f"bob@{HOST}:secret\nbob:secret\n")
        assert process.run_to_end(options, ["-Y", users, "--check-config"]) == (0, correct, "")
        status, output, errors = process.run_to_end(options, ["-S", "--sasl-file", pwdb, "--check-config"])
        assert (status, output) == (0, correct) and "pwdb:2: ignored" in errors, (status, output, errors)
        config = write("ringcached.conf", f"[auth]\nfile = \"{users}\"\n")
        assert process.run_to_end(options, ["--config", config, "--check-config"]) == (0, correct, "")
        write("users", "bob:secret\nann\n")
        status, output, errors = process.run_to_end(options, ["--config", config, "--check-config"])
        assert (status, output) == (1, "") and "users:2: no colon" in errors, (status, output, errors)


@suite.test("a relative path survives -d and is read again")
def relative_path(options):
    with Files() as write, tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        path = write("users", "bob:secret\n")
        os.chmod(os.path.dirname(path), 0o755)
        here = os.getcwd()
        server_path = process.command_of(options)[0]
        options.server = os.path.abspath(server_path) if os.path.exists(server_path) else options.server
        os.chdir(os.path.dirname(path))
        try:
            status, output, errors = process.run_to_end(
                options, process.privileges() + ["-d", "-P", f"{directory}/pid", "-s", f"{directory}/socket",
                                                 "-Y", "users"])
        finally:
            os.chdir(here)
        assert status == 0, (output, errors)
        pid = int(pathlib.Path(f"{directory}/pid").read_text(encoding="ascii"))

        def may(token):
            with wire.Connection(f"{directory}/socket") as connection:
                connection.send(login(token))
                return connection.line() == b"STORED"

        try:
            assert may(b"bob secret")
            write("users", "bob:new\n")
            os.kill(pid, signal.SIGHUP)
            eventually(lambda: may(b"bob new"), "the new password")
        finally:
            os.kill(pid, signal.SIGTERM)
        eventually(lambda: not os.path.exists(f"/proc/{pid}"), "the daemon's end")


def binary_answer(connection):
    """(opcode, status, body)"""
    response = binary.receive(connection)
    return response.opcode, response.status, response.key + response.value


def closes(connection):
    return connection.rest() == b""


def serves_text(connection):
    connection.send(b"mn x y\r\nget a\r\n")
    return b"END" in (connection.line(), connection.line())


def serves_binary(connection):
    connection.send(binary.packet(NOOP))
    return binary_answer(connection) == (NOOP, 0, b"")


def refuses_text(connection):
    connection.send(b"get a\r\n" + b" " * 24)
    return closes(connection)


def refuses_binary(connection):
    connection.send(binary.packet(VERSION) + b"\r\n")
    return connection.line().endswith(b"ERROR")


@suite.test("-B decides what every listener speaks, a UNIX socket too")
def one_protocol(options):
    expected = {"auto": (serves_text, serves_binary), "ascii": (serves_text, refuses_binary),
                "binary": (serves_binary, refuses_text)}
    for protocol, checks in expected.items():
        for unix in (False, True):
            with process.Server(options, ["-B", protocol], unix=unix, ready=accepts) as server:
                for check in checks:
                    with server.connect() as connection:
                        assert check(connection), (protocol, unix, check.__name__)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def with_listeners(flags):
    """Free ports, and -l with each of the prefixes, beside the listener of process.Server."""
    ports = [free_port() for _ in flags]
    words = []
    for prefix, port in zip(flags, ports):
        words += ["-l", f"{prefix}127.0.0.1:{port}"]
    return ports, words


@suite.test("proto[] decides for its listener")
def listener_protocols(options):
    ports, words = with_listeners(["proto[ascii]:", "proto[binary]:", "notls:proto[negotiating]:", ""])
    checks = ((serves_text, refuses_binary), (serves_binary, refuses_text), (serves_text, serves_binary),
              (serves_text, refuses_binary))
    with process.Server(options, words + ["-B", "ascii"]) as server:
        for port, both in zip(ports, checks):
            for check in both:
                with wire.Connection(("127.0.0.1", port)) as connection:
                    assert check(connection), (port, check.__name__)
        assert server.stats("settings")["binding_protocol"] == "ascii"


@suite.test("with -Y every listener asks for a login, and none may be binary")
def listeners_with_passwords(options):
    ports, words = with_listeners(["proto[ascii]:", "proto[negotiating]:"])
    with Files() as write, text_server(options, write, flags=words):
        for port in ports:
            with wire.Connection(("127.0.0.1", port)) as connection:
                connection.send(b"get a\r\n" + login(b"bob secret") + b"get a\r\n")
                assert [connection.line() for _ in range(3)] == [UNAUTHENTICATED, b"STORED", b"END"]
            with wire.Connection(("127.0.0.1", port)) as connection:
                connection.send(binary.packet(VERSION) + b"\r\n")
                assert connection.line() == UNAUTHENTICATED
    with Files() as write:
        path = write("users", "a:b\n")
        for flags, status, part in ((["-l", "proto[binary]:127.0.0.1:1"], 71, "Cannot use binary protocol"),
                                    (["-B", "binary"], 64, "BINARY protocol"), (["-U", "11211"], 64, "UDP"),
                                    (["-S", "--sasl-file", path], 64, "-S"),
                                    (["-l", "proto[proxy]:127.0.0.1:1"], 71, "no proxy")):
            found, _, errors = process.run_to_end(options, ["-Y", path] + flags)
            assert found == status and part in errors and len(errors.splitlines()) == 1, (flags, found, errors)


def plain(user, password):
    return b"\0%s\0%s" % (user.encode(), password.encode())


def sasl(connection, opcode, message, mechanism=b"PLAIN"):
    connection.send(binary.packet(opcode, mechanism, message))
    return binary_answer(connection)[1:]


def sasl_server(options, path, flags=()):
    return process.Server(options, ["-S", "--sasl-file", path, *flags], ready=accepts)


REFUSED = (0x20, b"Auth failure.")
HOST = socket.gethostname()


@suite.test("SASL PLAIN: right, wrong, in two steps, and what is refused before")
def sasl_exchanges(options):
    with Files() as write, sasl_server(options, write("pwdb", f"bob@{HOST}:secret\nann@else:x:y\n")) as server:
        with server.connect() as connection:
            connection.send(binary.packet(SASL_LIST) + binary.packet(VERSION))
            assert binary_answer(connection) == (SASL_LIST, 0, b"PLAIN")
            assert binary_answer(connection)[:2] == (VERSION, 0)
            assert sasl(connection, SASL_AUTH, plain("bob", "wrong")) == REFUSED
            assert sasl(connection, SASL_AUTH, plain("nobody", "secret")) == REFUSED
            assert sasl(connection, SASL_STEP, plain("bob", "secret")) == REFUSED
            assert sasl(connection, SASL_AUTH, plain("bob", "secret")) == (0, b"Authenticated")
            assert serves_binary(connection)
            connection.send(binary.packet(SASL_LIST))
            assert binary_answer(connection) == (SASL_LIST, 0, b"PLAIN")
            assert serves_binary(connection)
            connection.send(binary.packet(0x10, b"settings"))
            settings = {}
            while b"" not in settings:
                response = binary.receive(connection)
                settings[response.key] = response.value
            assert settings[b"auth_enabled_sasl"] == b"yes" and settings[b"binding_protocol"] == b"binary", settings
            assert sasl(connection, SASL_AUTH, plain("bob", "wrong")) == REFUSED
            connection.send(binary.packet(NOOP))
            assert binary_answer(connection) == (NOOP, *REFUSED) and closes(connection)
        with server.connect() as connection:
            assert sasl(connection, SASL_AUTH, b"") == (0x21, b"")
            assert sasl(connection, SASL_STEP, plain("ann@else", "x")) == (0, b"Authenticated")
            assert serves_binary(connection)
        with server.connect() as connection:
            connection.send(binary.packet(NOOP) + binary.packet(SASL_AUTH, b"PLAIN", plain("bob", "secret")))
            assert binary_answer(connection) == (NOOP, *REFUSED) and closes(connection)
        with server.connect() as connection:
            assert refuses_text(connection)


@suite.test("SASL: a changed file counts without a signal, and with one at once")
def sasl_reload(options):
    def may(server, password):
        with server.connect() as connection:
            return sasl(connection, SASL_AUTH, plain("bob", password)) == (0, b"Authenticated")

    with Files() as write, sasl_server(options, write("pwdb", f"bob@{HOST}:one\n")) as server:
        assert may(server, "one")
        write("pwdb", f"bob@{HOST}:two\n")
        eventually(lambda: may(server, "two"), "the second password", seconds=5)
        assert not may(server, "one")
        write("pwdb", f"no entry\nbob@{HOST}:three\n")
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: may(server, "three"), "the third password")
        assert b"pwdb:1: ignored, no 'user@host:password' entry" in server.stderr()


@suite.test("SASL: the environment names the file, an option goes before it")
def sasl_environment(options):
    with Files() as write:
        first = write("first", f"bob@{HOST}:first\n")
        second = write("second", f"bob@{HOST}:second\n")
        os.environ["MEMCACHED_SASL_PWDB"] = first
        try:
            for flags, password in (([], "first"), (["--sasl-file", second], "second")):
                with process.Server(options, ["-S"] + flags, ready=accepts) as server, server.connect() as connection:
                    assert sasl(connection, SASL_AUTH, plain("bob", password)) == (0, b"Authenticated")
        finally:
            del os.environ["MEMCACHED_SASL_PWDB"]
        status, _, errors = process.run_to_end(options, ["-S"])
        assert status == 1 and "MEMCACHED_SASL_PWDB" in errors, (status, errors)


if __name__ == "__main__":
    tap.main(suite, __doc__)
