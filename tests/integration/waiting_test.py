"""How a worker waits: gathering (io.min_wait) and spinning (io.spin), on each kind of ring."""

import time

from harness import forbid_io_uring, process, tap

# What gathers, as `stats` tells; the first is the kernel's own wherever it has it.
RINGS = {"io_uring": [], "lowest tier": ["--io-level", "6.1"], "epoll": ["--io", "epoll"]}
GATHERS_BY = {"io_uring": {"minimum_wait", "time_limit"}, "lowest tier": {"time_limit"}, "epoll": {"sleep"}}
CLIENTS = 8

suite = tap.Suite()


def figures(server):
    return {name: int(value) for name, value in server.stats().items()
            if name in ("waits", "waits_gathering", "completions_gathered", "waits_spinning", "spins_successful")}


def all_at_once(clients, rounds):
    """Each client sends a request, then each reads its answer."""
    for number in range(rounds):
        for client in clients:
            client.send(b"set key 0 0 1\r\n%d\r\n" % (number % 10))
        for client in clients:
            assert client.line() == b"STORED"


def uring_is_there(options):
    return process.run_to_end(options, ["--features", "--io=uring"])[0] == 0


def each_ring(options):
    for name, flags in RINGS.items():
        if name == "epoll" or uring_is_there(options):
            print(f"# {name}")
            yield name, flags


def add_for_each_ring(title, flags, run):
    @suite.test(title, seconds=60)
    def test(options):
        for name, ring in each_ring(options):
            with process.Server(options, ["-t", "1"] + ring + flags) as server:
                clients = [server.connect() for _ in range(CLIENTS)]
                run(server, clients, name)
                for client in clients:
                    client.close()


def gathers_when_busy(server, clients, name):
    all_at_once(clients, 100)
    found = figures(server)
    assert found["waits_gathering"] > 5, found
    assert found["completions_gathered"] > 2 * found["waits_gathering"], found
    assert server.stats()["waits_gather_by"] in GATHERS_BY[name], server.stats()
    assert "waits_spinning" not in found, found
    # Who comes meanwhile is served.
    with server.connect() as late:
        all_at_once(clients + [late], 10)


def quiet_is_quick(server, clients, _name):
    """A request that had to wait for the minimum wait would take 100 ms."""
    best = [1.0, 1.0]
    for rounds in (20, 3, 3):
        all_at_once(clients, rounds)
        time.sleep(0.35)
        for request in range(2):
            began = time.monotonic()
            assert clients[0].request("version").startswith("VERSION")
            best[request] = min(best[request], time.monotonic() - began)
    print(f"# after a pause: {best[0] * 1000:.1f} ms, then {best[1] * 1000:.1f} ms")
    assert max(best) < 0.08, best
    assert figures(server)["waits_gathering"] > 0


def spins(server, clients, _name):
    all_at_once(clients, 100)
    found = figures(server)
    assert 0 < found["spins_successful"] <= found["waits_spinning"] <= found["waits"], found
    assert "waits_gathering" not in found and "waits_gather_by" not in server.stats(), found


def both_at_once(server, clients, _name):
    all_at_once(clients, 100)
    for _ in range(20):
        assert clients[0].request("get key").startswith("VALUE key")
        assert clients[0].line() + clients[0].line() != b""
        time.sleep(0.001)
    found = figures(server)
    assert found["waits_gathering"] > 0 and found["waits_spinning"] > 0, found
    with server.connect() as connection:
        assert connection.request("stats reset") == "RESET"
    assert figures(server)["waits"] < found["waits"]


add_for_each_ring("under load workers gather", ["--min-wait=20ms"], gathers_when_busy)
add_for_each_ring("a request to a quiet server is answered at once", ["--min-wait=100ms"], quiet_is_quick)
add_for_each_ring("workers spin before they sleep", ["--spin=2ms"], spins)
add_for_each_ring("both: who gathers does not spin", ["--min-wait=5ms", "--spin=200us"], both_at_once)


@suite.test("neither is the default, and then there are no lines about it")
def default(options):
    with process.Server(options) as server:
        assert figures(server) == {}


@suite.test("where the kernel's minimum wait is not used, one warning says why")
def warned(options):
    if not uring_is_there(options):
        return
    for flags, expected in ((["--io-level=6.1", "--min-wait=50us"], 1), (["--io-level=6.1"], 0),
                            (["--io=epoll", "--min-wait=50us"], 0)):
        with process.Server(options, flags) as server:
            assert server.stderr().count(b"minimum wait") == expected, (flags, server.stderr())
            assert expected == 0 or b"needs Linux 6.12" in server.stderr(), server.stderr()
    with process.Server(forbid_io_uring.options_under(options, "refuse"), ["--min-wait=50us"]) as server:
        assert b"minimum wait" not in server.stderr() and b"epoll instead" in server.stderr(), server.stderr()
        assert server.stats()["waits_gather_by"] == "sleep"


if __name__ == "__main__":
    tap.main(suite, __doc__)
