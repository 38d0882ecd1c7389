"""How much longer than usual everything may take, processor time included: for emulated machines, where
RINGCACHED_TEST_PATIENCE says so."""

import os
import time

FACTOR = float(os.environ.get("RINGCACHED_TEST_PATIENCE", "1"))


def patient(seconds):
    """A limit on waiting, for this machine. Whole seconds stay whole."""
    return type(seconds)(seconds * FACTOR)


def costly(bound):
    """A limit on processor time, for this machine: instructions that are emulated cost as much more of it."""
    return bound * FACTOR


def wait_for(attempt, what, seconds=20):
    """The first result of `attempt` that is not None; its OSErrors and ValueErrors are tried again."""
    deadline = time.monotonic() + patient(seconds)
    while True:
        try:
            result = attempt()
            if result is not None:
                return result
        except (OSError, ValueError):
            pass
        assert time.monotonic() < deadline, f"{what} did not come within {patient(seconds)} s"
        time.sleep(0.02)
