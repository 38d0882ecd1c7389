"""One command of a stream as the generators make it and the table of differences looks at it."""

import dataclasses

# What a reference to a CAS id is rendered as where the id does not matter: when a predicate looks at the command.
CAS_SHAPE = b"77"
# The id sent for an item that is missing: newer than any.
CAS_OF_MISSING = 10 ** 13


@dataclasses.dataclass(frozen=True)
class Cas:
    """The id of `key` on the server that receives this, as it was at the last batch border, plus `offset`."""

    key: bytes
    offset: int = 0
    binary: bool = False

    def render(self, known):
        value = max(known.get(self.key, CAS_OF_MISSING) + self.offset, 0)
        return value.to_bytes(8, "big") if self.binary else b"%d" % value


@dataclasses.dataclass(eq=False)
class Unit:
    """`parts` are bytes and Cas references. `keys` are the raw keys whose items it may change."""

    parts: tuple
    keys: tuple = ()
    # The server ends the connection after it.
    closes: bool = False
    # Its data block is shorter or longer than announced: it must not meet a difference in swallowing.
    misframed: bool = False
    binary: bool = False
    # Removes what a difference has left behind; its answers are not compared.
    is_repair: bool = False

    def render(self, known):
        return b"".join(part if isinstance(part, bytes) else part.render(known) for part in self.parts)

    def shape(self):
        if not hasattr(self, "_shape"):
            self._shape = b"".join(
                part if isinstance(part, bytes) else (bytes(7) + b"\x4d" if part.binary else CAS_SHAPE)
                for part in self.parts)
        return self._shape

    def needs_cas(self):
        return any(isinstance(part, Cas) for part in self.parts)

    # --- text: the parts of the command line ---

    def line(self):
        """The first line without its line feed and one carriage return before that."""
        if not hasattr(self, "_line"):
            line = self.shape().split(b"\n", 1)[0]
            self._line = line[:-1] if line.endswith(b"\r") else line
        return self._line

    def words(self):
        if not hasattr(self, "_words"):
            self._words = [word for word in self.line().split(b" ") if word]
        return self._words

    def data(self):
        """What follows the first line."""
        return self.shape().split(b"\n", 1)[1] if b"\n" in self.shape() else b""

    # --- binary: the fields of the header ---

    def opcode(self):
        return self.shape()[1]

    def field(self, offset, size):
        return int.from_bytes(self.shape()[offset:offset + size], "big")


def show(data, limit=400):
    """Bytes as Python would write them, the middle of long ones left out."""
    text = repr(bytes(data))[1:]
    return text if len(text) <= limit else f"{text[:limit // 2]} ... {text[-limit // 4:]} ({len(data)} bytes)"
