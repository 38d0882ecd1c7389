"""Steady under abuse: what others notice of it is bounded, what it took is given back, and a counter tells of it."""

import random
import resource
import signal
import socket
import struct
import threading
import time

from harness import pressure, process, space, stopped_thread, tap, wire

suite = tap.Suite()

MIB = 1 << 20

# What a quiet client may wait while others misbehave, in seconds, and more on a busy machine (pressure.Measured).
# A client that is starved waits for the others' whole backlog.
P99, LONGEST = 0.15, 1.0


def reset(connection):
    """Closes the client's side by a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def number(server, name):
    return int(server.stats()[name])


def check_buffers_free(stats):
    """Nobody holds a receive buffer but the one who asks, and at most one who asks at the same time."""
    held = int(stats["read_buf_bytes"]) - int(stats["read_buf_bytes_free"])
    assert held <= 2 * 16384, f"{held} bytes of receive buffers are held"


def connect_and_leave(port, count):
    """Comes and goes in every way a client has, without a pause."""
    for index in range(count):
        connection = socket.create_connection(("127.0.0.1", port))
        manner = index % 8
        if manner < 4:
            connection.send((b"get key\r\n", b"set key 0 0 10\r\n012", b"g", b"get key\r\n" * 20)[manner])
        if manner % 2:
            reset(connection)
        else:
            connection.close()


@pressure.steady(suite, "20,000 connections opened and closed as fast as loopback allows leave nothing behind")
def churn(options):
    with process.freed_memory_given_back(), process.Server(options, ["-t", "2", "-c", "4096"]) as server:
        sanitized = server.is_sanitized()
        clients, count = 4, 500 if sanitized else 5000
        with pressure.Quiet(server) as quiet:
            connect_and_leave(server.port, 500)
            time.sleep(0.2)
            pressure.settle(lambda: int(quiet.connection.stats()["curr_connections"]), 1, "curr_connections")
            descriptors, memory, before = server.descriptors(), server.resident_kib(), server.stats()
            overflows = pressure.listen_overflows()
            with pressure.Load(connect_and_leave, server.port, count, processes=clients) as load:
                start = time.monotonic()
                waits = quiet.waits_while(load.goes_on)
                print(f"# {clients * count / (time.monotonic() - start):.0f} connections a second")
                load.check()
            waits.check(P99, LONGEST)
            pressure.settle_descriptors(server, descriptors, quiet.connection)
            pressure.settle(lambda: int(quiet.connection.stats()["curr_connections"]), 1, "curr_connections")
            def missing():
                now = quiet.connection.stats()
                counted = sum(int(now[name]) - int(before[name]) for name in ("total_connections", "rejected_connections"))
                # One that finds the backlog full thinks that it is connected; if it resets, nobody hears of it again.
                return clients * count - counted - (pressure.listen_overflows() - overflows)

            # The last may still be on their way to a worker, and nobody counts them yet.
            pressure.settle(missing, 0, "connections that are not accounted for")
            after = quiet.connection.stats()
            check_buffers_free(after)
            grown = server.resident_kib() - memory
            assert grown < (32 if sanitized else 8) * 1024, f"{grown} KiB more resident memory"


@pressure.steady(suite, "out of descriptors: those who are in are served, no spinning, and those who waited get in afterwards")
def descriptor_limit(options):
    def limit_descriptors(server, number_of_them):
        # An accept that is armed keeps the limit of its arming: filled to -c and left again, the server arms it anew.
        filling = [server.connect() for _ in range(60)]
        pressure.settle(lambda: int(control.stats()["accepting_conns"]), 0, "accepting_conns")
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (number_of_them, ceiling))
        for connection in filling:
            connection.close()
        pressure.settle(lambda: 1 - int(control.stats()["accepting_conns"]), 0, "not accepting")
        pressure.settle(lambda: int(control.stats()["curr_connections"]), 2, "curr_connections")

    with process.Server(options, ["-t", "1", "-c", "40", "-o", "no_maxconns_fast"]) as server, \
            pressure.Quiet(server) as quiet, server.connect() as control:
        before, ceiling = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        pressure.settle(lambda: int(control.stats()["curr_connections"]), 2, "curr_connections")
        limit_descriptors(server, server.descriptors() + 10)
        stats = control.stats()
        waiting = [server.connect() for _ in range(30)]
        for connection in waiting:
            connection.send(b"version\r\n")
        pressure.settle(lambda: int(control.stats()["accepting_conns"]), 0, "accepting_conns")
        used = space.cpu_seconds(server.process.pid)
        waits = quiet.waits_for(0.7)
        used = space.cpu_seconds(server.process.pid) - used
        waits.check(P99, LONGEST)
        assert used < 0.5, f"{used:.2f} s of CPU in 0.7 s at the descriptor limit"
        # A hundred tries a second, each with its two counters: an accept that failed, and the pause that follows.
        tries = {name: int(value) - int(stats[name]) for name, value in control.stats().items()
                 if name in ("accept_errors", "listen_disabled_num", "time_in_listen_disabled_us")}
        assert 10 <= tries["accept_errors"] < 300 and 10 <= tries["listen_disabled_num"] < 300, tries
        assert tries["time_in_listen_disabled_us"] > 300_000, tries
        served = sum(connection.silent_for(0.005) != b"" for connection in waiting)
        assert 8 <= served <= 10, f"{served} of 30 were let in"
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (before, ceiling))
        for connection in waiting:
            assert connection.line().startswith(b"VERSION")
            connection.close()
        pressure.settle(lambda: 1 - int(control.stats()["accepting_conns"]), 0, "not accepting")


def address_space_used(server):
    for line in open(f"/proc/{server.process.pid}/status", encoding="ascii"):
        if line.startswith("VmSize:"):
            return int(line.split()[1]) << 10
    raise process.ServerFailure("the process has no address space: is it gone?")


@pressure.steady(suite, "out of address space: who needs memory loses the connection, the server goes on and serves all afterwards")
def address_space_limit(options):
    with process.Server(options, ["-t", "2", "-c", "2000"]) as server:
        if server.is_sanitized():
            raise tap.Skip("the sanitizer's allocator ends the process")
        with server.connect() as connection:
            assert connection.set("page", b"v" * 3000) == "STORED"
        unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_AS)
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (address_space_used(server), unlimited[1]))
        greedy = []
        for _ in range(200):
            try:
                greedy.append(server.connect())
                greedy[-1].send(b"get" + b" key" * (MIB // 2))  # a line that does not end is kept on the heap
            except OSError:  # it has been cut off already
                pass
        time.sleep(0.5)
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, unlimited)
        assert number(server, "response_obj_oom") > 0, "there was memory for all of them"
        for connection in greedy:
            connection.close()
        pressure.alive(server)


def chatter(port, request, seconds):
    """Writes requests without end and reads whatever comes, as fast as it can."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * MIB)
    connection.setblocking(False)
    end = time.monotonic() + seconds
    position, piece = 0, request * (4 * MIB // len(request))
    while time.monotonic() < end:
        try:
            position = (position + connection.send(memoryview(piece)[position:])) % len(piece)
        except BlockingIOError:
            pass
        try:
            while len(connection.recv(MIB)) == MIB:
                pass
        except BlockingIOError:
            pass
    reset(connection)


@pressure.steady(suite, "one chatty client that could fill all receive buffers of its worker")
def chatty(options):
    requests = (b"set chat 0 0 8000\r\n%s\r\n" % (b"v" * 8000), b"get nokey\r\n", b"mn\r\n",
                b"set chat 0 0 900000 noreply\r\n%s\r\n" % (b"v" * 900_000))
    # One buffer's worth of requests is many turns of work, and the buffers are few.
    flags = ["-t", "1", "-m", "64", "-R", "1", "--receive-buffers", "16"]
    exhausted = 0
    for request in requests:
        with process.Server(options, flags) as server, pressure.Quiet(server) as quiet:
            with pressure.Load(chatter, server.port, request, 0.6) as load:
                waits = quiet.waits_while(load.goes_on)
                load.check()
            stats = server.stats()
            print(f"# {request[:12]!r}: {int(stats['bytes_read']) >> 20} MiB read, {stats['conn_yields']} yields, buffers "
                  f"exhausted {stats['receive_buffers_exhausted']} times, receives paused {stats['receives_paused']} times")
            waits.check(P99, LONGEST)
            exhausted += int(stats["receive_buffers_exhausted"])
    assert exhausted > 0, "no client filled the buffers"


@pressure.steady(suite, "1 GiB of values asked for and not read: memory is bounded, others are served, the answers are right")
def never_reads(options):
    value = random.Random(1).randbytes(MIB)
    with process.freed_memory_given_back(), process.Server(options, ["-t", "1", "-m", "64", "-I", "2m"]) as server, \
            pressure.Quiet(server) as quiet:
        with server.connect() as writer:
            assert writer.set("big", value) == "STORED"
        before = server.resident_kib()
        silent = [server.connect(receive_buffer_bytes=4096) for _ in range(8)]
        for connection in silent:
            connection.send(b"get big\r\n" * 1024)
        quiet.waits_for(0.5).check(P99, LONGEST)
        # The values are sent from where they lie: what is held is the requests and the headers of a few answers.
        grown = server.resident_kib() - before
        assert grown < (48 if server.is_sanitized() else 4) * 1024, f"{grown} KiB more resident memory"
        stats = server.stats()
        assert int(stats["receives_paused"]) >= len(silent), stats["receives_paused"]
        assert int(stats["sends_short"]) > 0
        assert silent[0].line() == b"VALUE big 0 1048576"
        assert silent[0].take(MIB) == value and silent[0].take(7) == b"\r\nEND\r\n"
        for connection in silent:
            reset(connection.socket)
        pressure.settle(lambda: number(server, "curr_connections"), 2, "curr_connections")


@pressure.steady(suite, "one byte a second of a line, a value, a header: 300 such clients cost a little memory and nobody's time")
def byte_by_byte(options):
    key = b"slow" * 40
    header = struct.pack(">BBHBBHIIQ", 0x80, 0x00, len(key), 0, 0, 0, len(key), 0, 0)
    requests = [b"get " + key + b"\r\n", b"set slow 0 0 1000\r\n" + b"v" * 1000 + b"\r\n", header + key]
    answers = [b"END\r\n", b"STORED\r\n", b"\x81\x00"]
    # Half of it at once, the rest by the second. More clients than there are receive buffers.
    with process.freed_memory_given_back(), process.Server(options, ["-t", "1", "-o", "idle_timeout=2"]) as server, \
            pressure.Quiet(server) as quiet:
        memory = server.resident_kib()
        slow = [(server.connect(), requests[index % 3], index % 3) for index in range(300)]
        for connection, request, _ in slow:
            connection.send(request[:len(request) // 2 - 2])
        for second in range(4):
            for connection, request, _ in slow:
                connection.send(request[len(request) // 2 - 2 + second:][:1])
            quiet.waits_for(0.9).check(P99, LONGEST)
        grown = server.resident_kib() - memory
        assert grown < (32 if server.is_sanitized() else 4) * 1024, f"{grown} KiB more resident memory"
        stats = server.stats()
        check_buffers_free(stats)
        assert stats["idle_kicks"] == "0"
        for connection, request, kind in slow:
            connection.send(request[len(request) // 2 + 2:])
            assert connection.take(len(answers[kind])) == answers[kind]
            connection.close()


@pressure.steady(suite, "values that never come whole hold item memory, visibly, until their clients are gone")
def unfinished_values(options):
    with process.Server(options, ["-t", "2", "-m", "32"]) as server, pressure.Quiet(server) as quiet, \
            server.connect() as control:
        unfinished = [server.connect() for _ in range(50)]
        for index, client in enumerate(unfinished):
            client.send(b"set up%d 0 0 1000000\r\n" % index + b"v" * 900_000)
        deadline = time.monotonic() + 10
        while control.set("large", b"v" * 900_000) == "STORED":
            assert time.monotonic() < deadline, "45 MB in 32"
        assert control.request("mn") == "MN" and control.get("nokey") is None
        stats = control.stats()
        assert int(stats["store_no_memory"]) > 0 and int(stats["malloc_fails"]) > 0
        for client in unfinished:
            client.close()
        deadline = time.monotonic() + 5
        while control.set("large", b"v" * 900_000) != "STORED":
            assert time.monotonic() < deadline, "the memory of unfinished values does not come back"
            time.sleep(0.01)
        assert quiet.connection.set("quiet", b"value") == "STORED"
        quiet.waits_for(0.1).check(P99, LONGEST)


@pressure.steady(suite, "half-closed clients get all their replies, however many there are and however late they read")
def half_closed(options):
    value = random.Random(2).randbytes(200_000)
    answer = b"VALUE key 0 200000\r\n" + value + b"\r\nEND\r\n"
    with process.Server(options, ["-t", "2"]) as server, pressure.Quiet(server) as quiet:
        with server.connect() as writer:
            assert writer.set("key", value) == "STORED"
        pressure.settle(lambda: number(server, "curr_connections"), 2, "curr_connections")
        descriptors = server.descriptors()
        clients = [server.connect(receive_buffer_bytes=65536) for _ in range(12)]
        for client in clients:
            client.send(b"get key\r\n" * 30 + b"get ke")
            client.send_end()
        quiet.waits_for(0.3).check(P99, LONGEST)
        assert number(server, "receives_paused") > 0
        for client in clients:
            assert client.rest() == answer * 30, "replies are missing"
            client.close()
        pressure.settle_descriptors(server, descriptors, quiet.connection)


def pipelines(port, count, rounds):
    """`count` requests sent without waiting, answered in order; several times."""
    data = b"".join(b"mn\r\n" if index % 2 else b"get k%d\r\n" % index for index in range(count - 1)) + b"mg k0 v\r\n"
    expected = b"VALUE k0 0 5\r\nfirst\r\nEND\r\n" + b"MN\r\nEND\r\n" * (count // 2 - 1) + b"VA 5\r\nfirst\r\n"
    client = wire.Connection(("127.0.0.1", port))
    for _ in range(rounds):
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        assert client.take(len(expected)) == expected
        sender.join()
    client.close()


@pressure.steady(suite, "a pipeline of 100,000 requests is answered in order while others are served")
def long_pipeline(options):
    with process.freed_memory_given_back(), process.Server(options, ["-t", "1"]) as server, \
            pressure.Quiet(server) as quiet:
        memory = server.resident_kib()
        assert quiet.connection.set("k0", b"first") == "STORED"
        with pressure.Load(pipelines, server.port, 100_000, 3) as load:
            waits = quiet.waits_while(load.goes_on)
            load.check()
        waits.check(P99, LONGEST)
        assert number(server, "conn_yields") > 0
        grown = server.resident_kib() - memory
        assert grown < (48 if server.is_sanitized() else 8) * 1024, f"{grown} KiB more resident memory"


@pressure.steady(suite, "resets in the middle of a send leave neither descriptors nor values held")
def resets(options):
    # Without eviction a value that stayed pinned by a reset connection is memory that does not come back.
    with process.Server(options, ["-t", "2", "-m", "24", "-M"]) as server, pressure.Quiet(server) as quiet, \
            server.connect() as control:
        pressure.settle(lambda: int(control.stats()["curr_connections"]), 2, "curr_connections")
        descriptors = server.descriptors()
        for index in range(60):
            deadline = time.monotonic() + 10
            while control.set("big", b"%d" % (index % 10) * 900_000) != "STORED":
                assert time.monotonic() < deadline, "the memory of values is not given back"
                time.sleep(0.01)
            for _ in range(2):
                client = server.connect(receive_buffer_bytes=4096)
                client.send(b"get big\r\n" * 50)
                client.take(1 + 3000 * index)
                reset(client.socket)
        quiet.waits_for(0.2).check(P99, LONGEST)
        pressure.settle_descriptors(server, descriptors, quiet.connection)
        assert number(server, "sends_short") > 0


@pressure.steady(suite, "a worker stopped for seconds while hand-offs arrive: the others' clients are served, then its own")
def stopped_worker(options):
    with process.Server(options, ["-t", "2"]) as server, pressure.Quiet(server) as quiet:
        pressure.settle(lambda: int(quiet.connection.stats()["curr_connections"]), 1, "curr_connections")
        (idle,) = [index for index in range(2) if quiet.connection.stats("workers")[f"{index}:curr_connections"] == "0"]
        threads = stopped_thread.threads_named(server.process.pid, "rc-worker-")
        with stopped_thread.Stopped(threads[idle]):
            clients = [server.connect() for _ in range(200)]
            for client in clients:
                client.send(b"version\r\n")
            quiet.waits_for(2.0).check(P99, LONGEST)
            served = [client for client in clients if client.silent_for(0.001) != b""]
            assert 90 <= len(served) <= 110, f"{len(served)} of 200 were served"
            stats = quiet.connection.stats()
            assert stats["curr_connections"] == "201", stats["curr_connections"]
        for client in clients:
            assert client.line().startswith(b"VERSION")
            client.close()
        pressure.settle(lambda: int(quiet.connection.stats()["curr_connections"]), 1, "curr_connections")


@pressure.steady(suite, "SIGSTOP and SIGCONT: what came meanwhile is answered by the time of now, and nobody is idle for it")
def stopped_process(options):
    with process.Server(options, ["-t", "2", "-o", "idle_timeout=2"]) as server:
        start = time.monotonic()
        old = [server.connect() for _ in range(20)]
        for index, client in enumerate(old):
            assert client.set(f"short{index}", b"v", exptime=2) == "STORED"
            assert client.set(f"long{index}", b"v", exptime=60) == "STORED"
        if time.monotonic() - start > 1:
            raise pressure.TooSlow("clients would be idle without a standstill")
        server.process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(1)
            new = [server.connect() for _ in range(20)]
            # Late, so that the timers of the workers have gone off before anything came.
            time.sleep(2.2)
            for index, client in enumerate(old + new):
                client.send(b"get short%d long%d\r\n" % (index % 20, index % 20))
        finally:
            start = time.monotonic()
            server.process.send_signal(signal.SIGCONT)
        for index, client in enumerate(old + new):
            assert client.line() == b"VALUE long%d 0 1" % (index % 20), "an expired item was served"
            assert client.line() == b"v" and client.line() == b"END"
        with server.connect() as control:
            kicks = control.stats()["idle_kicks"]
        if time.monotonic() - start > 1:
            raise pressure.TooSlow("clients may be idle by now")
        assert kicks == "0", f"{kicks} were closed as idle"
        for client in old + new:
            client.close()


if __name__ == "__main__":
    tap.main(suite, __doc__)
