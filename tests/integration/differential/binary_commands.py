"""Random requests of the binary protocol: every opcode, quiet ones, wrong shapes, unknown ones (specification 8)."""

import struct

from differential import classic_commands
from differential.unit import Cas, Unit

MAGIC = 0x80
QUIET = {0x00: 0x09, 0x0c: 0x0d, 0x01: 0x11, 0x02: 0x12, 0x03: 0x13, 0x04: 0x14, 0x05: 0x15, 0x06: 0x16, 0x08: 0x18,
         0x0e: 0x19, 0x0f: 0x1a, 0x1d: 0x1e, 0x23: 0x24}
NO_OPERATION = 0x0a
UNKNOWN = (0x1b, 0x1f, 0x25, 0x30, 0x40, 0x7f, 0xff, 0x20)
UNKNOWN_OPCODES = UNKNOWN[:-1]
TTLS = (0, 0, 100, 1000, 2592000, 2592001, 0xffffffff)
INITIAL = (0, 1, 10, 99)
DELTAS = (0, 1, 1, 2, 9, 10, 1 << 32)


def packet(opcode, opaque, extras=b"", key=b"", value=b"", cas=None, body_bytes=None, key_bytes=None, magic=MAGIC):
    """A request as parts; `cas` may be a reference to an earlier answer, the lengths may be wrong on purpose."""
    head = struct.pack(">BBHBBHII", magic, opcode, len(key) if key_bytes is None else key_bytes, len(extras), 0, 0,
                       len(extras) + len(key) + len(value) if body_bytes is None else body_bytes, opaque)
    return classic_commands.joined([head, bytes(8) if cas is None else cas, extras + key + value])


class Binary(classic_commands.Generator):
    def __init__(self, rng, keys, strict, clean):
        super().__init__(rng, keys, strict, clean)
        self.opaque = 0

    def request(self, opcode, key=b"", extras=b"", value=b"", cas=None, **marks):
        self.opaque += 1
        lengths = {name: marks.pop(name) for name in ("body_bytes", "key_bytes", "magic") if name in marks}
        return Unit(packet(opcode, self.opaque, extras, key, value, cas, **lengths), (key,) if key else (), binary=True,
                    **marks)

    def maybe_quiet(self, opcode):
        return QUIET[opcode] if self.chance(35) else opcode

    def cas(self, key):
        """Mostly none."""
        if not self.chance(25):
            return None
        pick = self.rng.random()
        if pick < 0.6:
            return Cas(key, binary=True)
        if pick < 0.8:
            return Cas(key, self.rng.choice(classic_commands.CAS_OFFSETS), binary=True)
        return struct.pack(">Q", self.rng.choice((1, 10 ** 15, (1 << 64) - 1)))

    def command(self, _now):
        pick = self.rng.random()
        for limit, make in self.TABLE:
            if pick < limit:
                return make(self)
        raise AssertionError("the table ends at 1")

    def get(self):
        return self.request(self.maybe_quiet(self.rng.choice((0x00, 0x0c))), self.any_key())

    def storage(self):
        opcode = self.rng.choice((0x01, 0x01, 0x02, 0x03))
        counter = self.chance(25)
        key, value = self.stored_number() if counter else (self.key(), self.value())
        extras = struct.pack(">II", int(self.rng.choice(classic_commands.FLAGS_VALID)), self.rng.choice(TTLS))
        return self.request(self.maybe_quiet(opcode), key, extras, value, self.cas(key))

    def append(self):
        key = self.key()
        return self.request(self.maybe_quiet(self.rng.choice((0x0e, 0x0f))), key, b"", self.value(), self.cas(key))

    def delete(self):
        key = self.any_key()
        return self.request(self.maybe_quiet(0x04), key, cas=self.cas(key))

    def arithmetic(self):
        key = self.counter()
        extras = struct.pack(">QQI", self.rng.choice(DELTAS), self.rng.choice(INITIAL), self.rng.choice(TTLS))
        return self.request(self.maybe_quiet(self.rng.choice((0x05, 0x06))), key, extras, cas=self.cas(key))

    def touch(self):
        key = self.any_key()
        opcode = self.rng.choice((0x1c, 0x1d, 0x1e, 0x23, 0x24))
        return self.request(opcode, key, struct.pack(">I", self.rng.choice(TTLS)))

    def flush(self):
        extras = struct.pack(">I", 1000) if self.keys.flush_later else self.rng.choice((b"", bytes(4)))
        return self.request(self.maybe_quiet(0x08), b"", extras)

    def plain(self):
        return self.request(self.rng.choice((NO_OPERATION, 0x0b)))

    def stat(self):
        return self.request(0x10, self.rng.choice((b"nosuchgroup", b"conns", b"cachedump 1 1", b"detail x", b"detail off")))

    def unknown(self):
        if self.chance(60):
            return self.request(self.rng.choice(UNKNOWN))
        # Behind a key or extras nothing can be compared: see the row about them.
        opcode, shape = self.rng.choice(UNKNOWN_OPCODES), self.rng.randrange(1, 4) if self.chance(4) else 0
        key = self.rng.choice(self.keys.plain) if shape & 1 else b""
        extras = bytes(8) if shape & 2 else b""
        if shape == 0:
            return self.request(opcode, value=self.value())
        # With something behind it (the opaque 0: not compared), so that memcached does not wait for a whole header.
        self.opaque += 1
        parts = packet(opcode, self.opaque, extras, key, self.value()) + packet(NO_OPERATION, 0)
        return Unit(classic_commands.joined(parts), (key,) if key else (), binary=True)

    def sasl(self):
        """Not known without -S; the body is swallowed."""
        return self.request(self.rng.choice((0x21, 0x22)), b"PLAIN", b"", b"\0user\0password")

    def too_large(self):
        key = self.rng.choice(self.keys.plain)
        fits = (1 << 20) - 48 - 8 - len(key) - 1 - 2
        value = b"v" * (fits + self.rng.choice((0, 1, 4000)))
        return self.request(self.maybe_quiet(self.rng.choice((0x01, 0x02, 0x03))), key, bytes(8), value)

    TABLE = ((0.30, get), (0.58, storage), (0.68, append), (0.76, delete), (0.87, arithmetic), (0.94, touch), (0.942, flush),
             (0.97, plain), (0.98, stat), (0.994, unknown), (0.9995, sasl), (1.0, too_large))

    # --- the last request of its connection ---

    def closing(self):
        key = self.rng.choice(self.keys.plain)
        kind = self.rng.randrange(9)
        if kind == 0:
            return self.request(self.rng.choice((0x07, 0x17)), closes=True)
        if kind == 1:
            return self.request(self.rng.choice((0x00, 0x01, 0x05, 0x1c)), self.keys.overlong, closes=True)
        if kind == 2:
            # A key longer than the body, extras and key longer than the body.
            return self.request(self.rng.choice((0x00, 0x01)), key, closes=True, body_bytes=len(key) - 1)
        if kind == 3:
            return self.request(0x00, key, magic=self.rng.choice((0x00, 0x81, 0x67)), closes=True)
        return self.wrong_shape(key)

    def wrong_shape(self, key):
        """A request whose parts are not those of its opcode: answered with status 4, then closed."""
        opcode, extras, key, value = self.rng.choice((
            (0x00, b"", b"", b""), (0x00, b"", key, b"v"), (0x00, bytes(4), key, b""), (0x09, b"", b"", b""),
            (0x01, b"", key, b"v"), (0x01, bytes(8), b"", b""), (0x11, bytes(4), key, b"v"), (0x02, bytes(20), key, b"v"),
            (0x03, bytes(7), key, b""), (0x04, b"", b"", b""), (0x04, b"", key, b"v"), (0x04, bytes(4), key, b""),
            (0x14, bytes(8), key, b""), (0x05, bytes(8), key, b""), (0x05, bytes(20), b"", b""), (0x06, bytes(20), key, b"v"),
            (0x07, b"", key, b""), (0x07, bytes(4), b"", b""), (0x08, b"", key, b""), (0x08, bytes(8), b"", b""),
            (0x0a, b"", key, b""), (0x0a, bytes(4), b"", b""), (0x0b, b"", b"", b"v"), (0x0b, b"", key, b""),
            (0x0c, b"", b"", b""), (0x0e, bytes(8), key, b"v"), (0x0e, b"", b"", b"v"), (0x10, bytes(4), b"", b""),
            (0x1c, b"", key, b""), (0x1c, bytes(4), b"", b""), (0x1d, bytes(8), key, b""), (0x1d, bytes(4), key, b"v"),
            (0x21, b"", b"", b""), (0x22, b"", b"", b""), (0x23, bytes(4), b"", b""), (0x24, b"", key, b""), (0x1a, bytes(4), key, b"v")))
        return self.request(opcode, key, extras, value, closes=True)


def repair(keys):
    """Deletes the keys quietly; the opaque 0 marks answers that are not compared."""
    return Unit(tuple(part for key in keys if 0 < len(key) <= 250 for part in packet(0x14, 0, b"", key)), binary=True, is_repair=True)
