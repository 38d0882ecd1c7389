"""A test program that speaks TAP: functions registered with @test, skips said aloud, a time limit for each."""

import argparse
import signal
import sys
import time
import traceback

from harness.patience import patient

TEST_SECONDS_MAX = 60


class Skip(Exception):
    """Raised by a test that cannot run here; its text says why and is printed."""


class Explained(AssertionError):
    """A failure whose text says where and what; its trace would only hide that."""


class Timeout(Exception):
    """A test or one of its waits took too long."""


class Suite:
    """The tests of one program, in the order of their declaration."""

    def __init__(self):
        self._tests = []

    def test(self, name, seconds=TEST_SECONDS_MAX):
        """Registers the decorated function (one argument: the parsed options) under `name`."""

        def register(function):
            self.add(name, function, seconds)
            return function

        return register

    def add(self, name, function, seconds=TEST_SECONDS_MAX):
        self._tests.append((name, function, seconds))

    def run(self, options):
        chosen = [entry for entry in self._tests if any(part in entry[0] for part in options.only.split("|"))]
        print("TAP version 13", flush=True)
        print(f"1..{len(chosen)}", flush=True)
        failures = 0
        for number, (name, function, seconds) in enumerate(chosen, 1):
            failures += 0 if run_one(number, name, function, seconds, options) else 1
        # An empty run proves nothing and must not look like success.
        return 1 if failures or not chosen else 0


def run_one(number, name, function, seconds, options):
    def on_alarm(_signal, _frame):
        raise Timeout(f"the test took longer than {seconds} s")

    seconds = patient(seconds)
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(seconds)
    start = time.monotonic()
    try:
        function(options)
    except Skip as reason:
        signal.alarm(0)
        print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        return True
    except Exception:  # pylint: disable=broad-except  # whatever a test raises is its failure
        signal.alarm(0)
        print(f"not ok {number} - {name}", flush=True)
        for line in describe_failure().splitlines():
            print(f"# {line}", flush=True)
        return False
    signal.alarm(0)
    print(f"ok {number} - {name}", flush=True)
    print(f"# {time.monotonic() - start:.2f} s", flush=True)
    return True


def describe_failure():
    """The trace from the test's own frame on; a failure that explains itself needs none."""
    kind, value, trace = sys.exc_info()
    if issubclass(kind, Explained):
        return str(value)
    return "".join(traceback.format_exception(kind, value, trace.tb_next))


def parser(description):
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--server", required=True, help="the server's program, or a command with flags")
    arguments.add_argument("--server-flags", default="", help="more flags for every start of it")
    arguments.add_argument("--dialect", choices=("18", "45", "rc"), default="rc",
                           help="whose answers to expect: memcached up to 1.6.39 (18), from 1.6.40 on (45), ringcached (rc)")
    arguments.add_argument("--only", default="",
                           help="run the tests whose name contains this, or one of several texts with | between them")
    return arguments


def main(suite, description):
    options = parser(description).parse_args()
    sys.exit(suite.run(options))
