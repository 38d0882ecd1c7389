"""Plays every transcript against a real server: whole, byte by byte, over a UNIX socket, and pipelined.

The same files check ringcached and memcached, so the expectations are proven by the reference itself:
    transcript_test.py --server "memcached" --dialect 18
"""

import pathlib
import sys

from harness import process, tap, transcript

DIRECTORY = pathlib.Path(__file__).parent / "transcripts"


class ServerPool:
    """One running server for each set of flags and kind of socket; dropped after a failure or a `@fresh`."""

    def __init__(self, options):
        self._options = options
        self._servers = {}

    def take(self, played, mode):
        unix = mode == "unix"
        key = (tuple(played.flags), unix)
        if played.fresh:
            self.drop(key)
        if key not in self._servers:
            # Some transcripts stop their server; whatever the status, reports are checked.
            server = process.Server(self._options, played.flags, unix=unix, expect_exit=None)
            server.__enter__()
            self._servers[key] = server
        return key, self._servers[key]

    def drop(self, key, check=True):
        server = self._servers.pop(key, None)
        if server is not None:
            server.__exit__(None if check else AssertionError, None, None)

    def drop_all(self):
        for key in list(self._servers):
            self.drop(key)


def play(pool, played, mode):
    if mode == "pipelined" and not played.can_pipeline():
        raise tap.Skip("depends on answers, time or a second connection")
    key, server = pool.take(played, mode)
    try:
        transcript.Runner(played, server, mode).run()
        server.check_reports()
    except BaseException:
        pool.drop(key, check=False)
        raise
    if played.fresh:
        # It may have ended the server on purpose.
        server.ended = server.process.poll() is not None
        pool.drop(key)


def check_canary(pool):
    """A transcript that is wrong on purpose, in the answer and in a counter, must be noticed."""
    wrong = {"answer": ("> version", "< VERSION none"), "counter": ("> get nokey", "< END", "= nothing"),
             "silence": ("> get nokey",)}
    for name, lines in wrong.items():
        canary = transcript.Transcript.__new__(transcript.Transcript)
        canary.name, canary.flags, canary.modes, canary.fresh, canary.steps = name, [], ("whole",), False, []
        for number, line in enumerate(lines, 1):
            canary._step(number, line)
        _, server = pool.take(canary, "whole")
        try:
            transcript.Runner(canary, server, "whole").run()
        except transcript.Mismatch:
            continue
        raise AssertionError(f"a wrong {name} was not noticed")


def main():
    options = tap.parser(__doc__).parse_args()
    pool = ServerPool(options)
    suite = tap.Suite()
    suite.add("canary: a wrong transcript fails", lambda _: check_canary(pool))
    for mode in transcript.MODES:
        for path in sorted(DIRECTORY.glob("*.txt")):
            played = transcript.Transcript(path, options.dialect)
            # What cannot be pipelined by its nature is no skipped test; it is none.
            if mode in played.modes and (mode != "pipelined" or played.can_pipeline()):
                suite.add(f"{played.name} [{mode}]", lambda _, played=played, mode=mode: play(pool, played, mode))
    suite.add("every server stops cleanly", lambda _: pool.drop_all())
    try:
        status = suite.run(options)
    finally:
        pool.drop_all()  # with --only the last test may not have run
    sys.exit(status)


if __name__ == "__main__":
    main()
