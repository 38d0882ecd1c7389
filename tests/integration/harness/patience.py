"""How much longer than usual everything may take: for emulated machines, where RINGCACHED_TEST_PATIENCE says so."""

import os

FACTOR = float(os.environ.get("RINGCACHED_TEST_PATIENCE", "1"))


def patient(seconds):
    """A limit on waiting, for this machine. Whole seconds stay whole."""
    return type(seconds)(seconds * FACTOR)


def costly(bound):
    """A limit on processor time, for this machine: instructions that are emulated cost as much more of it."""
    return bound * FACTOR
