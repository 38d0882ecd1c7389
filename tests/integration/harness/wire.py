"""A raw client connection: bytes out, lines and blocks in, every wait bounded."""

import socket
import time

from harness.patience import patient

READ_SECONDS_MAX = patient(15)


class Closed(Exception):
    """The server ended the connection where an answer was expected."""


class Connection:
    def __init__(self, address, receive_buffer_bytes=None, timeout=READ_SECONDS_MAX):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(timeout)
        self._pending = b""
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def send_slowly(self, data, piece_bytes=1, pause_seconds=0.0002):
        for start in range(0, len(data), piece_bytes):
            self.socket.sendall(data[start:start + piece_bytes])
            time.sleep(pause_seconds)

    def send_end(self):
        self.socket.shutdown(socket.SHUT_WR)

    def _receive(self):
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed(f"closed by the server with {self._pending!r} unread")
        self._pending += data

    def line(self):
        """One line without its end; it must end in CR LF."""
        while b"\n" not in self._pending:
            self._receive()
        text, self._pending = self._pending.split(b"\n", 1)
        assert text.endswith(b"\r"), f"the line {text!r} ends in a bare line feed"
        return text[:-1]

    def bare_line(self):
        """One line that ends in a line feed alone, without it."""
        while b"\n" not in self._pending:
            self._receive()
        text, self._pending = self._pending.split(b"\n", 1)
        assert not text.endswith(b"\r"), f"the line {text!r} ends in CR LF"
        return text

    def take(self, count):
        """Exactly `count` bytes."""
        while len(self._pending) < count:
            self._receive()
        data, self._pending = self._pending[:count], self._pending[count:]
        return data

    def take_pending(self):
        """What has been received beyond the last answer, without waiting for more."""
        data, self._pending = self._pending, b""
        return data

    def rest(self):
        """Everything up to the server's close."""
        try:
            while True:
                self._receive()
        except Closed:
            data, self._pending = self._pending, b""
            return data

    def silent_for(self, seconds):
        """Whatever arrives within `seconds`; empty when the server stays silent."""
        self.socket.settimeout(seconds)
        try:
            self._receive()
        except TimeoutError:
            pass
        finally:
            self.socket.settimeout(READ_SECONDS_MAX)
        return self._pending

    def request(self, text):
        """Sends one line and returns the first line of the answer."""
        self.send(text.encode() + b"\r\n")
        return self.line().decode()

    def set(self, key, value, flags=0, exptime=0):
        self.send(b"set %s %d %d %d\r\n%s\r\n" % (key.encode(), flags, exptime, len(value), value))
        return self.line().decode()

    def get(self, key):
        """The value, or None for a miss."""
        self.send(b"get %s\r\n" % key.encode())
        head = self.line()
        if head == b"END":
            return None
        words = head.split(b" ")
        assert words[:2] == [b"VALUE", key.encode()], head
        value = self.take(int(words[3]))
        assert self.take(2) == b"\r\n"
        assert self.line() == b"END"
        return value

    def stats(self, group=""):
        self.send(f"stats {group}".strip().encode() + b"\r\n")
        result = {}
        while True:
            line = self.line().decode()
            if line == "END":
                return result
            word, name, *value = line.split(" ", 2)
            assert word == "STAT", line
            result[name] = value[0] if value else ""
