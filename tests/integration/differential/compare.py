"""Plays a stream against ringcached and its peers and compares what comes back, command by command."""

import dataclasses
import re

from differential import binary_commands, exchange, normalize, stream as streams
from differential.unit import show

# Command counters that mean the same everywhere (specification 9.1); the others depend on memory and time.
COUNTERS = ("cmd_get", "cmd_set", "cmd_flush", "cmd_touch", "cmd_meta", "get_hits", "get_misses", "delete_misses",
            "delete_hits", "incr_misses", "incr_hits", "decr_misses", "decr_hits", "cas_misses", "cas_hits", "cas_badval",
            "touch_hits", "touch_misses", "store_too_large")
OPEN, CLOSED = b"<stays open>", b"<closed>"
OPAQUE_OFFSET = 12


@dataclasses.dataclass
class Mismatch:
    stream: object
    peer: str
    units: list
    ours: bytes
    theirs: bytes
    note: str = ""
    # The commands of the stream up to and with these.
    history: list = dataclasses.field(default_factory=list)

    def signature(self):
        """Mismatches that look alike are reported once."""
        unit = self.units[-1]
        head = b"%02x" % unit.opcode() if unit.binary and len(unit.shape()) > 1 else (unit.words() or [b""])[0][:12]
        return (self.peer, head, *(re.sub(rb"\d+|[a-z0-9]{4}\.\S*", b"#", side)[:48] for side in (self.ours, self.theirs)))

    def describe(self):
        lines = [f"differs from {self.peer}: {self.note}" if self.note else f"differs from {self.peer}"]
        lines += [f"  sent   {show(unit.shape())}" for unit in self.units]
        return "\n".join(lines + [f"  ours   {show(self._around(self.ours))}", f"  theirs {show(self._around(self.theirs))}"])

    def _around(self, reply):
        """The reply from shortly before the first difference on."""
        same = next((at for at, (our, their) in enumerate(zip(self.ours, self.theirs)) if our != their),
                    min(len(self.ours), len(self.theirs)))
        return reply if same < 200 else b"... " + reply[same - 100:]


class Player:
    """Holds the running servers: `ours` first, then the peers, as {name: port}."""

    def __init__(self, ports, accepts):
        self.names = list(ports)
        self._ports = ports
        # accepts(peer, unit, ours, theirs): is it a known difference?
        self._accepts = accepts
        self.commands = 0
        self.accepted = {}
        self.patience = exchange.CLOSE_SECONDS_MAX

    def play(self, stream, names=None):
        """The first mismatch with each peer, at most."""
        names = names or self.names
        lines = [exchange.Line(name, self._ports[name]) for name in names]
        for line in lines:
            line.meets = normalize.Bijection()
        found, number, done = {}, 0, []
        try:
            for at, batch in enumerate(stream.batches):
                joined = stream.last if stream.ending == "joined" and at + 1 == len(stream.batches) else None
                self._probe(stream, lines, batch)
                results = self._send(stream, lines, batch, number, joined, at)
                number += len(batch)
                done += self._judge(stream, lines, batch, results, found, done, joined)
                if len(found) == len(names) - 1:
                    break
                if any(line.closed for line in lines):
                    break
            else:
                if stream.ending in ("closing", "eof"):
                    self._finish(stream, lines, found, done)
        finally:
            for line in lines:
                line.close()
        return list(found.values())

    # --- CAS ids as of now ---

    @staticmethod
    def _probe(stream, lines, batch):
        keys = sorted({part.key for group in batch for unit in group.units for part in unit.parts
                       if not isinstance(part, bytes)})
        if not keys:
            return
        if stream.is_binary:
            request = b"".join(b"".join(binary_commands.packet(0x0c, streams.PROBE_OPAQUE + number, b"", key))
                               for number, key in enumerate(keys)) + streams.sentinel(stream, 0x7fffffff)
            mark = lambda line: bytes(line.received[-24:])[:2] == b"\x81\x0a"
        else:
            request = b"".join(b"gets %s\r\n" % key for key in keys) + streams.sentinel(stream, 0)
            mark = lambda line: line.received.endswith(b"Osentinel0\r\n")
        exchange.exchange(lines, [request] * len(lines), mark)
        for line in lines:
            data = line.take()
            if stream.is_binary:
                packets, _ = normalize.binary_packets(data)
                line.cas = {key: int.from_bytes(packets[streams.PROBE_OPAQUE + number][0][16:24], "big")
                            for number, key in enumerate(keys) if streams.PROBE_OPAQUE + number in packets}
            else:
                line.cas = {}
                for key in keys:
                    match = re.search(rb"VALUE " + re.escape(key) + rb" \d+ \d+ (\d+)\r\n", data)
                    if match:
                        line.cas[key] = int(match[1])

    # --- one batch ---

    def _send(self, stream, lines, batch, number, joined, at):
        """For each line {group number in the batch: reply}, the reply of `joined` (or None), in received order."""
        payloads = []
        for line in lines:
            parts = []
            for offset, group in enumerate(batch):
                parts += [unit.render(line.cas) for unit in group.units]
                if not stream.is_binary:
                    parts.append(streams.sentinel(stream, number + offset + 1))
            if stream.is_binary:
                parts.append(streams.sentinel(stream, number + len(batch)))
            payloads.append(b"".join(parts) + (joined.shape() if joined else b""))
        mark = streams.sentinel(stream, number + len(batch))
        ending = b"EN Osentinel%d\r\n" % (number + len(batch)) if not stream.is_binary else b"\x81" + mark[1:]
        if joined:
            finished = lambda line: False
        else:
            finished = lambda line: line.received.endswith(ending)
        silent = exchange.exchange(lines, payloads, finished, stream.modes[at], f"{stream.index} {at}", 3 * self.patience)
        results = []
        for line in lines:
            data = line.take()
            if stream.is_binary:
                results.append(self._binary_replies(batch, data, joined))
            else:
                results.append(self._text_replies(batch, data, number, joined))
            results[-1]["end"] = CLOSED if line.closed else OPEN if line in silent else b""
        return results

    @staticmethod
    def _text_replies(batch, data, number, joined):
        pieces, rest = normalize.split_at_sentinels(data)
        replies = {offset: normalize.text(pieces[number + offset + 1]) for offset in range(len(batch))
                   if number + offset + 1 in pieces}
        if joined or rest:
            replies["rest"] = normalize.text(rest)
        return replies

    @staticmethod
    def _binary_replies(batch, data, joined):
        packets, rest = normalize.binary_packets(data)
        replies = {}
        for offset, group in enumerate(batch):
            if not group.checked:
                continue
            for place, unit in enumerate(group.units):
                replies[offset, place] = normalize.binary(packets.pop(unit.field(OPAQUE_OFFSET, 4), ()))
        if joined:
            replies["joined"] = normalize.binary(packets.pop(joined.field(OPAQUE_OFFSET, 4), ()))
        # Sentinels, repairs; anything else is an answer to nobody.
        strangers = sorted(opaque for opaque in packets if 0 < opaque < streams.SENTINEL_OPAQUE)
        if rest or strangers:
            replies["rest"] = (b"%s strangers=%s" % (rest, repr(strangers).encode()), ())
        return replies

    # --- judging ---

    def _judge(self, stream, lines, batch, results, found, done, joined):
        """Compares each peer's results with ours; returns the commands of the batch."""
        here = []
        places = []
        for offset, group in enumerate(batch):
            if stream.is_binary:
                places += [((offset, place), [unit], group.checked) for place, unit in enumerate(group.units)]
            else:
                places.append((offset, group.units, group.checked))
            self.commands += len(group.units) if group.checked else 0
        if joined:
            places.append(("joined" if stream.is_binary else "rest", [joined], True))
            self.commands += 1
        for place, units, checked in places:
            here += units
            if checked:
                self._compare_place(stream, lines, results, found, place, units, done + here)
        last = [unit for group in batch for unit in group.units][-1:]
        for place in ("rest", "end"):
            if place != "rest" or not joined:
                self._compare_place(stream, lines, results, found, place, [joined] if joined else last, done + here)
        return here

    def _compare_place(self, stream, lines, results, found, place, units, history):
        ours = results[0].get(place, b"")
        for line, result in zip(lines[1:], results[1:]):
            theirs = result.get(place, b"")
            if line.name not in found and not self._equal(line, units, ours, theirs):
                note = "CAS ids" if isinstance(ours, tuple) and isinstance(theirs, tuple) and ours[0] == theirs[0] else ""
                found[line.name] = Mismatch(stream, line.name, units, text_of(ours), text_of(theirs), note, list(history))

    def _equal(self, line, units, ours, theirs):
        if ours == theirs and not (isinstance(ours, tuple) and ours[1]):
            return True
        if isinstance(ours, tuple) and isinstance(theirs, tuple) and ours[0] == theirs[0]:
            return line.meets.agree(ours[1], theirs[1])
        row = self._accepts(line.name, units, text_of(ours), text_of(theirs))
        if row:
            self.accepted[row] = self.accepted.get(row, 0) + 1
        return bool(row)

    def _finish(self, stream, lines, found, done):
        """The last command of a stream, alone: its reply, and whether the server closes."""
        exchange.exchange(lines, [stream.last.shape()] * len(lines), lambda line: stream.ending == "eof", seconds=self.patience)
        if stream.ending == "eof":
            for line in lines:
                try:
                    line.socket.shutdown(1)
                except OSError:
                    line.closed = True
            exchange.exchange(lines, [b""] * len(lines), lambda line: False, seconds=self.patience)
        else:
            self.commands += 1
        results = []
        for line in lines:
            data, end = line.take(), CLOSED if line.closed else OPEN
            if stream.is_binary:
                packets, rest = normalize.binary_packets(data)
                reply, cases = normalize.binary([packet for part in packets.values() for packet in part])
                results.append({"last": (reply + rest + end, cases)})
            else:
                reply, cases = normalize.text(data)
                results.append({"last": (reply + end, cases)})
        self._compare_place(stream, lines, results, found, "last", [stream.last], done + [stream.last])


def text_of(reply):
    return reply[0] if isinstance(reply, tuple) else reply


def counters(servers):
    """{server name: {counter: value}} as of now; `servers` are connections to ask."""
    result = {}
    for name, connection in servers.items():
        stats = connection.stats()
        result[name] = {counter: int(stats.get(counter, 0)) for counter in COUNTERS}
    return result


def counter_changes(before, after):
    return {name: {counter: after[name][counter] - before[name][counter] for counter in COUNTERS} for name in before}
