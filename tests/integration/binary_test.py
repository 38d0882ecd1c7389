"""The binary protocol over real sockets: every exchange whole, byte by byte and over a UNIX socket.

The same exchanges check ringcached and memcached, so the expectations are proven by the reference itself:
    binary_test.py --server "memcached" --dialect 18
Where the dialects differ, the expectation is a dictionary of theirs; "memcached" stands for both of memcached's.
"""

import pathlib
import struct
import threading

from harness import process, tap, wire
from harness.binary import counted, packet, receive, stored, timed

suite = tap.Suite()

CORPUS = pathlib.Path(__file__).parent.parent / "fuzz" / "corpus" / "binary"
PAST = 2592001  # an absolute time of 1970
NOOP = packet(0x0a, opaque=0x77)
NOOP_ANSWER = "0a 00 o77"
EXISTS = "02 Data exists for key."
MISSING = "01 Not found"
BAD = "04 Invalid arguments"
UNKNOWN = "81 Unknown command"
NOT_A_NUMBER = "06 Non-numeric server-side value for incr or decr"
CLOSED = "closed"
LARGE = b"x" * 1100000


def set_(key, value, cas=0, flags=0, exptime=0):
    return packet(0x01, key, value, stored(flags, exptime), cas)


def get(key):
    return packet(0x00, key)


def number(value):
    return " v" + struct.pack("!Q", value).decode("latin-1")


def render(answer):
    """One line: opcode, status, text of an error or extras (x), key (k), value (v), opaque (o), whether an id came (#)."""
    words = f"{answer.opcode:02x} {answer.status:02x}"
    if answer.status not in (0, 0x21) and not answer.key:
        words += " " + answer.value.decode("latin-1")
    else:
        words += f" x{answer.extras.hex()}" if answer.extras else ""
        words += f" k{answer.key.decode('latin-1')}" if answer.key else ""
        words += f" v{answer.value.decode('latin-1')}" if answer.value else ""
    words += f" o{answer.opaque:02x}" if answer.opaque else ""
    return words + (" #" if answer.cas else "")


# name, requests, answers. A missing CLOSED at the end means that the connection must still serve.
EXCHANGES = [
    ("get, a hit and a miss", [set_(b"a", b"abc", flags=0xdeadbeef), get(b"a"), get(b"b")],
     ["01 00 #", "00 00 xdeadbeef vabc #", f"00 {MISSING}"]),
    ("get with key; its miss is the key", [set_(b"a", b"1"), packet(0x0c, b"a"), packet(0x0c, b"b", opaque=5)],
     ["01 00 #", "0c 00 x00000000 ka v1 #", "0c 01 kb o05"]),
    ("quiet reads hide misses only",
     [set_(b"a", b"1"), packet(0x09, b"b"), packet(0x0d, b"b"), packet(0x09, b"a"), packet(0x0d, b"a")],
     ["01 00 #", "09 00 x00000000 v1 #", "0d 00 x00000000 ka v1 #"]),
    ("any bytes in keys and values", [set_(b"k \r\n\0", b"\r\n\0\x80"), get(b"k \r\n\0"), set_(b"e", b""), get(b"e")],
     ["01 00 #", "00 00 x00000000 v\r\n\0\x80 #", "01 00 #", "00 00 x00000000 #"]),
    ("a key of 250 bytes", [set_(b"k" * 250, b"1"), get(b"k" * 250)], ["01 00 #", "00 00 x00000000 v1 #"]),
    ("data type and bucket are ignored", [packet(0x0a, data_type=7, vbucket=99)], ["0a 00"]),
    ("touch answers flags", [set_(b"a", b"1", flags=7), packet(0x1c, b"a", extras=timed(100)),
                             packet(0x1c, b"b", extras=timed(0)), packet(0x1c, b"a", extras=timed(PAST)), get(b"a")],
     ["01 00 #", "1c 00 x00000007 #", f"1c {MISSING}", "1c 00 x00000007 #", f"00 {MISSING}"]),
    ("get and touch",
     [set_(b"a", b"1")] + [packet(op, b"a", extras=timed(100)) for op in (0x1d, 0x1e, 0x23)]
     + [packet(0x24, b"a", extras=timed(PAST))] + [packet(op, b"a", extras=timed(0)) for op in (0x1d, 0x1e, 0x23, 0x24)],
     ["01 00 #", "1d 00 x00000000 v1 #", "1e 00 x00000000 v1 #", "23 00 x00000000 ka v1 #", "24 00 x00000000 ka v1 #",
      f"1d {MISSING}", "23 01 ka"]),
    ("add and replace", [packet(0x03, b"a", b"0", stored()), packet(0x02, b"a", b"1", stored()),
                         packet(0x02, b"a", b"2", stored()), packet(0x03, b"a", b"3", stored()), get(b"a")],
     [f"03 {MISSING}", "02 00 #", f"02 {EXISTS}", "03 00 #", "00 00 x00000000 v3 #"]),
    ("append and prepend", [packet(0x0e, b"a", b"z"), packet(0x0f, b"a", b"z"), set_(b"a", b"m", flags=9),
                            packet(0x0e, b"a", b"n"), packet(0x0f, b"a", b"l"), get(b"a")],
     ["0e 05 Not stored.", "0f 05 Not stored.", "01 00 #", "0e 00 #", "0f 00 #", "00 00 x00000009 vlmn #"]),
    ("quiet writes hide success",
     [packet(0x11, b"a", b"1", stored()), packet(0x12, b"b", b"2", stored()), packet(0x13, b"a", b"3", stored()),
      packet(0x19, b"a", b"4"), packet(0x1a, b"a", b"5"), packet(0x14, b"b"), packet(0x15, b"n", extras=counted(1, 4, 0)),
      packet(0x16, b"n", extras=counted(1)), get(b"a"), get(b"b"), get(b"n")],
     ["00 00 x00000000 v534 #", f"00 {MISSING}", "00 00 x00000000 v3 #"]),
    ("quiet writes show errors", [set_(b"a", b"x"), packet(0x11, b"a", b"1", stored(), cas=1 << 62),
                                  packet(0x12, b"a", b"1", stored()), packet(0x13, b"b", b"1", stored()), packet(0x14, b"b"),
                                  packet(0x15, b"b", extras=counted(1)), packet(0x16, b"a", extras=counted(1)),
                                  packet(0x19, b"b", b"1"), packet(0x1a, b"b", b"1")],
     ["01 00 #", f"11 {EXISTS}", f"12 {EXISTS}", f"13 {MISSING}", f"14 {MISSING}", f"15 {MISSING}", f"16 {NOT_A_NUMBER}",
      "19 05 Not stored.", "1a 05 Not stored."]),
    ("an id makes a compare-and-swap of any store",
     [packet(op, b"a", b"1", stored(), cas=1 << 62) for op in (1, 2, 3)] + [set_(b"a", b"1")]
     + [packet(op, b"a", b"1", stored(), cas=1 << 62) for op in (1, 2, 3)] + [get(b"a")],
     [f"01 {MISSING}", f"02 {MISSING}", f"03 {MISSING}", "01 00 #", f"01 {EXISTS}", f"02 {EXISTS}", f"03 {EXISTS}",
      "00 00 x00000000 v1 #"]),
    ("ids of append, delete and increment",
     [packet(0x0e, b"a", b"1", cas=1 << 62), packet(0x04, b"a", cas=1 << 62), set_(b"a", b"1"),
      packet(0x0e, b"a", b"1", cas=1 << 62), packet(0x04, b"a", cas=1 << 62),
      packet(0x05, b"a", extras=counted(1), cas=1 << 62), packet(0x04, b"a"), packet(0x04, b"a")],
     ["0e 05 Not stored.", f"04 {MISSING}", "01 00 #", f"0e {EXISTS}", f"04 {EXISTS}", f"05 {EXISTS}", "04 00",
      f"04 {MISSING}"]),
    ("counters: missing, created, wrapped, floored",
     [packet(0x05, b"n", extras=counted(1, 5)), packet(0x05, b"n", extras=counted(1, 77, 0)), get(b"n"),
      packet(0x05, b"n", extras=counted(3)), packet(0x06, b"n", extras=counted(100)),
      packet(0x06, b"m", extras=counted(1, 2 ** 64 - 1, 100)), packet(0x05, b"m", extras=counted(2))],
     [f"05 {MISSING}", f"05 00{number(77)} #", "00 00 x00000000 v77 #", f"05 00{number(80)} #", f"06 00{number(0)} #",
      f"06 00{number(2 ** 64 - 1)} #", f"05 00{number(1)} #"]),
    ("a counter that is created dead", [packet(0x05, b"n", extras=counted(1, 7, PAST)), get(b"n")],
     [f"05 00{number(7)} #", f"00 {MISSING}"]),
    ("times are unsigned", [set_(b"a", b"1", exptime=0xffffffff), get(b"a"), set_(b"a", b"1", exptime=PAST), get(b"a")],
     ["01 00 #", "00 00 x00000000 v1 #", "01 00 #", f"00 {MISSING}"]),
    ("too large: the old value of a set is gone", [set_(b"a", b"1"), set_(b"a", LARGE), get(b"a"), set_(b"a", b"1"),
                                                   set_(b"a", LARGE, cas=1 << 62), get(b"a")],
     ["01 00 #", "01 03 Too large.", f"00 {MISSING}", "01 00 #", "01 03 Too large.", f"00 {MISSING}"]),
    ("too large: the old value of others stays",
     [set_(b"a", b"1"), packet(0x02, b"a", LARGE, stored()), packet(0x03, b"a", LARGE, stored()), packet(0x0e, b"a", LARGE),
      get(b"a")],
     ["01 00 #", "02 03 Too large.", "03 03 Too large.", "0e 03 Too large.", "00 00 x00000000 v1 #"]),
    ("quit answers and closes", [packet(0x07, opaque=3), NOOP], ["07 00 o03", CLOSED]),
    ("quiet quit closes", [NOOP, packet(0x17), NOOP], [NOOP_ANSWER, CLOSED]),
    ("flush, and a set behind it", [set_(b"a", b"1"), packet(0x08), get(b"a"), set_(b"b", b"2"), packet(0x18), get(b"b"),
                                    set_(b"c", b"3"), packet(0x08, extras=timed(0)), get(b"c")],
     ["01 00 #", "08 00", f"00 {MISSING}", "01 00 #", f"00 {MISSING}", "01 00 #", "08 00", f"00 {MISSING}"]),
    ("SASL that is not switched on", [packet(0x20), packet(0x21, b"PLAIN", b"\0a\0b"), packet(0x22, b"PLAIN", b"")],
     [f"20 {UNKNOWN}", f"21 {UNKNOWN}", f"22 {UNKNOWN}"]),
    ("opcodes that are none", [packet(op) for op in (0x1b, 0x1f, 0x25, 0x30, 0x3d, 0x50, 0xff)],
     [f"{op:02x} {UNKNOWN}" for op in (0x1b, 0x1f, 0x25, 0x30, 0x3d, 0x50, 0xff)]),
    ("the value of an unknown opcode is dropped once", [packet(0x30, value=b"v" * 50)], [f"30 {UNKNOWN}"]),
    # memcached drops extras and key twice, and with them what follows (defect 6 of the specification).
    ("the body of an unknown opcode is dropped once", [packet(0x30, b"key", b"value", b"extra")],
     {"rc": [f"30 {UNKNOWN}"], "memcached": None}),
    ("groups of statistics", [packet(0x10, name) for name in (b"conns", b"cachedump 1 1", b"detail", b"detail up", b"set",
                                                              b"itemsx", b"slabsx")],
     [f"10 {MISSING}"] * 7),
    ("statistics without figures", [packet(0x10, b"reset"), packet(0x10, b"detail off"), packet(0x10, b"sizes", opaque=3)],
     ["10 00", "10 00", "10 00 ksizes_status vdisabled o03", "10 00 o03"]),
    ("the dump of prefixes is one pair", [packet(0x10, b"detail dump")], ["10 00 kdetailed vEND\r\n", "10 00"]),
    ("a wrong magic byte", [NOOP, packet(0x0a, magic=0x81), NOOP], [NOOP_ANSWER, CLOSED]),
    ("a key longer than the body", [packet(0x01, b"a", body_bytes=0), NOOP], [f"01 {UNKNOWN}", CLOSED]),
    ("key and extras longer than the body", [packet(0x01, b"a", b"", stored(), body_bytes=8), NOOP],
     [f"01 {UNKNOWN}", CLOSED]),
    ("a body of more than 1 GiB", [packet(0x01, b"a", b"", stored(), body_bytes=(1 << 30) + 1), NOOP],
     {"rc": [f"01 {BAD}", CLOSED], "45": [f"01 {BAD}", CLOSED], "18": None}),
    ("a body near 4 GiB", [packet(0x0e, b"a", body_bytes=0xffffffe8), NOOP],
     {"rc": [f"0e {BAD}", CLOSED], "45": [f"0e {BAD}", CLOSED], "18": None}),
    ("a key of 251 bytes", [get(b"k" * 251), NOOP], [f"00 {BAD}", CLOSED]),
    ("a long mechanism while SASL is off", [packet(0x21, b"P" * 33, b"x")],
     {"rc": [f"21 {BAD}", CLOSED], "memcached": [f"21 {UNKNOWN}"]}),
]


def wrong_shapes():
    groups = [
        ((0x00, 0x09, 0x0c, 0x0d, 0x04, 0x14), [(b"", b"", b""), (b"k", b"v", b""), (b"k", b"", b"1234")]),
        ((0x01, 0x02, 0x03, 0x11, 0x12, 0x13), [(b"", b"v", stored()), (b"k", b"v", b""), (b"k", b"v", b"1234")]),
        ((0x0e, 0x0f, 0x19, 0x1a), [(b"", b"v", b""), (b"k", b"v", stored())]),
        ((0x05, 0x06, 0x15, 0x16), [(b"", b"", counted(1)), (b"k", b"v", counted(1)), (b"k", b"", b"")]),
        ((0x1c, 0x1d, 0x1e, 0x23, 0x24), [(b"", b"", timed(0)), (b"k", b"", b""), (b"k", b"v", timed(0))]),
        ((0x07, 0x17, 0x08, 0x18, 0x0a, 0x0b), [(b"k", b"", b""), (b"", b"v", b""), (b"", b"", b"12345678")]),
        ((0x10,), [(b"items", b"", b"1234"), (b"", b"", b"1")]),
    ]
    for opcodes, shapes in groups:
        for opcode in opcodes:
            for key, value, extras in shapes:
                answers = [NOOP_ANSWER, f"{opcode:02x} {BAD}", CLOSED]
                if extras == timed(0) and value:
                    # memcached takes no notice of a value behind touch, and then takes it for the next request.
                    answers = {"rc": answers, "memcached": None}
                yield (f"shape {opcode:02x} key {key!r} value {value!r} extras {extras!r}",
                       [NOOP, packet(opcode, key, value, extras), NOOP], answers)


def expectation(answers, dialect):
    if isinstance(answers, dict):
        return answers.get(dialect, answers.get("memcached"))
    return answers


def play(server, name, requests, expected, slowly):
    data = b"".join(requests)
    with server.connect() as connection:
        try:
            if slowly:
                connection.send_slowly(data, pause_seconds=0)
            else:
                connection.send(data)
        except (BrokenPipeError, ConnectionResetError):
            assert expected[-1] == CLOSED, f"{name}: closed too early"
        received = []
        try:
            while len(received) < len(expected):
                received.append(render(receive(connection)))
            assert received == expected, f"{name}:\n  received {received}\n  expected {expected}"
            connection.send(NOOP)
            assert render(receive(connection)) == NOOP_ANSWER, f"{name}: something is left over"
        except (wire.Closed, BrokenPipeError, ConnectionResetError):
            received.append(CLOSED)
            assert received == expected, f"{name}:\n  received {received}\n  expected {expected}"


def forget(server):
    with server.connect() as connection:
        assert connection.request("flush_all") == "OK"


def play_all(options, exchanges, *, unix=False, slowly=False):
    with process.Server(options, unix=unix) as server:
        for name, requests, answers in exchanges:
            expected = expectation(answers, options.dialect)
            # None: the dialect loses track of the stream here. Large values byte by byte only take time.
            if expected is None or (slowly and sum(map(len, requests)) > 10000):
                continue
            play(server, name, requests, expected, slowly)
            forget(server)
        server.check_reports()


@suite.test("every exchange, whole")
def exchanges_whole(options):
    play_all(options, EXCHANGES)


@suite.test("every exchange, byte by byte")
def exchanges_slowly(options):
    play_all(options, EXCHANGES, slowly=True)


@suite.test("every exchange over a UNIX socket")
def exchanges_unix(options):
    play_all(options, EXCHANGES, unix=True)


@suite.test("wrong shapes of every opcode")
def shapes(options):
    play_all(options, wrong_shapes())


@suite.test("ids are unique and swap once")
def ids(options):
    with process.Server(options) as server, server.connect() as connection:
        def ask(request):
            connection.send(request)
            return receive(connection)

        first = ask(set_(b"a", b"1")).cas
        assert first and ask(get(b"a")).cas == first
        assert ask(packet(0x1c, b"a", extras=timed(0))).cas == first
        second = ask(packet(0x02, b"a", b"2", stored(), cas=first)).cas
        assert second not in (0, first)
        assert render(ask(set_(b"a", b"3", cas=first))) == f"01 {EXISTS}"
        third = ask(packet(0x0e, b"a", b"0", cas=second)).cas
        counter = ask(packet(0x05, b"a", extras=counted(1), cas=third))
        assert counter.value == struct.pack("!Q", 21) and counter.cas == ask(get(b"a")).cas
        assert render(ask(packet(0x04, b"a", cas=counter.cas))) == "04 00"


@suite.test("-F makes flush an authentication failure")
def flush_disabled(options):
    with process.Server(options, flags=["-F"]) as server:
        play(server, "-F", [packet(0x08), packet(0x18)], ["08 20 Auth failure.", "18 20 Auth failure."], False)


@suite.test("-C: no ids")
def no_ids(options):
    with process.Server(options, flags=["-C"]) as server:
        play(server, "-C", [set_(b"a", b"1"), get(b"a")], ["01 00", "00 00 x00000000 v1"], False)


@suite.test("-M: out of memory")
def no_memory(options):
    with process.Server(options, flags=["-M", "-m", "4"]) as server, server.connect() as connection:
        answer = None
        for i in range(200):
            connection.send(set_(b"key%d" % i, b"v" * 100000))
            answer = receive(connection)
            if answer.status:
                break
        assert answer.status == 0x82 and answer.value.startswith(b"Out of memory"), answer
        connection.send(NOOP)
        assert render(receive(connection)) == NOOP_ANSWER


@suite.test("values of all sizes, written and read by both dialects")
def sizes(options):
    with process.Server(options) as server, server.connect() as binary, server.connect() as text:
        for count in (1, 100, 4095, 4096, 16000, 40000, 1000000):
            value = bytes(i * 31 % 251 for i in range(count))
            binary.send(set_(b"b", value, flags=3) + packet(0x0c, b"b", opaque=9))
            assert receive(binary).status == 0
            answer = receive(binary)
            assert (answer.extras, answer.key, answer.value, answer.opaque) == (struct.pack("!I", 3), b"b", value, 9)
            assert text.get("b") == value
            assert text.set("t", value) == "STORED"
            binary.send(get(b"t"))
            assert receive(binary).value == value


@suite.test("a long pipeline of quiet gets, read late")
def late_reader(options):
    with process.Server(options) as server, server.connect() as connection:
        connection.send(packet(0x11, b"a", b"v" * 1000, stored()))
        rounds, each = 300, 100
        requests = (packet(0x09, b"a") + packet(0x09, b"miss")) * each
        sender = threading.Thread(target=lambda: [connection.send(requests) for _ in range(rounds)]
                                  + [connection.send(NOOP)])
        sender.start()
        for _ in range(rounds * each):
            assert len(receive(connection).value) == 1000
        assert render(receive(connection)) == NOOP_ANSWER
        sender.join()


@suite.test("increments that create do not race")
def racing_counters(options):
    if options.dialect != "rc":
        raise tap.Skip("memcached's do: the slower one is answered with an error")
    clients, rounds = 6, 200
    answers = []
    with process.Server(options) as server:
        def count():
            with server.connect() as connection:
                for i in range(rounds):
                    connection.send(packet(0x05, b"n%d" % i, extras=counted(1, 1, 0)))
                    answers.append(receive(connection).status)

        threads = [threading.Thread(target=count) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [0] * (clients * rounds)
        with server.connect() as connection:
            for i in range(rounds):
                connection.send(get(b"n%d" % i))
                assert int(receive(connection).value) == clients


@suite.test("a flush that is due later")
def delayed_flush(options):
    with process.Server(options) as server, server.connect() as connection:
        connection.send(set_(b"a", b"1") + packet(0x08, extras=timed(2)) + get(b"a"))
        assert [receive(connection).status for _ in range(3)] == [0, 0, 0]
        threading.Event().wait(3.2)
        connection.send(get(b"a"))
        assert receive(connection).status == 1


@suite.test("statistics are pairs ended by an empty packet")
def statistics(options):
    with process.Server(options) as server, server.connect() as connection:
        connection.send(set_(b"a", b"1") + get(b"a"))
        receive(connection), receive(connection)
        for group, sign in ((b"", "get_hits"), (b"settings", "maxbytes"), (b"slabs", "active_slabs"), (b"items", None)):
            connection.send(packet(0x10, group, opaque=4))
            pairs = {}
            while True:
                answer = receive(connection)
                assert (answer.opcode, answer.status, answer.opaque, answer.cas) == (0x10, 0, 4, 0)
                if not answer.key:
                    assert not answer.value
                    break
                pairs[answer.key.decode()] = answer.value.decode()
            assert pairs and (sign is None or sign in pairs), pairs
            if not group:
                assert pairs["get_hits"] == "1" and pairs["curr_items"] == "1"
                assert set(pairs) == set(server.stats())


@suite.test("hostile inputs, and the next client is served", seconds=120)
def hostile(options):
    if options.dialect != "rc":
        raise tap.Skip("memcached's own defects are not of interest")
    files = sorted(CORPUS.iterdir())
    assert files
    with process.Server(options, flags=["-vvv"]) as server:
        before = server.resident_kib()
        for path in files:
            for slowly in (False, True):
                data = path.read_bytes()
                with server.connect() as connection:
                    try:
                        if slowly:
                            connection.send_slowly(data[:3000], pause_seconds=0)
                        else:
                            connection.send(data)
                        connection.send_end()
                    except OSError:
                        pass
                    connection.rest()
                with server.connect() as connection:
                    assert connection.set("next", b"1") == "STORED", path.name
        assert server.resident_kib() < before + 65536
        server.check_reports()


tap.main(suite, __doc__.splitlines()[0])
