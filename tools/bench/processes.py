"""Starting, watching and ending the processes of a measurement. Every one of them is ended by its pid, whatever
happens: at the end of a `with` block, on an error, on Ctrl-C, and by the kernel should this process be killed."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SERVER_CORE = 0
CLIENT_CORE = 1
PR_SET_PDEATHSIG = 1


class BenchError(Exception):
    """Something a person has to mend; the message says what."""


def confine(core):
    """What a child does before it becomes its program: pins itself and ties its life to ours."""
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if core in os.sched_getaffinity(0):
            os.sched_setaffinity(0, {core})

    return prepare


def cpu_ns(pid):
    """Nanoseconds all threads of a process have spent on a core."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
        except FileNotFoundError:  # a thread that ended meanwhile
            pass
    return total


def rss_bytes(pid):
    # Counted page by page: `status` adds up counters of the processors that lag by some hundred KiB, and before Linux 6.2
    # by 64 pages for each thread.
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    raise BenchError(f"process {pid} has ended")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end_process(process, patience_s=5):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Program:
    """A server program that can be measured: where it is and how it wants to be started."""

    def __init__(self, name, path):
        self.name = name
        self.path = path

    def version(self):
        if self.name == "null":
            return "null server"
        shown = subprocess.run([self.path, "-V"], capture_output=True, text=True, timeout=10)
        return (shown.stdout + shown.stderr).strip().splitlines()[0]

    def command(self, place, value_bytes, memory_mb, connections_max):
        target = ["-s", place] if isinstance(place, str) else ["-l", "127.0.0.1", "-p", str(place)]
        if self.name == "null":
            return [self.path, *target, "--value-bytes", str(value_bytes)]
        command = [self.path, *target, "-t", "1", "-m", str(memory_mb), "-c", str(connections_max)]
        if os.geteuid() == 0:
            command += ["-u", "root"]
        if value_bytes > 500 * 1024:
            command += ["-I", "8m"]
        return command


class Server:
    """A running server, pinned to the server's core; a context manager."""

    def __init__(self, program, value_bytes=32, memory_mb=1024, connections_max=1024, unix=False):
        self.program = program
        self.name = program.name
        self.value_bytes = value_bytes
        self.memory_mb = memory_mb
        self.connections_max = connections_max
        self.unix = unix
        self.directory = None
        self.process = None

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="ringcached-bench-")
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process is not None:
            end_process(self.process)
        self.directory.cleanup()

    def start(self):
        place = os.path.join(self.directory.name, "socket") if self.unix else free_port()
        self.place = place
        self.log_path = os.path.join(self.directory.name, "log")
        command = self.program.command(place, self.value_bytes, self.memory_mb, self.connections_max)
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=confine(SERVER_CORE))
        deadline = time.monotonic() + 10
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(self.log_path) as log:
                    raise BenchError(f"{' '.join(command)}: does not answer: {log.read().strip()[-500:]}")
            time.sleep(0.02)

    def answers(self):
        family = socket.AF_UNIX if self.unix else socket.AF_INET
        address = self.place if self.unix else ("127.0.0.1", self.place)
        try:
            with socket.socket(family) as connection:
                connection.settimeout(1)
                connection.connect(address)
                connection.sendall(b"version\r\n")
                return connection.recv(100).startswith(b"VERSION")
        except OSError:
            return False

    @property
    def pid(self):
        return self.process.pid

    def rss_bytes(self):
        return rss_bytes(self.pid)

    def cpu_ns(self):
        return cpu_ns(self.pid)

    def generator_target(self):
        return ["--unix", self.place] if self.unix else ["--port", str(self.place)]

    def visitor_place(self):
        return self.place if self.unix else f"127.0.0.1:{self.place}"

    def memtier_target(self):
        return ["-S", self.place] if self.unix else ["-s", "127.0.0.1", "-p", str(self.place)]


def run_client(command, timeout_s, core=CLIENT_CORE):
    """Runs a load program on the client's core (None: wherever it likes) to its end; its standard output."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, preexec_fn=confine(core)) as process:
        try:
            output, complaint = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{' '.join(command)}: not done after {timeout_s:.0f} s") from None
        finally:
            end_process(process, 0.5)
    if process.returncode != 0:
        said = (complaint or output).strip()[-500:]
        raise BenchError(f"{' '.join(command)}: exit status {process.returncode}: {said}")
    return output


def find_programs(build, wanted):
    """The servers to measure, by name. `wanted` None: all that exist. Returns them and remarks on those missing."""
    places = {
        "ringcached": os.path.join(build, "ringcached"),
        "memcached": os.environ.get("MEMCACHED") or shutil.which("memcached") or "",
        "null": os.path.join(build, "bench", "null_server"),
    }
    remedies = {
        "ringcached": "build it (tools/dev build)",
        "memcached": "install it, or name one by MEMCACHED=path",
        "null": "build it (tools/dev build)",
    }
    programs = {}
    remarks = []
    for name, path in places.items():
        if wanted is not None and name not in wanted:
            continue
        if os.access(path, os.X_OK) and os.path.isfile(path):
            programs[name] = Program(name, path)
        elif wanted is not None:
            raise BenchError(f"{name} is not at '{path}': {remedies[name]}")
        else:
            remarks.append(f"{name} is left out, it is not at '{path}': {remedies[name]}")
    return programs, remarks
