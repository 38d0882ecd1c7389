"""Runs the integration tests inside virtual machines with several NUMA nodes, on Debian's kernels (docs/numa.md).

The last line is `N passed, N failed, N skipped`. What is missing (emulator, busybox, a kernel) is skipped aloud; when
nothing could run at all the exit status is 77.
"""

import argparse
import fnmatch
import pathlib
import re
import shutil
import sys
import time

import image
import kernels
import machine

TESTS = pathlib.Path(__file__).resolve().parent.parent
KERNELS = ("6.1", "6.12")
SHAPES = {2: machine.Shape(2, 2, 512), 4: machine.Shape(4, 1, 256)}
PROGRAM_SECONDS_MAX = 1200
MACHINE_SECONDS_MAX = 3600
# Runs in every machine; the others once for each kernel, as they know nothing of nodes.
NUMA_TEST = "numa"
NOT_IN_A_MACHINE = {
    "clients": "needs the clients' packages",
    "clients_python": "needs the clients' packages",
    "clients_foreign": "needs the clients' packages",
    "nutcracker": "needs nutcracker and memcached",
    "differential": "needs memcached to compare with",
}
TIME = re.compile(r"# [\d.]+ s$")
RESULT = re.compile(r"(not )?ok \d+ - (.*?)(?: # SKIP (.*))?$")


class Tally:
    """What has passed, failed and been skipped; prints each result once, with its machine."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, where, what, outcome, reason=""):
        setattr(self, outcome, getattr(self, outcome) + 1)
        word = {"passed": "ok", "failed": "not ok", "skipped": "skip"}[outcome]
        print(f"{word:6} [{where}] {what}" + (f": {reason}" if reason else ""), flush=True)


def programs_for(arguments, numa_only):
    """(names to run, names with the reason why not)."""
    names = sorted(path.name.removesuffix("_test.py") for path in (TESTS / "integration").glob("*_test.py"))
    names = [name for name in names if fnmatch.fnmatch(name, arguments.only)]
    if numa_only:
        names = [name for name in names if name == NUMA_TEST]
    return ([name for name in names if name not in NOT_IN_A_MACHINE],
            {name: NOT_IN_A_MACHINE[name] for name in names if name in NOT_IN_A_MACHINE})


class Console:
    """Turns a machine's console into results."""

    def __init__(self, where, tally):
        self.where = where
        self.tally = tally
        self.program = None
        self.failed_in_program = False
        self.begun_at = 0.0
        self.booted = self.done = False
        self.remarks = []
        self.last_failed = False

    def line(self, text):
        # The firmware leaves the cursor in the middle of a line.
        if "@@ " in text:
            self._mark(text.partition("@@ ")[2].split())
        elif match := RESULT.match(text):
            self._result(*match.groups())
        elif text.startswith("# "):
            self._remark(text)

    def _remark(self, text):
        """Those of the placement tests are the figures they look at; of others only what belongs to a failure matters:
        remarks before the result, reasons behind it."""
        if self.last_failed or (self.program == NUMA_TEST and not TIME.match(text)):
            print(f"       {text}", flush=True)
        else:
            self.remarks.append(text)

    def _mark(self, words):
        if words[0] == "kernel":
            self.booted = True
            print(f"       [{self.where}] " + " ".join(words), flush=True)
        elif words[0] == "begin":
            self.program, self.begun_at = words[1], time.monotonic()
            self.failed_in_program = self.last_failed = False
        elif words[0] == "end":
            if words[2] != "0" and not self.failed_in_program:
                self.tally.add(self.where, self.program, "failed", f"ended with status {words[2]}")
            print(f"       [{self.where}] {self.program}: {time.monotonic() - self.begun_at:.0f} s", flush=True)
            self.program = None
        elif words[0] == "done":
            self.done = True

    def _result(self, failed, name, reason):
        outcome = "failed" if failed else "skipped" if reason else "passed"
        self.last_failed = bool(failed)
        self.failed_in_program = self.failed_in_program or self.last_failed
        for remark in self.remarks if failed else ():
            print(f"       {remark}", flush=True)
        self.remarks = []
        self.tally.add(self.where, f"{self.program}: {name}", outcome, reason or "")


def run_machine(arguments, kernel_image, where, shape, names, tally):
    server = "/usr/bin/ringcached"
    programs = [(name, f"cd /tests/integration && timeout {PROGRAM_SECONDS_MAX} python3 {name}_test.py --server {server}")
                for name in names]
    initrd = arguments.cache / "initrd"
    initrd.write_bytes(image.build(arguments.server, TESTS, shutil.which("busybox"), machine.init_script(programs)))
    log = arguments.cache / f"console-{where.replace(', ', '-').replace(' ', '-')}.log"
    console = Console(where, tally)
    for line in machine.lines_of(machine.command_of(kernel_image, initrd, shape), log, MACHINE_SECONDS_MAX):
        console.line(line)
    if not console.done:
        stage = console.program or ("between programs" if console.booted else "boot")
        tally.add(where, stage, "failed", f"the machine ended before its tests did; its console is in {log}")


def missing_tool():
    for tool in ("qemu-system-x86_64", "busybox"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    return None


def run_all(arguments, tally):
    for kernel in arguments.kernel or KERNELS:
        try:
            kernel_image = kernels.image_of(kernel, arguments.cache)
        except kernels.Unavailable as reason:
            tally.add(kernel, "all tests", "skipped", str(reason))
            continue
        for position, nodes in enumerate(arguments.nodes or SHAPES):
            where = f"{kernel}, {nodes} nodes"
            names, left_out = programs_for(arguments, numa_only=position > 0)
            for name, reason in left_out.items():
                tally.add(where, name, "skipped", reason)
            if names:
                run_machine(arguments, kernel_image, where, SHAPES[nodes], names, tally)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True, help="the server's program, not sanitized")
    parser.add_argument("--cache", type=pathlib.Path, required=True, help="where kernels, the image and consoles are kept")
    parser.add_argument("--kernel", action="append", choices=KERNELS, help="only this one; both if not given")
    parser.add_argument("--nodes", action="append", type=int, choices=SHAPES, help="only so many nodes; 2 and 4 if not given")
    parser.add_argument("--only", default="*", help="only the programs of tests/integration of this name or pattern")
    arguments = parser.parse_args()
    tally = Tally()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    if reason := missing_tool():
        tally.add("host", "all tests", "skipped", reason)
    else:
        run_all(arguments, tally)
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped", flush=True)
    if tally.failed:
        sys.exit(1)
    sys.exit(0 if tally.passed else 77)


if __name__ == "__main__":
    main()
