"""A server process under test: started on a free port or a UNIX socket, watched for sanitizer reports, stopped by pid."""

import contextlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

from harness import tap, wire
from harness.patience import patient

# A sanitized binary on a busy machine needs its time.
START_SECONDS_MAX = patient(20)
STOP_SECONDS_MAX = patient(20)

# Any of these on stderr fails the test that ran the server, whatever its answers were.
REPORT_MARKS = (
    b"ERROR: AddressSanitizer", b"ERROR: LeakSanitizer", b"runtime error:", b"WARNING: ThreadSanitizer",
    b"ThreadSanitizer:", b"CHECK failed", b"Assertion", b"terminate called",
)


# To look at a virtual table the undefined sanitizer opens a pipe. At the limit of descriptors it cannot, and takes every table
# that it has not seen before for a wrong one. A table that really is wrong has memory that can be printed, or none.
BLIND_REPORT = re.compile(rb"[^\n]*runtime error: member call on address [^\n]*\n[^\n]*note: object has invalid vptr *\n"
                          rb" *<memory cannot be printed>[^\n]*\n?")


class ServerFailure(tap.Explained):
    """The process misbehaved: did not start, died, reported an error, did not end."""


def command_of(options):
    """The server's command as words: a path as it is, anything else split at blanks."""
    words = [options.server] if os.path.exists(options.server) else shlex.split(options.server)
    return words + shlex.split(options.server_flags)


def privileges():
    """The reference refuses to run as root without being told so."""
    return ["-u", "root"] if os.geteuid() == 0 else []


def answers_version(server):
    """The default of what shows that a server is ready."""
    with server.connect() as connection:
        connection.send(b"version\r\n")
        return connection.line().startswith(b"VERSION ")


@contextlib.contextmanager
def freed_memory_given_back():
    """For servers started meanwhile whose memory is looked at: a sanitizer's allocator keeps hundreds of MB of freed blocks
    back unless it is told otherwise."""
    before = os.environ.get("ASAN_OPTIONS", "")
    os.environ["ASAN_OPTIONS"] = before + ":quarantine_size_mb=1"
    try:
        yield
    finally:
        os.environ["ASAN_OPTIONS"] = before


class Server:
    """`with Server(options, flags=[...]) as server:` runs one server and checks at the end that it ended well."""

    def __init__(self, options, flags=(), unix=False, expect_exit=0, ready=None, udp=False):
        self.options = options
        self.command = command_of(options)
        self.flags = list(flags)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="ringcached-test-"))
        self.unix_path = str(self.directory / "socket") if unix else None
        self.port = None
        self.udp = udp
        self.udp_port = None
        self.expect_exit = expect_exit
        self.ready = ready or answers_version
        self.process = None
        self.ended = False
        self._stderr_path = self.directory / "stderr"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, _value, _trace):
        try:
            self.stop(check=kind is None)
        finally:
            if kind is not None:
                print("# server: " + " ".join(self.command + self.flags))
                for line in self.stderr().decode(errors="replace").splitlines()[-40:]:
                    print(f"# stderr: {line}")
            shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, port=None):
        """Starts the process and returns once it answers; `port` asks for that one instead of a free one."""
        port_file = self.directory / "ports"
        port_file.unlink(missing_ok=True)
        command = self.command + privileges() + self.flags
        if self.unix_path:
            command += ["-s", self.unix_path]
        else:
            command += ["-l", "127.0.0.1", "-p", str(port or -1), "-U", "-1" if self.udp else "0"]
        environment = dict(os.environ, MEMCACHED_PORT_FILENAME=str(port_file))
        with open(self._stderr_path, "ab") as stderr:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                                            env=environment)
        self.ended = False
        try:
            self._wait_until_it_answers(port_file, port)
        except BaseException:
            self.process.kill()
            self.process.wait()
            self.ended = True
            raise

    def _wait_until_it_answers(self, port_file, port):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerFailure(f"the server ended at start with {self.process.returncode}: "
                                    + self.stderr().decode(errors="replace"))
            self.port = port or self._port_from(port_file, "TCP")
            self.udp_port = self._port_from(port_file, "UDP")
            if (self.port or self.unix_path) and self._answers():
                return
            time.sleep(0.01)
        raise ServerFailure(f"the server did not answer within {START_SECONDS_MAX} s")

    @staticmethod
    def _port_from(port_file, transport):
        """The line is `TCP INET: 4711`."""
        try:
            for line in port_file.read_text().splitlines():
                if line.startswith(f"{transport} INET:"):
                    return int(line.split(":")[1])
        except (OSError, ValueError):
            pass
        return None

    def _answers(self):
        try:
            return self.ready(self)
        except (OSError, wire.Closed):
            return False

    def connect(self, **arguments):
        return wire.Connection(self.unix_path or ("127.0.0.1", self.port), **arguments)

    def stats(self, group=""):
        """The answer of `stats [group]` as a dictionary of texts."""
        with self.connect() as connection:
            return connection.stats(group)

    def stderr(self):
        try:
            return self._stderr_path.read_bytes()
        except OSError:
            return b""

    def resident_kib(self):
        """Counted page by page: what `status` says lacks up to 64 pages of each thread before Linux 6.2."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1])
        raise ServerFailure("the process has no resident memory: is it gone?")

    def descriptors(self):
        """How many the process has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def is_sanitized(self):
        """Such a server is slow and needs memory of its own: figures hold for the real one only."""
        maps = pathlib.Path(f"/proc/{self.process.pid}/maps").read_text(errors="replace")
        return "libasan" in maps or "libtsan" in maps

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def kill(self):
        self.process.kill()
        self.process.wait(STOP_SECONDS_MAX)
        self.ended = True

    def wait_exit(self, seconds=STOP_SECONDS_MAX):
        """The exit status of a server that is expected to end by itself."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ServerFailure(f"the server did not end within {seconds} s") from None
        self.ended = True
        return status

    def stop(self, check=True):
        if self.process is None or self.ended:
            if check:
                self.check_reports()
            return
        died = self.process.poll()
        if died is None:
            self.terminate()
            try:
                status = self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.kill()
                if check:
                    raise ServerFailure(f"SIGTERM did not end the server within {STOP_SECONDS_MAX} s") from None
                return
        else:
            status = died
        self.ended = True
        if check:
            self.check_reports()
            if died is not None:
                raise ServerFailure(f"the server died during the test with status {died}")
            if self.expect_exit is not None and status != self.expect_exit:
                raise ServerFailure(f"the server ended with status {status} instead of {self.expect_exit}")

    def check_reports(self):
        text = BLIND_REPORT.sub(b"", self.stderr())
        for mark in REPORT_MARKS:
            if mark in text:
                raise ServerFailure("the server reported an error:\n" + text.decode(errors="replace")[-6000:])


def run_to_end(options, flags, seconds=START_SECONDS_MAX):
    """Runs the server expecting it to end by itself; returns (exit status, stdout, stderr)."""
    command = command_of(options) + list(flags)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as still_running:
        raise ServerFailure(f"the server keeps running with {' '.join(flags)}: "
                            f"{(still_running.stderr or b'').decode(errors='replace')}") from None
    for mark in REPORT_MARKS:
        if mark in done.stderr:
            raise ServerFailure(done.stderr.decode(errors="replace"))
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
