"""How much this machine adds to CPU times by itself.

A hypervisor, or an emulator with more processors than the host gives it, stops a processor in the middle of somebody's
work, and the kernel inside, which sees nothing of it, charges the pause to whoever ran. Where a test bounds CPU times it
takes that off, as measured beside: pieces of always the same work differ by nothing else.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

ITERATIONS = 30_000  # a few tenths of a millisecond of Python on a real processor


class Control:
    """Does its pieces in a process of its own as long as the `with` lasts."""

    def __init__(self):
        self._pieces = []

    def __enter__(self):
        self._process = subprocess.Popen([sys.executable, "-B", str(pathlib.Path(__file__).resolve())],
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        self._pieces = sorted(json.loads(self._process.communicate()[0] or b"[]"))

    def added_us(self, share):
        """What a piece took longer than the median, but for the longest `1 - share` of them; afterwards. 0 where there was
        no time for a piece."""
        if not self._pieces:
            return 0
        longest = self._pieces[min(int(len(self._pieces) * share), len(self._pieces) - 1)]
        return (longest - self._pieces[len(self._pieces) // 2]) / 1000


def main():
    os.nice(19)  # who is measured is not to wait for this
    pieces = []
    going = [True]
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    while going:
        began = time.thread_time_ns()
        for _ in range(ITERATIONS):
            pass
        pieces.append(time.thread_time_ns() - began)
    print(json.dumps(pieces))


if __name__ == "__main__":
    main()
