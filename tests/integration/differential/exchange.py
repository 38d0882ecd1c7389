"""Connections to several servers at once: the same bytes out, what comes back until a mark, an end, or too long a silence."""

import random
import select
import socket
import time

SILENCE_SECONDS_MAX = 10
# How long a server that should close may take before it is taken to stay open.
CLOSE_SECONDS_MAX = 3
RECEIVE_BYTES = 1 << 18


class Line:
    """One connection to one server."""

    def __init__(self, name, port):
        self.name = name
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.received = bytearray()
        self.pending = []
        self.sent_bytes = 0
        self.closed = False
        # Key -> CAS id as of the last batch border.
        self.cas = {}

    def close(self):
        self.socket.close()

    def receive(self):
        try:
            data = self.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.received += data
        self.closed = not data

    def send_some(self):
        try:
            self.sent_bytes += self.socket.send(memoryview(self.pending[0])[self.sent_bytes:])
        except BlockingIOError:
            return
        except OSError:
            # Closed by the server; what it sent before that is read to its end.
            self.pending.clear()
            return
        if self.sent_bytes == len(self.pending[0]):
            self.pending.pop(0)
            self.sent_bytes = 0

    def take(self):
        data = bytes(self.received)
        self.received.clear()
        return data


def cut(data, mode, seed):
    """`data` in the pieces in which it is sent; equal for all servers as far as their bytes are."""
    if mode == "bytes":
        return [data[at:at + 1] for at in range(len(data))]
    if mode == "cuts":
        rng = random.Random(seed)
        places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(1, 7)))
        pieces = [data[start:end] for start, end in zip([0] + places, places + [len(data)])]
        return [piece for piece in pieces if piece]
    return [data] if data else []


def exchange(lines, payloads, finished, mode="whole", seed=0, seconds=SILENCE_SECONDS_MAX):
    """Sends each line its payload and reads until `finished(line)` or its end; returns the lines that fell silent."""
    for line, payload in zip(lines, payloads):
        line.pending = cut(payload, mode, seed)
        line.sent_bytes = 0
    open_lines = [line for line in lines if not line.closed]
    poller = select.poll()
    by_descriptor = {line.socket.fileno(): line for line in open_lines}
    for line in open_lines:
        poller.register(line.socket, select.POLLIN | select.POLLOUT)
    deadline = time.monotonic() + seconds
    while by_descriptor and time.monotonic() < deadline:
        sent = False
        for descriptor, event in poller.poll(100):
            line = by_descriptor[descriptor]
            if event & select.POLLOUT and line.pending:
                line.send_some()
                sent = True
                if not line.pending:
                    poller.modify(line.socket, select.POLLIN)
            elif event & select.POLLOUT:
                poller.modify(line.socket, select.POLLIN)
            if event & (select.POLLIN | select.POLLHUP | select.POLLERR):
                line.receive()
                deadline = time.monotonic() + seconds
            if line.closed or (not line.pending and finished(line)):
                poller.unregister(line.socket)
                del by_descriptor[descriptor]
        if sent and mode != "whole":
            # So that the pieces arrive as pieces.
            time.sleep(0.00003 if mode == "bytes" else 0.0002)
    return list(by_descriptor.values())
