"""A stream: one connection's commands in batches, each command in a group whose end is marked by a sentinel."""

import dataclasses
import random

from differential import binary_commands, classic_commands, meta_commands
from differential.unit import Unit

# Commands in a batch: short ones keep CAS ids fresh, long ones fill the buffers.
BATCH_SIZES = (4, 15, 60, 250)
# Neighbouring commands without a sentinel between them.
GROUP_SIZES = (1, 1, 2, 4, 8)
SHORT_BYTES = 300
DIGITS = b"0123456789abcdefghijklmnopqrstuvwxyz"
CLOSING_TEXT = (b"quit\r\n", b"quit\n", b"quit x\r\n", b"quit noreply\r\n", b"GET / HTTP/1.1\r\n", b"foo HTTP/\r\n",
                b"POST /a/b HTTP/1.0\r\n", b"incr " + b"x" * 2100, b"x" * 2049, b"set " + b"k" * 3000, b" " * 3000 + b"x")
PARTIAL_TEXT = (b"", b"g", b"get a", b"get a\r", b"set a 0 0 10\r\nabc", b"set a 0 0 3\r\nabc", b"set a 0 0 3\r\nabc\r",
                b"mg a", b"ms a 5\r\nab", b"quit")
PARTIAL_BINARY = (b"", b"\x80", b"\x80\x00\x00\x01", b"\x80\x00\x00\x01" + bytes(19), b"\x80\x01\x00\x01\x08\0\0\0\0\0\0\x0f"
                  + bytes(12) + b"abc")
SENTINEL_OPAQUE = 0x80000000
PROBE_OPAQUE = 0x40000000


@dataclasses.dataclass
class Group:
    units: list

    @property
    def checked(self):
        return not self.units[0].is_repair


@dataclasses.dataclass
class Stream:
    index: int
    protocol: str
    batches: list
    modes: list
    # "open", "closing" (alone), "joined" (in one piece with the last batch), "eof"
    ending: str = "open"
    last: Unit = None
    clean: bool = False

    def units(self):
        return [unit for batch in self.batches for group in batch if group.checked for unit in group.units] \
            + ([self.last] if self.ending in ("closing", "joined") else [])

    def describe(self):
        return f"stream {self.index}: {self.protocol}, {len(self.units())} commands, {self.ending}"

    @property
    def is_binary(self):
        return self.protocol == "binary"


def prefix_of(index):
    """A stream's own beginning of its keys, always of one length."""
    return bytes(DIGITS[index // 36 ** place % 36] for place in (3, 2, 1, 0)) + b"."


class Maker:
    """Makes streams; `rows_of(unit)` are the known differences that a command meets."""

    def __init__(self, seed, now, rows_of):
        self._seed = seed
        self._now = now
        self._rows_of = rows_of

    def make(self, index):
        rng = random.Random(f"{self._seed} {index}")
        protocol = rng.choice(("classic",) * 7 + ("meta",) * 3 + ("mixed",) * 3 + ("binary",) * 7)
        strict = rng.random() < 0.08
        count = 12 if strict else rng.choice((1, 2, 3, 5, 8, 30, 60, 90, 1500, 1500))
        clean = rng.random() < 0.4
        keys = classic_commands.Keys(prefix_of(index), rng)
        generators = {
            "classic": (classic_commands.Classic,), "meta": (meta_commands.Meta,), "binary": (binary_commands.Binary,),
            "mixed": (classic_commands.Classic, meta_commands.Meta)}[protocol]
        generators = [generator(rng, keys, strict, clean) for generator in generators]
        stream = Stream(index, protocol, [], [], clean=clean)
        ended = self._fill(stream, rng, generators, count, strict)
        if not ended:
            self._end(stream, rng, generators[0])
        return stream

    def _fill(self, stream, rng, generators, count, strict):
        """Fills the batches; true when the last command met a difference after which nothing can be compared."""
        made = 0
        while made < count:
            size = 1 if strict else min(rng.choice(BATCH_SIZES), count - made)
            batch, group, ended = [], None, False
            for _ in range(size):
                unit = rng.choice(generators).command(self._now)
                rows = self._rows_of(unit)
                while rows and (unit.misframed or stream.clean):
                    unit = rng.choice(generators).command(self._now)
                    rows = self._rows_of(unit)
                made += 1
                if rows:
                    group = None
                    if batch and any(row.alone for row in rows):
                        # Its difference would swallow the answers before it.
                        self._close_batch(stream, rng, batch)
                        batch = []
                    batch.append(Group([unit]))
                    ended = any(row.ends_stream for row in rows)
                    if ended:
                        break
                    fix = (binary_commands if stream.is_binary else classic_commands).repair(unit.keys)
                    if fix:
                        batch.append(Group([fix]))
                elif group is None or len(group.units) >= rng.choice(GROUP_SIZES):
                    group = Group([unit])
                    batch.append(group)
                else:
                    group.units.append(unit)
            self._close_batch(stream, rng, batch)
            if ended:
                return True
        return False

    def _close_batch(self, stream, rng, batch):
        stream.batches.append(batch)
        stream.modes.append(self._mode(rng, batch))

    @staticmethod
    def _mode(rng, batch):
        pick = rng.random()
        if pick < 0.25:
            return "cuts"
        total = sum(len(unit.shape()) for group in batch for unit in group.units)
        return "bytes" if pick < 0.5 and total < SHORT_BYTES else "whole"

    def _end(self, stream, rng, generator):
        pick = rng.random()
        if pick < 0.15:
            stream.ending = "eof"
            partial = PARTIAL_BINARY if stream.is_binary else PARTIAL_TEXT
            if stream.clean:
                # The count of a storage command without its end depends on what was read before the end.
                partial = partial[:3]
            stream.last = Unit((rng.choice(partial),), binary=stream.is_binary)
        elif pick < 0.5:
            unit = generator.closing() if stream.is_binary else Unit((rng.choice(CLOSING_TEXT),), closes=True)
            if self._rows_of(unit) and stream.clean:
                return
            stream.last = unit
            orderly = unit.opcode() in (0x07, 0x17) if stream.is_binary else unit.shape().startswith(b"quit")
            small = sum(len(part.shape()) for group in stream.batches[-1] for part in group.units) < 8000
            stream.ending = "closing"
            if orderly and small and rng.random() < 0.6:
                # In one piece: what a server has not read when it closes makes the kernel drop its last answers.
                stream.ending, stream.modes[-1] = "joined", "whole"


def single(units, binary=False):
    """A stream of the given commands, each in a group of its own; a batch ends where CAS ids are asked for."""
    last = units[-1] if units and units[-1].closes else None
    batches = [[]]
    for unit in units[:-1] if last else units:
        if unit.needs_cas() and batches[-1]:
            batches.append([])
        batches[-1].append(Group([unit]))
    return Stream(0, "binary" if binary else "mixed", batches, ["whole"] * len(batches), "closing" if last else "open", last)


def sentinel(stream, number):
    if stream.is_binary:
        return binary_commands.packet(binary_commands.NO_OPERATION, SENTINEL_OPAQUE + number)[0]
    return b"mg sentinel Osentinel%d\r\n" % number
