"""UDP: frames, what is dropped, replies of several datagrams, and what a flood or a forged source can not do."""

import os
import pathlib
import random
import socket
import struct
import subprocess
import time

from harness import process, tap

suite = tap.Suite()

HEADER = struct.Struct(">HHHH")
DATAGRAM_MAX = 1400
PAYLOAD_MAX = DATAGRAM_MAX - HEADER.size
# How long to wait for a reply that must not come.
SILENCE_SECONDS = 0.3
PATIENCE_SECONDS = 5


class Client:
    """A UDP client; each is one source, and so is served by one worker."""

    def __init__(self, server, host="127.0.0.1", port=None, source=None):
        self.address = (host, port or server.udp_port)
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if source:
            self.socket.bind((source, 0))
        self.next_id = random.randrange(65536)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send_raw(self, datagram):
        self.socket.sendto(datagram, self.address)

    def send(self, payload, sequence=0, total=1, reserved=0):
        self.next_id = (self.next_id + 1) % 65536
        self.send_raw(HEADER.pack(self.next_id, sequence, total, reserved) + payload)
        return self.next_id

    def datagram(self, seconds=PATIENCE_SECONDS):
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(65536)
        except socket.timeout:
            return None

    def message(self, request_id, seconds=PATIENCE_SECONDS):
        """The whole reply to a request, its frames checked."""
        pieces = {}
        total = 1
        while len(pieces) < total:
            datagram = self.datagram(seconds)
            if datagram is None:
                assert not pieces, f"only datagrams {sorted(pieces)} of {total} came"
                return None
            assert HEADER.size < len(datagram) <= DATAGRAM_MAX, len(datagram)
            answered, sequence, total, reserved = HEADER.unpack_from(datagram)
            assert answered == request_id, (answered, request_id)
            assert reserved == 0 and sequence < total, (sequence, total, reserved)
            assert sequence not in pieces, sequence
            pieces[sequence] = datagram[HEADER.size:]
        for sequence in range(total - 1):
            assert len(pieces[sequence]) == PAYLOAD_MAX, len(pieces[sequence])
        return b"".join(pieces[sequence] for sequence in range(total))

    def ask(self, payload, **frame):
        return self.message(self.send(payload, **frame))

    def expect_silence(self):
        datagram = self.datagram(SILENCE_SECONDS)
        assert datagram is None, datagram


def own_behaviour(options, why):
    if options.dialect != "rc":
        raise tap.Skip(why)


def wait_for(read, wanted, what):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (value := read()) != wanted:
        assert time.monotonic() < deadline, f"{what} is {value}, not {wanted}"
        time.sleep(0.02)


@suite.test("replies are those of TCP, in the frame of the request")
def same_replies(options):
    with process.Server(options, ["-t", "2"], udp=True) as server, Client(server) as client:
        for request, reply in (
                (b"set a 5 0 3\r\nabc\r\n", b"STORED\r\n"),
                (b"get a\r\n", b"VALUE a 5 3\r\nabc\r\nEND\r\n"),
                (b"get missing\r\n", b"END\r\n"),
                (b"add a 0 0 1\r\nx\r\n", b"NOT_STORED\r\n"),
                (b"append a 0 0 1\r\nd\r\n", b"STORED\r\n"),
                (b"get a\n", b"VALUE a 5 4\r\nabcd\r\nEND\r\n"),
                (b"set n 0 0 2\r\n41\r\n", b"STORED\r\n"),
                (b"incr n 1\r\n", b"42\r\n"),
                (b"delete n\r\n", b"DELETED\r\n"),
                (b"touch n 0\r\n", b"NOT_FOUND\r\n"),
                (b"bogus\r\n", b"ERROR\r\n"),
                (b"set a 0 0 x\r\n", b"CLIENT_ERROR bad command line format\r\n")):
            assert client.ask(request) == reply, request
        assert client.ask(b"version\r\n").startswith(b"VERSION ")
        assert client.ask(b"stats\r\n").endswith(b"\r\nEND\r\n")
        with server.connect() as connection:
            assert connection.get("a") == b"abcd"


@suite.test("request id and nothing else comes back; sequence number and reserved bytes are ignored")
def frames(options):
    with process.Server(options, udp=True) as server, Client(server) as client:
        for request_id in (0, 1, 0x1234, 0xffff):
            for sequence, reserved in ((0, 0), (7, 0), (0xffff, 0xffff)):
                client.send_raw(HEADER.pack(request_id, sequence, 1, reserved) + b"get a\r\n")
                assert client.datagram() == HEADER.pack(request_id, 0, 1, 0) + b"END\r\n"


@suite.test("a reply of several datagrams: 5000 bytes are 1400, 1400, 1400 and 857")
def several_datagrams(options):
    value = bytes(random.randrange(256) for _ in range(5000))
    with process.Server(options, udp=True) as server, Client(server) as client:
        with server.connect() as connection:
            assert connection.set("big", value) == "STORED"
        client.send(b"get big\r\n")
        datagrams = [client.datagram() for _ in range(4)]
        assert sorted(len(datagram) for datagram in datagrams) == [857, 1400, 1400, 1400], datagrams
        assert client.ask(b"get big\r\n") == b"VALUE big 0 5000\r\n" + value + b"\r\nEND\r\n"


@suite.test("sizes around the datagram's, and a value of a MiB")
def sizes(options):
    with process.Server(options, ["-I", "2m"], udp=True) as server, Client(server) as client:
        with server.connect() as connection:
            # The rest of the reply is 26 bytes with four digits.
            for size in [*range(1360, 1380), 2750, 4096, 70000, 1 << 20]:
                value = os.urandom(size)
                assert connection.set("v", value) == "STORED"
                assert client.ask(b"get v\r\n") == b"VALUE v 0 %d\r\n" % size + value + b"\r\nEND\r\n", size


@suite.test("several requests in one datagram are answered one message each")
def several_requests(options):
    with process.Server(options, ["-R", "5"], udp=True) as server, Client(server) as client:
        count = 60
        payload = b"".join(b"set k%d 0 0 1\r\nx\r\nget k%d\r\n" % (i, i) for i in range(count))
        request_id = client.send(payload)
        messages = [client.message(request_id) for _ in range(2 * count)]
        assert messages.count(b"STORED\r\n") == count
        for i in range(count):
            assert b"VALUE k%d 0 1\r\nx\r\nEND\r\n" % i in messages, i
        client.expect_silence()


@suite.test("a get of many keys is one message")
def many_keys(options):
    own_behaviour(options, "the reference sends one message for each hit")
    with process.Server(options, udp=True) as server, Client(server) as client:
        for i in range(100):
            assert client.ask(b"set k%d 0 0 40\r\n" % i + b"v" * 40 + b"\r\n") == b"STORED\r\n"
        keys = b" ".join(b"k%d" % i for i in range(120))
        hits = b"".join(b"VALUE k%d 0 40\r\n" % i + b"v" * 40 + b"\r\n" for i in range(100))
        for before in (b"", b"get missing\r\n"):
            request_id = client.send(before + b"get " + keys + b"\r\nget missing\r\n")
            messages = [client.message(request_id) for _ in range(2 if not before else 3)]
            assert messages.count(hits + b"END\r\n") == 1, messages
            assert messages.count(b"END\r\n") == len(messages) - 1, messages


@suite.test("noreply and quit are answered by no datagram; what follows quit is not read")
def silent_requests(options):
    own_behaviour(options, "the reference answers quit by an empty datagram, and is deaf afterwards")
    with process.Server(options, udp=True) as server, Client(server) as client:
        client.send(b"set a 0 0 1 noreply\r\nx\r\n")
        client.send(b"quit\r\n")
        client.send(b"delete a noreply\r\nquit\r\nset b 0 0 1\r\nx\r\n")
        client.send(b"verbosity 0 noreply\r\n")
        client.expect_silence()
        assert client.ask(b"get a b\r\n") == b"END\r\n"


@suite.test("malformed frames and requests that are not whole are dropped, and leave nothing behind")
def dropped(options):
    own_behaviour(options, "the reference keeps what is left of a request for the next datagram")
    with process.Server(options, ["-t", "1"], udp=True) as server, Client(server) as client:
        header = HEADER.pack(1, 0, 1, 0)
        raw = [b"", b"x", header[:7], header]
        raw += [HEADER.pack(1, 0, total, 0) + b"version\r\n" for total in (0, 2, 256, 0xffff)]
        raw += [header + request for request in (
            b"get a", b"version", b"v", b"get " + b"k" * 3000, b"set a 0 0 5\r\n", b"set a 0 0 5\r\nabc",
            b"set a 0 0 5\r\nabcde", b"set a 0 0 5\r\nabcde\r", b"set a 0 0 9999999\r\nabc")]
        for datagram in raw:
            client.send_raw(datagram)
        client.expect_silence()
        wait_for(lambda: server.stats()["udp_datagrams_malformed"], str(len(raw)), "udp_datagrams_malformed")
        assert client.ask(b"\r\nget a\r\n") in (b"ERROR\r\n", b"CLIENT_ERROR bad command line format\r\n")
        assert client.message(client.next_id) == b"END\r\n"
        # The whole request before the broken one is answered.
        assert client.ask(b"get a\r\nset a 0 0 5\r\nabc") == b"END\r\n"
        client.expect_silence()
        assert client.ask(b"get a\r\n") == b"END\r\n"
        stats = server.stats()
        assert int(stats["udp_datagrams_received"]) == len(raw) + 3, stats["udp_datagrams_received"]
        assert int(stats["udp_replies_dropped"]) == 0


@suite.test("a reply is not answered: two servers can not be set on each other")
def no_loop(options):
    own_behaviour(options, "the reference answers errors by errors")
    with process.Server(options, ["-t", "1"], udp=True) as one, process.Server(options, ["-t", "1"], udp=True) as other:
        with Client(one) as client:
            for reply in (b"ERROR\r\n", b"END\r\n", b"CLIENT_ERROR bad command line format\r\n", b"41\r\n"):
                client.send(reply)
            client.expect_silence()
            # Each server in the other's place: the relay stands for the forged source.
            reply = client.ask(b"bogus\r\n")
            with Client(other) as relay:
                relay.send(reply)
                relay.expect_silence()
        assert one.stats()["udp_datagrams_malformed"] == "4"
        assert other.stats()["udp_datagrams_malformed"] == "1"


@suite.test("watching and dumping are refused")
def refused_commands(options):
    own_behaviour(options, "the reference is silent and deaf afterwards")
    with process.Server(options, udp=True) as server, Client(server) as client:
        for request in (b"watch\r\n", b"watch fetchers\r\n", b"lru_crawler metadump all\r\n",
                        b"lru_crawler mgdump hash\r\n"):
            assert client.ask(request).startswith((b"ERROR", b"CLIENT_ERROR")), request
            assert client.ask(b"get a\r\n") == b"END\r\n"
            assert server.stats()["log_watchers"] == "0", request


@suite.test("meta requests: one message for each that has something to say")
def meta(options):
    with process.Server(options, udp=True) as server, Client(server) as client:
        for requests, replies in (
                (b"ms a 2\r\nhi\r\n", [b"HD\r\n"]),
                (b"mg a v k\r\n", [b"VA 2 ka\r\nhi\r\n"]),
                (b"mg missing v\r\n", [b"EN\r\n"]),
                (b"mn\r\n", [b"MN\r\n"]),
                (b"mg a v\r\nmn\r\n", [b"VA 2\r\nhi\r\n", b"MN\r\n"]),
                (b"mg missing v q\r\nmg a v q\r\nmn\r\n", [b"VA 2\r\nhi\r\n", b"MN\r\n"]),
                (b"md a q\r\nmn\r\n", [b"MN\r\n"])):
            request_id = client.send(requests)
            received = [client.message(request_id) for _ in replies]
            assert sorted(received) == sorted(replies), (requests, received)
        client.expect_silence()


@suite.test("the dialect is chosen for each datagram")
def dialects(options):
    with process.Server(options, ["-t", "1"], udp=True) as server, Client(server) as client:
        noop = struct.pack(">BBHBBHIIQ", 0x80, 0x0a, 0, 0, 0, 0, 0, 0xdeadbeef, 0)
        answer = struct.pack(">BBHBBHIIQ", 0x81, 0x0a, 0, 0, 0, 0, 0, 0xdeadbeef, 0)
        key, value = b"k", b"v" * 5000
        body = struct.pack(">II", 7, 0) + key
        set_short = struct.pack(">BBHBBHIIQ", 0x80, 0x01, 1, 8, 0, 0, len(body) + 3, 1, 0) + body + b"abc"
        set_cut = struct.pack(">BBHBBHIIQ", 0x80, 0x01, 1, 8, 0, 0, len(body) + 9, 1, 0) + body + b"abc"
        get = struct.pack(">BBHBBHIIQ", 0x80, 0x00, 1, 0, 0, 0, 1, 5, 0) + key
        for _ in range(3):
            assert client.ask(b"get a\r\n") == b"END\r\n"
            assert client.ask(noop) == answer
            # Two requests, two messages.
            request_id = client.send(set_short + get)
            messages = [client.message(request_id) for _ in range(2)]
            assert sorted(len(message) for message in messages) == [24, 31], messages
            assert max(messages, key=len).endswith(b"abc"), messages
            assert client.ask(b"get k\r\n") == b"VALUE k 7 3\r\nabc\r\nEND\r\n"
            if options.dialect == "rc":  # the reference keeps the rest for the next datagram
                client.send(set_cut)
                client.expect_silence()
        with server.connect() as connection:
            assert connection.set("k", value) == "STORED"
        assert client.ask(get).endswith(value)


@suite.test("a source that is not trusted gets no more bytes than it sent")
def no_amplification(options):
    own_behaviour(options, "an option of ringcached's")
    flags = ["-t", "2", "--udp-clients", "127.0.0.2,127.1.0.0/16,::1"]
    with process.Server(options, flags, udp=True) as server:
        assert "udp_clients" not in server.stats("settings")
        with Client(server) as stranger, Client(server, source="127.0.0.2") as friend, \
                Client(server, source="127.1.2.3") as neighbour:
            for client in (friend, neighbour):
                assert client.ask(b"set big 0 0 900\r\n" + b"x" * 900 + b"\r\n") == b"STORED\r\n"
                assert len(client.ask(b"get big\r\n")) > 900
            stranger.send(b"get big\r\n")
            stranger.send(b"stats\r\n")
            stranger.send(b"version\r\n")
            stranger.expect_silence()
            assert server.stats()["udp_replies_dropped"] == "3"
            # What is not longer than the request is answered; the sum over the datagram counts.
            assert stranger.ask(b"get missing\r\n") == b"END\r\n"
            request_id = stranger.send(b"get big\r\nget missing\r\n")
            assert stranger.message(request_id) == b"END\r\n"
            request_id = stranger.send(b"version\r\n" + b" " * 1000 + b"version\r\n")
            assert stranger.message(request_id).startswith(b"VERSION")
            assert server.stats()["udp_replies_dropped"] == "4"


@suite.test("a flood whose replies nobody reads: bounded memory, everybody else served")
def flood(options):
    own_behaviour(options, "the bound is ringcached's")
    with process.freed_memory_given_back(), process.Server(options, ["-t", "1"], udp=True) as server:
        with server.connect() as connection:
            assert connection.set("big", b"x" * 1_000_000) == "STORED"
            small = Client(server)
            small.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            before = server.resident_kib()
            request = HEADER.pack(7, 0, 1, 0) + b"get big big big\r\nget big\r\n" * 3
            sent = 0
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                for _ in range(50):
                    small.send_raw(request)
                    sent += 1
                assert connection.get("missing") is None
            assert server.resident_kib() - before < 32 * 1024, (before, server.resident_kib())
            small.socket.close()
            with Client(server) as client:
                wait_for(lambda: client.message(client.send(b"get missing\r\n"), 0.5), b"END\r\n", "the reply")
            stats = server.stats()
            assert int(stats["udp_replies_dropped"]) > 0, (sent, stats["udp_replies_dropped"])


@suite.test("many clients over several workers, IPv6, and the sockets in stats conns")
def many_clients(options):
    with process.Server(options, ["-t", "3", "-l", "::1"], udp=True) as server:
        clients = [Client(server) for _ in range(40)]
        for i, client in enumerate(clients):
            assert client.ask(b"set k%d 0 0 2\r\n%02d\r\n" % (i, i)) == b"STORED\r\n"
        for i, client in enumerate(clients):
            assert client.ask(b"get k%d\r\n" % i) == b"VALUE k%d 0 2\r\n%02d\r\nEND\r\n" % (i, i)
            client.socket.close()
        lines = server.stats("conns")
        sockets = [key.split(":")[0] for key, value in lines.items() if key.endswith(":UDP")]
        names = {lines[f"{descriptor}:addr"] for descriptor in sockets}
        v6 = [name for name in names if name.startswith("udp6:[::1]:")]
        assert f"udp:127.0.0.1:{server.udp_port}" in names and len(v6) == 1, names
        if options.dialect == "rc":
            assert len(sockets) == 6, sockets
        for descriptor in sockets:
            assert lines[f"{descriptor}:UDP"] == "UDP"
            assert lines[f"{descriptor}:state"] == "conn_read"
            assert int(lines[f"{descriptor}:secs_since_last_cmd"]) < 60
            assert f"{descriptor}:listen_addr" not in lines
        if options.dialect == "rc":
            assert int(server.stats("settings")["udpport"]) in (server.udp_port, int(v6[0].rsplit(":", 1)[1]))
        with Client(server, host="::1", port=int(v6[0].rsplit(":", 1)[1])) as client:
            assert client.ask(b"get k7\r\n") == b"VALUE k7 0 2\r\n07\r\nEND\r\n"


@suite.test("without -U there is no socket and no line of it")
def off(options):
    with process.Server(options) as server:
        assert server.udp_port is None
        assert not [key for key in server.stats("conns") if key.endswith(":UDP")]
        assert server.stats("settings")["udpport"] == "0"
        assert not [key for key in server.stats() if key.startswith("udp_")]


@suite.test("-U alone gives TCP the same port; -U with -p 0 serves UDP only; a taken port is refused")
def ports(options):
    probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    flags = process.privileges() + ["-l", "127.0.0.1"]
    command = process.command_of(options) + flags
    for more, transports in ((["-U", str(port)], {"TCP", "UDP"}), (["-p", "0", "-U", str(port)], {"UDP"})):
        with process.Server(options, unix=True) as helper:
            port_file = pathlib.Path(helper.directory) / "own-ports"
            environment = dict(os.environ, MEMCACHED_PORT_FILENAME=str(port_file))
            running = subprocess.Popen(command + more, env=environment)
            try:
                deadline = time.monotonic() + process.START_SECONDS_MAX
                while not port_file.exists():
                    assert running.poll() is None and time.monotonic() < deadline
                    time.sleep(0.01)
                lines = set(port_file.read_text().splitlines())
                assert lines == {f"{transport} INET: {port}" for transport in transports}, lines
                with Client(None, port=port) as client:
                    assert client.ask(b"get a\r\n") == b"END\r\n"
                if options.dialect == "rc":
                    status, _, error = process.run_to_end(options, flags + ["-p", "-1", "-U", str(port)])
                    assert status != 0 and f"cannot listen on UDP 127.0.0.1:{port}: the port is in use" in error, error
            finally:
                running.terminate()
                assert running.wait(process.STOP_SECONDS_MAX) == 0


@suite.test("wrong addresses of udp_clients are refused with the place and what to write")
def wrong_addresses(options):
    own_behaviour(options, "an option of ringcached's")
    for text in ("localhost", "10.0.0.0/33", "10.0.0.1/8", "fd00::/129", "::1/", "1.2.3"):
        status, _, error = process.run_to_end(options, process.privileges() + ["-U", "0", "--udp-clients", text])
        assert status == 1 and f'--udp-clients {text}: "{text}": ' in error, (status, error)


if __name__ == "__main__":
    tap.main(suite, __doc__)
