"""What others notice while a server is put under pressure: whether and how fast they are served, and what is left behind."""

import multiprocessing
import time


def alive(server):
    """Another client is served, now."""
    with server.connect() as connection:
        assert connection.set("probe", b"value") == "STORED"
        assert connection.get("probe") == b"value"


def settle(read, highest, what, seconds=10):
    """Waits until read() is at most `highest`: the server closes after the client has seen the end."""
    deadline = time.monotonic() + seconds
    while (value := read()) > highest:
        assert time.monotonic() < deadline, f"{what} is {value}, more than {highest}"
        time.sleep(0.02)


def settle_descriptors(server, highest, observer):
    """As settle(); `observer` is an open connection, which can tell whose they are."""
    try:
        settle(server.descriptors, highest, "the number of open descriptors")
    except AssertionError as error:
        raise AssertionError(f"{error}; connections: {observer.stats('conns')}") from None


class Waits:
    """How long a quiet client waited for each of its answers."""

    def __init__(self, seconds, slack):
        self.seconds = sorted(seconds)
        self.slack = slack

    def share(self, share):
        """The wait that this share of the requests did not exceed."""
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * share))]

    def check(self, p99, longest):
        """Prints them, and holds them to their bounds, in seconds of a server that is not sanitized."""
        p99, longest = p99 * self.slack, longest * self.slack
        found = self.share(0.99), self.seconds[-1]
        print(f"# {len(self.seconds)} requests of a quiet client: median {1000 * self.share(0.5):.2f} ms, "
              f"p99 {1000 * found[0]:.1f} ms, longest {1000 * found[1]:.1f} ms")
        assert found[0] <= p99 and found[1] <= longest, f"bounds are p99 {p99} s, longest {longest} s"


class Quiet:
    """A client with one small request at a time, a millisecond apart. It exists before the pressure does."""

    def __init__(self, server):
        self.connection = server.connect()
        self.slack = 4 if server.is_sanitized() else 1
        self.connection.set("quiet", b"value")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def waits_while(self, goes_on):
        """Its waits as long as goes_on() holds; at least one."""
        waits = []
        while not waits or goes_on():
            start = time.monotonic()
            assert self.connection.get("quiet") == b"value"
            waits.append(time.monotonic() - start)
            time.sleep(0.001)
        return Waits(waits, self.slack)

    def waits_for(self, seconds):
        end = time.monotonic() + seconds
        return self.waits_while(lambda: time.monotonic() < end)


class Load:
    """`function(*arguments)` in processes of their own, so that its work does not delay the one who measures."""

    def __init__(self, function, *arguments, processes=1):
        fork = multiprocessing.get_context("fork")
        self.processes = [fork.Process(target=function, args=arguments, daemon=True) for _ in range(processes)]

    def __enter__(self):
        for process in self.processes:
            process.start()
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
            process.join()

    def goes_on(self):
        return any(process.is_alive() for process in self.processes)

    def check(self):
        """Precondition: it has ended."""
        codes = [process.exitcode for process in self.processes]
        assert codes == [0] * len(codes), f"the load itself failed: {codes}"
