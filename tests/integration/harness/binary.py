"""The binary protocol as a client speaks it: packets out, packets in."""

import struct
from typing import NamedTuple

HEADER = struct.Struct("!BBHBBHIIQ")
REQUEST_MAGIC = 0x80
RESPONSE_MAGIC = 0x81


class Response(NamedTuple):
    opcode: int
    status: int
    extras: bytes
    key: bytes
    value: bytes
    opaque: int
    cas: int


def packet(opcode, key=b"", value=b"", extras=b"", cas=0, opaque=0, *, key_bytes=None, extras_bytes=None,
           body_bytes=None, magic=REQUEST_MAGIC, data_type=0, vbucket=0):
    """One request; the lengths of the header can be made to lie."""
    header = HEADER.pack(magic, opcode,
                         len(key) if key_bytes is None else key_bytes,
                         len(extras) if extras_bytes is None else extras_bytes,
                         data_type, vbucket,
                         len(extras) + len(key) + len(value) if body_bytes is None else body_bytes,
                         opaque, cas)
    return header + extras + key + value


def stored(flags=0, exptime=0):
    """The extras of set, add and replace."""
    return struct.pack("!II", flags, exptime)


def counted(delta, initial=0, exptime=0xffffffff):
    """The extras of increment and decrement."""
    return struct.pack("!QQI", delta, initial, exptime)


def timed(exptime):
    """The extras of touch, get-and-touch and flush."""
    return struct.pack("!I", exptime)


def receive(connection):
    """The next response; checks what is constant in every one of them."""
    magic, opcode, key_bytes, extras_bytes, data_type, status, body_bytes, opaque, cas = HEADER.unpack(
        connection.take(HEADER.size))
    assert magic == RESPONSE_MAGIC, f"the magic byte is {magic:#x}"
    assert data_type == 0, f"the data type is {data_type}"
    body = connection.take(body_bytes)
    value_at = extras_bytes + key_bytes
    assert value_at <= body_bytes, f"{extras_bytes} + {key_bytes} > {body_bytes}"
    return Response(opcode, status, body[:extras_bytes], body[extras_bytes:value_at], body[value_at:], opaque, cas)
