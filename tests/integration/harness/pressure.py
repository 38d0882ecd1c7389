"""What others notice while a server is put under pressure: whether and how fast they are served, and what is left behind."""

import multiprocessing
import time

from harness import process
from harness.patience import patient


def alive(server):
    """Another client is served, now."""
    with server.connect() as connection:
        assert connection.set("probe", b"value") == "STORED"
        assert connection.get("probe") == b"value"


def settle(read, highest, what, seconds=10):
    """Waits until read() is at most `highest`: the server closes after the client has seen the end."""
    deadline = time.monotonic() + patient(seconds)
    while (value := read()) > highest:
        assert time.monotonic() < deadline, f"{what} is {value}, more than {highest}"
        time.sleep(0.02)


def settle_descriptors(server, highest, observer):
    """As settle(); `observer` is an open connection, which can tell whose they are."""
    try:
        settle(server.descriptors, highest, "the number of open descriptors")
    except AssertionError as error:
        raise AssertionError(f"{error}; connections: {observer.stats('conns')}") from None


def listen_overflows():
    """How often a connection found a listener's backlog full, in this network namespace."""
    with open("/proc/net/netstat", encoding="ascii") as file:
        lines = [line.split() for line in file if line.startswith("TcpExt:")]
    return int(dict(zip(*lines))["ListenOverflows"])


class TooSlow(AssertionError):
    """A bound on time was missed; see steady()."""


def steady(suite, name, seconds=180):
    """As suite.test(), for tests with bounds on time: one that is missed is tried again, twice. A server that starves its
    clients does it every time; a machine that others use does not."""

    def register(function):
        def run(options):
            for attempt in range(3):
                try:
                    return function(options)
                except TooSlow as slow:
                    if attempt == 2:
                        raise
                    print(f"# once more: {slow}", flush=True)

        suite.add(name, run, seconds)
        return function

    return register


class Waits:
    """How long a quiet client waited for each of its answers, in seconds."""

    def __init__(self):
        self.seconds = []

    def ask(self, connection):
        start = time.monotonic()
        assert connection.get("quiet") == b"value"
        self.seconds.append(time.monotonic() - start)

    def share(self, share):
        """The wait that this share of the requests did not exceed."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(len(self.seconds) * share))]

    def __str__(self):
        return (f"median {1000 * self.share(0.5):.2f} ms, p99 {1000 * self.share(0.99):.1f} ms, "
                f"longest {1000 * self.share(1):.1f} ms")


class Measured:
    """A quiet client's waits, and those of its twin at a server that nobody else uses."""

    # A difference of the machine's making may be some times as large as what it does to the twin.
    MACHINE = 3

    def __init__(self, slack):
        self.waits, self.twin = Waits(), Waits()
        self.slack = slack

    def check(self, p99, longest):
        """Prints them, and holds them to their bounds: seconds on a machine that does nothing else."""
        print(f"# {len(self.waits.seconds)} requests of a quiet client: {self.waits}; of its twin: {self.twin}")
        for share, bound in ((0.99, p99), (1, longest)):
            bound = bound * self.slack + self.MACHINE * self.twin.share(share)
            if self.waits.share(share) > bound:
                raise TooSlow(f"more than {bound:.3f} s for {100 * share:.0f} of 100")


class Quiet:
    """A client with one small request at a time, a millisecond apart. It exists before the pressure does. Its twin asks
    another server at the same pace, and tells what a busy machine does to both."""

    def __init__(self, server):
        self.slack = 4 if server.is_sanitized() else 1
        self.other = process.Server(server.options, ["-t", "1"])
        self.connection = server.connect()
        self.twin = None

    def __enter__(self):
        self.other.__enter__()
        self.twin = self.other.connect()
        for connection in (self.connection, self.twin):
            connection.set("quiet", b"value")
        return self

    def __exit__(self, *failure):
        self.connection.close()
        self.twin.close()
        self.other.__exit__(*failure)

    def waits_while(self, goes_on):
        """The waits as long as goes_on() holds; at least one."""
        measured = Measured(self.slack)
        while not measured.waits.seconds or goes_on():
            measured.waits.ask(self.connection)
            measured.twin.ask(self.twin)
            time.sleep(0.001)
        return measured

    def waits_for(self, seconds):
        end = time.monotonic() + seconds
        return self.waits_while(lambda: time.monotonic() < end)


class Load:
    """`function(*arguments)` in processes of their own, so that its work does not delay the one who measures."""

    def __init__(self, function, *arguments, processes=1):
        fork = multiprocessing.get_context("fork")
        self.processes = [fork.Process(target=function, args=arguments, daemon=True) for _ in range(processes)]

    def __enter__(self):
        for worker in self.processes:
            worker.start()
        return self

    def __exit__(self, *_):
        for worker in self.processes:
            worker.terminate()
            worker.join()

    def goes_on(self):
        return any(worker.is_alive() for worker in self.processes)

    def check(self):
        """Precondition: it has ended."""
        codes = [worker.exitcode for worker in self.processes]
        assert codes == [0] * len(codes), f"the load itself failed: {codes}"
