"""The smallest part of a stream that still differs, found by leaving commands out."""

import time

from differential import exchange
from differential import stream as streams

TRIES_MAX = 250
SECONDS_MAX = 10
# A difference in closing is seen without waiting as long as the first time.
PATIENCE_SECONDS = 0.2


def smallest(player, mismatch, flush):
    """(commands, mismatch) after delta debugging on fresh connections to emptied servers; None if it does not repeat."""
    names = [player.names[0], mismatch.peer]

    def fails(units):
        flush(names)
        return next(iter(player.play(streams.single(units, mismatch.stream.is_binary), names)), None)

    commands, player.patience = player.commands, PATIENCE_SECONDS
    try:
        return without_the_rest(list(mismatch.history), fails)
    finally:
        player.commands, player.patience = commands, exchange.CLOSE_SECONDS_MAX


def without_the_rest(units, fails):
    best = fails(units)
    if best is None:
        return None
    deadline, tries = time.monotonic() + SECONDS_MAX, 0
    size = max(len(units) // 2, 1)
    while True:
        at, removed = 0, False
        while at < len(units):
            if tries >= TRIES_MAX or time.monotonic() >= deadline:
                return units, best
            tries += 1
            rest = units[:at] + units[at + size:]
            found = fails(rest) if rest else None
            if found:
                units, best, removed = rest, found, True
            else:
                at += size
        if size == 1 and not removed:
            return units, best
        size = max(size // 2, 1)
