"""Replies in the form in which they are compared: times rounded, CAS ids taken out, padding of numbers removed."""

import re
import struct

SENTINEL = re.compile(rb"EN Osentinel(\d+)\r\n")
META_CODES = (b"HD", b"VA", b"EN", b"NF", b"NS", b"EX")
NUMBER_PADDED = re.compile(rb"\d+ +")
TIME_FLAG = re.compile(rb" t(\d+)(?= |$)")
ACCESS_FLAG = re.compile(rb" l(\d+)(?= |$)")
CAS_FLAG = re.compile(rb" c(\d+)(?= |$)")
DEBUG_LINE = re.compile(rb"(ME .*) exp=(-?\d+) la=\d+ cas=(\d+) (fetch=\w+) cls=\d+ (size=\d+)")
VERSION = re.compile(rb"VERSION .+")
# The lines of stats detail dump, in no particular order.
PREFIXES = re.compile(rb"(?:PREFIX [^\r]*\r\n)+")
# Test streams last seconds; a time of access further back than this is wrong.
ACCESS_SECONDS_MAX = 60
# More than this is a wrapped negative number.
WRAPPED = 1 << 31


def rounded(seconds):
    """Times to live are multiples of 100, less the age of the item."""
    return (seconds + 60) // 100 * 100 if 0 <= seconds < WRAPPED else seconds


def meta_line(line, cases):
    """A meta answer with its times and ids normalised; ids are appended to `cases`."""
    line = TIME_FLAG.sub(lambda match: b" t%d" % rounded(int(match[1])), line)
    line = ACCESS_FLAG.sub(lambda match: b" l0" if int(match[1]) <= ACCESS_SECONDS_MAX else match[0], line)

    def take(match):
        cases.append(int(match[1]))
        return b" c#"

    return CAS_FLAG.sub(take, line)


def debug_line(match, cases):
    cases.append(int(match[3]))
    seconds = int(match[2])
    shown = rounded(seconds) if seconds >= 0 else -rounded(-seconds) if seconds < -1 else seconds
    return b"%s exp=%d la= cas=# %s cls= %s" % (match[1], shown, match[4], match[5])


def unpadded(data):
    return data.rstrip(b" ") if NUMBER_PADDED.fullmatch(data) else data


def text(reply):
    """(normalised bytes, CAS ids in their order) of a text reply."""
    if not reply or b" " not in reply:
        return reply, ()
    cases, out, at = [], [], 0
    while at < len(reply):
        end = reply.find(b"\r\n", at)
        if end < 0:
            out.append(reply[at:])
            break
        line, at = reply[at:end], end + 2
        words = line.split(b" ")
        size = None
        if words[0] == b"VALUE" and len(words) in (4, 5) and words[3].isdigit():
            size = int(words[3])
            if len(words) == 5 and words[4].isdigit():
                cases.append(int(words[4]))
                words[4] = b"#"
        elif words[0] == b"VA" and len(words) > 1 and words[1].isdigit():
            size = int(words[1])
            words = meta_line(line, cases).split(b" ")
        elif words[0] in META_CODES:
            line = meta_line(line, cases)
        elif words[0] == b"VERSION":
            line = VERSION.sub(b"VERSION #", line)
        elif words[0] == b"ME":
            match = DEBUG_LINE.fullmatch(line)
            line = debug_line(match, cases) if match else line
        if size is None:
            out.append(line)
            continue
        data, at = reply[at:at + size], at + size + 2
        data = unpadded(data)
        words[3 if words[0] == b"VALUE" else 1] = b"%d" % len(data)
        out.append(b" ".join(words))
        out.append(data)
        if reply[at - 2:at] != b"\r\n":
            out.append(b"<no line end after the data: %s>" % reply[at - 2:at])
    else:
        out.append(b"")
    joined = b"\r\n".join(out)
    if b"PREFIX " in joined:
        joined = PREFIXES.sub(lambda match: b"".join(sorted(match[0].splitlines(keepends=True))), joined)
    return joined, tuple(cases)


def split_at_sentinels(data):
    """{sentinel number: reply before it}, and what follows the last one."""
    pieces = SENTINEL.split(data)
    return {int(pieces[at + 1]): pieces[at] for at in range(0, len(pieces) - 1, 2)}, pieces[-1]


def binary_packets(data):
    """{opaque: list of packets}, and the bytes after the last complete packet."""
    found, at = {}, 0
    while at + 24 <= len(data):
        body = int.from_bytes(data[at + 8:at + 12], "big")
        if at + 24 + body > len(data):
            break
        opaque = int.from_bytes(data[at + 12:at + 16], "big")
        found.setdefault(opaque, []).append(data[at:at + 24 + body])
        at += 24 + body
    return found, data[at:]


def binary(packets):
    """(readable text, CAS ids) of the packets that answer one request."""
    out, cases = [], []
    for raw in packets:
        magic, opcode, key_bytes, extras_bytes, kind, status, _, _, cas = struct.unpack(">BBHBBHIIQ", raw[:24])
        extras, key = raw[24:24 + extras_bytes], raw[24 + extras_bytes:24 + extras_bytes + key_bytes]
        value = raw[24 + extras_bytes + key_bytes:]
        if opcode == 0x0b and status == 0:
            value = b"#"
        if cas:
            cases.append(cas)
        out.append(b"magic=%02x op=%02x type=%d status=%02x cas=%s extras=%s key=%s value=%s" % (
            magic, opcode, kind, status, b"#" if cas else b"0", extras.hex().encode(), key,
            value if opcode in (0x05, 0x06) else unpadded(value)))
    return b"\n".join(out), tuple(cases)


class Bijection:
    """Ids of two servers that mean the same: each of ours belongs to exactly one of theirs."""

    def __init__(self):
        self._theirs = {0: 0}
        self._ours = {0: 0}

    def agree(self, ours, theirs):
        for our, their in zip(ours, theirs):
            if self._theirs.setdefault(our, their) != their or self._ours.setdefault(their, our) != our:
                return False
        return len(ours) == len(theirs)
