"""Start and refusal to start: every bad input gives one clear line and a status that is not zero; good ones work."""

import argparse
import os
import pathlib
import pwd
import resource
import shlex
import signal
import socket
import subprocess
import tempfile
import time

from harness import forbid_io_uring, process, tap, wire
from harness.patience import wait_for

suite = tap.Suite()


def refusal(options, flags, *expected):
    """Runs the server with bad input; the one line it says must hold all of `expected`."""
    status, output, errors = process.run_to_end(options, flags)
    lines = [line for line in (output + errors).splitlines() if line.strip()]
    assert status > 0, f"exit status {status} for {flags}; it said {lines}"
    assert len(lines) == 1, f"{flags}: not one line but {lines}"
    for text in expected:
        assert text.lower() in lines[0].lower(), f"{flags}: {lines[0]!r} does not name {text!r}"
    return lines[0]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# Flags that are wrong by themselves, and what the line must name.
BAD_FLAGS = (
    ("unknown flag", ["--bogus"], ["--bogus"]),
    ("unknown short flag", ["-j"], ["-j"]),
    ("a word that is no flag", ["serve"], ["serve"]),
    ("flag without its value", ["-p"], ["-p"]),
    ("port that is no number", ["-p", "abc"], ["abc"]),
    ("port beyond 65535", ["-p", "70000"], ["70000"]),
    ("memory with a bad unit", ["-m", "64x"], ["64x"]),
    ("memory below zero", ["-m", "-5"], ["-5"]),
    ("item size with a bad unit", ["-I", "1q"], ["1q"]),
    ("item size beyond the limit", ["-I", "2g"], ["2g"]),
    ("no threads", ["-t", "x"], ["x"]),
    ("no connections", ["-c", "0"], ["0"]),
    ("growth factor of one", ["-f", "1"], ["1"]),
    ("unknown protocol", ["-B", "telnet"], ["telnet"]),
    ("unknown suboption", ["-o", "no_such_thing"], ["no_such_thing"]),
    ("suboption with a bad value", ["-o", "hashpower=99"], ["99"]),
    ("unknown tier", ["--io-level", "5.4"], ["5.4"]),
    ("address that is none", ["-l", "256.1.2.3.4"], ["256.1.2.3.4"]),
    ("mode of a socket that is none", ["-a", "9z"], ["9z"]),
)

# A configuration file and what the line must name beside the file.
BAD_FILES = (
    ("unknown key", "[network]\nprot = 1\n", ["2", "prot"]),
    ("unknown section", "[netwrok]\nport = 1\n", ["netwrok"]),
    ("value of the wrong type", "[network]\nport = 'abc'\n", ["2", "port"]),
    ("value out of range", "[network]\n\nport = 70000\n", ["3", "70000"]),
    ("bad unit", "[memory]\nlimit = '64x'\n", ["2", "64x"]),
    ("no TOML", "[network]\nport == 1\n", ["2"]),
    ("key given twice", "[network]\nport = 1\nport = 2\n", ["3", "port"]),
)


def add_bad_flag(title, flags, expected):
    suite.add(f"refused: {title}", lambda options: refusal(options, flags, *expected))


def add_bad_file(title, text, expected):
    def run(options):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "ringcached.toml"
            path.write_text(text, encoding="utf-8")
            refusal(options, ["--config", str(path)], str(path), *expected)
            refusal(options, ["--config", str(path), "--check-config"], str(path), *expected)

    suite.add(f"refused file: {title}", run)


for bad_flag in BAD_FLAGS:
    add_bad_flag(*bad_flag)
for bad_file in BAD_FILES:
    add_bad_file(*bad_file)


@suite.test("refused: configuration file that is missing or unreadable")
def unreadable_file(options):
    with tempfile.TemporaryDirectory() as directory:
        refusal(options, ["--config", f"{directory}/none.toml"], f"{directory}/none.toml")
        refusal(options, ["--config", directory], directory)


@suite.test("refused: congestion control that the kernel does not have")
def congestion_control(options):
    flags = process.privileges() + ["-p", "-1", "--congestion-control", "nonesuch"]
    refusal(options, flags, "'nonesuch'", "reno", "choose another")


@suite.test("refused: port in use")
def port_in_use(options):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refusal(options, process.privileges() + ["-l", "127.0.0.1", "-p", str(port)], str(port), "in use")


@suite.test("refused: UNIX socket path that is taken by a file or by a running server")
def socket_path_taken(options):
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/occupied"
        pathlib.Path(path).write_text("a file", encoding="utf-8")
        refusal(options, process.privileges() + ["-s", path], path)
        assert pathlib.Path(path).read_text(encoding="utf-8") == "a file", "the file was replaced"
    with process.Server(options, unix=True) as server:
        refusal(options, process.privileges() + ["-s", server.unix_path], server.unix_path)
        with server.connect() as connection:
            assert connection.request("version").startswith("VERSION")


@suite.test("refused: UNIX socket in a directory that is missing, and a path too long")
def socket_path_bad(options):
    with tempfile.TemporaryDirectory() as directory:
        refusal(options, process.privileges() + ["-s", f"{directory}/none/socket"], f"{directory}/none/socket")
        long_path = f"{directory}/{'x' * 120}"
        refusal(options, process.privileges() + ["-s", long_path])


@suite.test("refused: no such user")
def no_such_user(options):
    if os.geteuid() != 0:
        raise tap.Skip("only root changes its user")
    with tempfile.TemporaryDirectory() as directory:
        refusal(options, ["-u", "no-such-user-here", "-s", f"{directory}/socket", "-P", f"{directory}/pid"],
                "no-such-user-here")
        assert os.listdir(directory) == [], os.listdir(directory)


@suite.test("refused: pidfile that cannot be written")
def pidfile_unwritable(options):
    refusal(options, process.privileges() + ["-l", "127.0.0.1", "-p", str(free_port()), "-P", "/dev/null/x/pid", "-d"],
            "/dev/null/x/pid")


@suite.test("--check-config looks where socket and pid file are to be, and leaves files and servers alone")
def checked_paths(options):
    def check(*flags):
        return process.run_to_end(options, [*flags, "--check-config"])

    correct = (0, "the configuration is correct\n", "")
    with tempfile.TemporaryDirectory() as directory:
        occupied = pathlib.Path(directory) / "occupied"
        occupied.write_text("a file", encoding="utf-8")
        for flags, part in ((["-s", str(occupied)], "not a socket"), (["-s", f"{directory}/none/socket"], "does not exist"),
                            (["-P", f"{directory}/none/pid"], "directory this user may write to"),
                            (["-P", directory], "Is a directory"), (["-d", "-P", "no-such-directory/pid"], "No such file")):
            status, output, errors = check(*flags)
            assert (status, output) == (1, "") and len(errors.splitlines()) == 1, (flags, status, output, errors)
            assert part in errors and flags[-1] in errors, (flags, errors)
        assert check("-s", f"{directory}/socket", "-P", f"{directory}/pid") == correct
        assert os.listdir(directory) == ["occupied"], os.listdir(directory)
        if os.geteuid() == 0:
            status, _, errors = check("-u", "no-such-user-here")
            assert status == 1 and "no-such-user-here" in errors, (status, errors)
            # The pid file is written by the user, not by root.
            os.chmod(directory, 0o755)
            assert check("-u", "nobody", "-P", f"{directory}/pid")[0] == 1
    with process.Server(options, unix=True) as server:
        assert check("-s", server.unix_path) == correct
        with server.connect() as connection:
            assert connection.request("version").startswith("VERSION")


@suite.test("a refused start leaves no socket, no pidfile, no listener")
def nothing_half_started(options):
    with tempfile.TemporaryDirectory() as directory, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refusal(options, process.privileges() + ["-l", "127.0.0.1", "-p", str(port), "-P", f"{directory}/pid"])
        assert os.listdir(directory) == [], os.listdir(directory)


@suite.test("-h and -V print and exit with 0")
def help_and_version(options):
    for flag in ("-h", "--help"):
        status, output, errors = process.run_to_end(options, [flag])
        assert (status, errors) == (0, ""), (status, errors)
        for known in ("-p", "--port", "-m", "--config", "11211"):
            assert known in output, f"{flag} does not mention {known}"
    for flag in ("-V", "--version"):
        status, output, errors = process.run_to_end(options, [flag])
        assert status == 0 and len(output.splitlines()) == 1 and "ringcached" in output, (status, output, errors)


@suite.test("what cannot be printed is an error")
def full_disk(options):
    for flag in ("--help", "--version", "--print-config", "--print-default-config", "--features"):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(process.command_of(options) + [flag], stdout=full, stderr=subprocess.PIPE,
                                  timeout=process.START_SECONDS_MAX, check=False)
        assert done.returncode == 1 and b"No space left" in done.stderr, (flag, done)


@suite.test("--features names the kernel's tier and exits with 0")
def features(options):
    status, output, _ = process.run_to_end(options, ["--features"])
    assert status == 0, status
    assert "backend: io_uring" in output and "6.1" in output, output
    status, output, _ = process.run_to_end(options, ["--features", "--io=epoll"])
    assert status == 0 and output.startswith("backend: epoll"), (status, output)


def disabled_by_sysctl():
    try:
        return pathlib.Path("/proc/sys/kernel/io_uring_disabled").read_text(encoding="ascii").strip() != "0"
    except OSError:
        return False


def assert_names_cause(text):
    """Where the sysctl forbids io_uring as well, it is named, for it would have to be set first."""
    cause = "kernel.io_uring_disabled" if disabled_by_sysctl() else "seccomp"
    for part in ("io_uring is not available", cause):
        assert part in text, (part, text)


@suite.test("io_uring forbidden: the server falls back to epoll with one warning that names cause and remedy")
def fallback_to_epoll(options):
    with process.Server(forbid_io_uring.options_under(options, "refuse"), ["-v"]) as server:
        assert server.stats()["libevent"] == "epoll", server.stats()["libevent"]
        with server.connect() as connection:
            assert connection.set("k", b"v") == "STORED"
        warnings = [line for line in server.stderr().decode().splitlines() if "io_uring" in line]
        assert len(warnings) == 1, warnings
        assert_names_cause(warnings[0])
        for part in ("warning:", "epoll", "--io=epoll"):
            assert part in warnings[0], (part, warnings[0])


@suite.test("io_uring forbidden: --io=uring refuses to start, --features tells what --io=auto does")
def no_fallback(options):
    forbidden = forbid_io_uring.options_under(options, "refuse")
    line = refusal(forbidden, process.privileges() + ["--io=uring", "-l", "127.0.0.1", "-p", str(free_port())])
    assert_names_cause(line)
    status, output, _ = process.run_to_end(forbidden, ["--features"])
    assert status == 0 and "backend: epoll" in output, (status, output)
    assert_names_cause(output)
    status, output, _ = process.run_to_end(forbidden, ["--features", "--io=uring"])
    assert status == 1 and "backend: none" in output, (status, output)
    assert_names_cause(output)


@suite.test("--io=epoll makes no call of io_uring and warns of nothing")
def epoll_alone(options):
    with process.Server(forbid_io_uring.options_under(options, "kill"), ["--io=epoll"]) as server:
        assert server.stats()["libevent"] == "epoll", server.stats()["libevent"]
        assert server.stderr() == b"", server.stderr()


@suite.test("--io=auto takes io_uring where it is to be had")
def uring_preferred(options):
    if "backend: io_uring" not in process.run_to_end(options, ["--features"])[1]:
        raise tap.Skip("io_uring is not available here")
    with process.Server(options) as server:
        assert server.stats()["libevent"] == "io_uring", server.stats()["libevent"]
        assert b"epoll" not in server.stderr(), server.stderr()


@suite.test("--print-config is a file that gives the same settings again")
def print_config(options):
    flags = ["-p", "12345", "-m", "100", "-c", "77", "-t", "2", "-I", "2m", "-vv"]
    status, first, errors = process.run_to_end(options, flags + ["--print-config"])
    assert status == 0, errors
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "printed.toml"
        path.write_text(first, encoding="utf-8")
        status, second, errors = process.run_to_end(options, ["--config", str(path), "--print-config"])
        assert status == 0 and second == first, errors or second
        status, _, errors = process.run_to_end(options, ["--config", str(path), "--check-config"])
        assert status == 0, errors


@suite.test("precedence: command line, then file, then default")
def precedence(options):
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "ringcached.toml"
        path.write_text("[network]\nconnections_max = 200\n[memory]\nlimit = '80m'\n", encoding="utf-8")
        with process.Server(options, ["--config", str(path), "-c", "300"]) as server:
            settings = server.stats("settings")
            assert (settings["maxconns"], settings["maxbytes"]) == ("300", str(80 << 20)), settings


@suite.test("memcached's ways of writing flags")
def flag_forms(options):
    with process.Server(options, ["-m64", "-t", "2", "-c100", "-vv", "-o", "hashpower=16,no_lru_crawler",
                                  "-o", "tail_repair_time=0", "--max-item-size=2m", "-R", "5"]) as server:
        settings = server.stats("settings")
        seen = [settings[name] for name in ("maxbytes", "maxconns", "num_threads", "verbosity", "item_size_max",
                                            "reqs_per_event")]
        assert seen == [str(64 << 20), "100", "2", "2", str(2 << 20), "5"], seen


@suite.test("several -l, repeated and comma separated, IPv6 too")
def several_listeners(options):
    ports = [free_port() for _ in range(3)]
    flags = process.privileges() + ["-l", f"127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}", "-l", f"[::1]:{ports[2]}"]
    with subprocess.Popen(process.command_of(options) + flags, stdin=subprocess.DEVNULL) as server:
        try:
            for host, port in (("127.0.0.1", ports[0]), ("127.0.0.1", ports[1]), ("::1", ports[2])):
                assert version_of(host, port).startswith(b"VERSION "), (host, port)
        finally:
            server.terminate()
    assert server.returncode == 0, server.returncode


def version_of(host, port):
    deadline = time.monotonic() + process.START_SECONDS_MAX
    while True:
        try:
            with socket.create_connection((host, port), timeout=5) as connection:
                connection.sendall(b"version\r\n")
                return connection.recv(200)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@suite.test("-p 0 turns TCP off only where something else listens; -s -a give the socket its mode")
def unix_mode(options):
    with process.Server(options, ["-a", "0770"], unix=True) as server:
        mode = os.stat(server.unix_path).st_mode & 0o777
        assert mode == 0o770, oct(mode)


@suite.test("-d detaches, -P names the process, SIGTERM removes the pidfile")
def daemon(options):
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        pidfile, path = f"{directory}/pid", f"{directory}/socket"
        status, output, errors = process.run_to_end(
            options, process.privileges() + ["-d", "-P", pidfile, "-s", path])
        assert status == 0, (status, output, errors)
        pid = wait_for(lambda: int(pathlib.Path(pidfile).read_text(encoding="ascii")), "the pidfile")
        try:
            with wait_for(lambda: wire.Connection(path), "the socket") as connection:
                assert connection.request("version").startswith("VERSION")
                assert connection.stats()["pid"] == str(pid)
            assert os.getsid(pid) == pid or os.getsid(pid) != os.getsid(0), "the daemon kept its session"
        finally:
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}") or None, "the daemon's end")
        assert not os.path.exists(pidfile), "the pidfile is still there"


@suite.test("-d with closed standard streams returns, serves, and ends on SIGTERM")
def daemon_without_streams(options):
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        pidfile, path = f"{directory}/pid", f"{directory}/socket"
        command = process.command_of(options) + process.privileges() + ["-d", "-vv", "-P", pidfile, "-s", path]
        closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
        status = subprocess.run(closed + command, timeout=process.START_SECONDS_MAX, check=False).returncode
        assert status == 0, status
        pid = int(pathlib.Path(pidfile).read_text(encoding="ascii"))
        try:
            with wire.Connection(path) as connection:
                assert connection.request("version").startswith("VERSION")
            for standard in range(3):
                target = os.readlink(f"/proc/{pid}/fd/{standard}")
                assert target == "/dev/null", f"descriptor {standard} is {target}"
        finally:
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}") or None, "the daemon's end")


@suite.test("threads that cannot be started are one clear line, not an abort")
def no_threads(options):
    # Who may be root is not held to a number of threads: no room for their stacks, then.
    kib = 1 << 35
    limited = ["sh", "-c", f'ulimit -S -s {kib} && exec "$@"', "sh", *process.command_of(options)]
    options = argparse.Namespace(**{**vars(options), "server": shlex.join(limited), "server_flags": ""})
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        refusal(options, process.privileges() + ["-s", f"{directory}/socket"], "cannot start a thread", "-t")


def limited_to(options, mib):
    """Those of a server that may map so much address space."""
    command = ["sh", "-c", f'ulimit -S -v {mib << 10} && exec "$@"', "sh", *process.command_of(options)]
    return argparse.Namespace(**{**vars(options), "server": shlex.join(command), "server_flags": ""})


@suite.test("a limited address space: too little is one line with cause and remedy, no crash; the server makes do with little")
def address_space(options):
    with process.Server(options) as server:
        if server.is_sanitized():
            raise tap.Skip("the sanitizer needs terabytes")
    served = []
    for mib in (60, 80, 100, 125, 150, 200, 250, 300, 500, 1000, 10_000):
        limited = limited_to(options, mib)
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o777)
            try:
                with process.Server(limited, ["-t", "2"]) as server, server.connect() as connection:
                    assert connection.set("k", b"v" * 10_000) == "STORED"
                    assert connection.get("k") == b"v" * 10_000
                    served.append(mib)
            except process.ServerFailure:
                refusal(limited, process.privileges() + ["-t", "2", "-s", f"{directory}/socket"],
                        f"limited to {mib} MiB", "ulimit -v", "-m")
    assert {500, 1000, 10_000} <= set(served), served  # with less it depends on the heap
    print(f"# served with {served} MiB")


@suite.test("a stop where no further thread can be had is an orderly one")
def stop_without_thread(options):
    with process.Server(options) as server, server.connect() as connection:
        if server.is_sanitized():
            raise tap.Skip("the sanitizer needs terabytes")
        assert connection.set("k", b"v") == "STORED"
        unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_AS)
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (1 << 20, unlimited[1]))
        server.stop()


@suite.test("-u drops root before serving")
def drop_root(options):
    if os.geteuid() != 0:
        raise tap.Skip("only root changes its user")
    try:
        user = pwd.getpwnam("nobody")
    except KeyError:
        raise tap.Skip("there is no user nobody") from None
    port = free_port()
    command = process.command_of(options) + ["-u", "nobody", "-l", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as server:
        try:
            assert version_of("127.0.0.1", port).startswith(b"VERSION ")
            status = pathlib.Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
            uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
            assert set(uids) == {str(user.pw_uid)}, uids
        finally:
            server.terminate()
    assert server.returncode == 0, server.returncode


@suite.test("the version answer starts with a memcached version that clients parse")
def version_answer(options):
    with process.Server(options) as server, server.connect() as connection:
        word, number, *_ = connection.request("version").split(" ")
        assert word == "VERSION", word
        parts = number.split("-")[0].split(".")
        assert [int(part) for part in parts[:2]] >= [1, 6] and len(parts) == 3 and parts[2].isdigit(), number


if __name__ == "__main__":
    tap.main(suite, __doc__)
