"""Measures ringcached, memcached and the null server interleaved in one run and prints a table of ratios.

Each server has one worker and is pinned to core 0; the load comes from core 1. The figure that counts is the server's
CPU time per operation: it stays comparable on a machine with other work, where operations per second do not.
`bench traces` measures hit ratios instead, `bench store` the store without a network; `bench report` draws a run (each
with --help)."""

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import sys

import report
import store
import traces
from measure import Harness, Workload, progress
from processes import BenchError, find_programs
from tables import print_tables

DEFAULT_WORKLOADS = "get1,get16,set16"
MEMTIER_WORKLOADS = "memtier1,memtier32"
# Latency bends up late, so the steps are closer near the peak.
CURVE_PARTS = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95)


def parts(text):
    """Of a peak: 0.1,0.5,0.9."""
    values = tuple(float(part) for part in text.split(","))
    if not all(0 < value <= 1 for value in values):
        raise ValueError("not a part")
    return values


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="tools/dev bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="build directory (%(default)s)")
    parser.add_argument("--servers", help="of ringcached,memcached,null; all that exist")
    parser.add_argument("--workloads", help="names such as get1, set16, mix1, mget16 (meta), bget16 (binary), multiget100, "
                        "get16@1k, memtier32: kind, "
                        f"requests in flight, bytes of values; {DEFAULT_WORKLOADS}, and {MEMTIER_WORKLOADS} where "
                        "memtier_benchmark is on the PATH or named by MEMTIER")
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement (%(default)s)")
    parser.add_argument("--connections", type=int, default=50, help="(%(default)s)")
    parser.add_argument("--keys", type=int, default=100000, help="different keys, all present (%(default)s)")
    parser.add_argument("--distribution", choices=("uniform", "zipf", "sequential"), default="uniform")
    parser.add_argument("--unix", action="store_true", help="UNIX sockets instead of TCP on 127.0.0.1")
    parser.add_argument("--open-loop", type=float, metavar="PART", default=0,
                        help="also latencies at this part of memcached's peak rate, e.g. 0.5")
    parser.add_argument("--curve", type=parts, metavar="PARTS", nargs="?", const=CURVE_PARTS, default=(),
                        help="also latencies against load: at these parts of the slowest server's peak rate and, "
                        f"beyond it, of the faster ones' ({','.join(map(str, CURVE_PARTS))}); each costs a measurement")
    parser.add_argument("--idle", type=int, metavar="N", nargs="?", const=9000, default=0,
                        help="memory of N idle connections (9000)")
    parser.add_argument("--memory", type=int, metavar="N", nargs="?", const=1000000, default=0,
                        help="memory of N items (1000000) of three sizes")
    parser.add_argument("--json", metavar="FILE", help="write everything measured there")
    parser.add_argument("--selftest", action="store_true", help="a few seconds of everything, with what exists")
    return parser.parse_args(arguments)


def find_memtier():
    return os.environ.get("MEMTIER") or shutil.which("memtier_benchmark")


def chosen_workloads(options, memtier):
    names = options.workloads
    if names is None:
        # Asked for memory alone, the loads are left out.
        wanted = options.curve or options.open_loop or not (options.idle or options.memory)
        names = DEFAULT_WORKLOADS if wanted else ""
        if names and memtier:
            names += "," + MEMTIER_WORKLOADS
    workloads = [Workload(name) for name in names.split(",") if name]
    if any(workload.memtier for workload in workloads) and not memtier:
        raise BenchError("memtier_benchmark is not on the PATH; MEMTIER=path names one")
    return workloads


def check_options(options):
    if options.rounds < 1 or options.seconds <= 0 or options.keys < 1 or not 1 <= options.connections <= 10000:
        raise BenchError("--rounds, --seconds, --keys and --connections (at most 10000) must be positive")
    if len(os.sched_getaffinity(0) & {0, 1}) < 2:
        progress("cores 0 and 1 are not both available: server and load share what there is, figures are rough")
    generator = os.path.join(options.build, "bench", "load_generator")
    if not os.access(generator, os.X_OK):
        raise BenchError(f"{generator} is missing: build it (tools/dev build)")


def surroundings(options, programs):
    with open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "host": platform.node(),
        "kernel": platform.release(),
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "versions": {name: program.version() for name, program in programs.items()},
        "rounds": options.rounds,
        "seconds": options.seconds,
        "connections": options.connections,
        "transport": "unix" if options.unix else "tcp loopback",
        "distribution": options.distribution,
        "keys": options.keys,
        "open_loop": options.open_loop,
        "curve": options.curve,
        "load_at_start": os.getloadavg()[0],
    }


def measure_all(options):
    check_options(options)
    programs, remarks = find_programs(options.build, options.servers.split(",") if options.servers else None)
    for remark in remarks:
        progress(remark)
    if not programs:
        raise BenchError("no server to measure")
    memtier = find_memtier()
    workloads = chosen_workloads(options, memtier)
    harness = Harness(options, programs, memtier)
    run = surroundings(options, programs)
    run["workloads"] = harness.workloads(workloads)
    if options.idle:
        run["idle"] = harness.idle(options.idle)
    if options.memory:
        run["memory"] = harness.memory(options.memory)
    run["faults"] = harness.faults
    run["load_at_end"] = os.getloadavg()[0]
    return run


def use_selftest_options(options):
    options.rounds, options.seconds, options.keys = 1, 0.2, 2000
    options.workloads = "get1,get16,set16,mix1,bmix16,get4@100k"
    if find_memtier():
        options.workloads += ",memtier32"
    options.open_loop, options.idle, options.memory = 0.3, 200, 20000
    options.curve = (0.2, 0.5)


def check_selftest(run):
    """What must hold of any run, whatever the speed."""
    for entry in run["workloads"]:
        for name, figures in entry["servers"].items():
            place = f"{entry['workload']} {name}"
            if not 0 < figures["server_cpu_us"] < 1e5 or figures["operations_per_second"] <= 0:
                raise BenchError(f"{place}: CPU time or rate cannot be right")
            for step in [figures, *figures.get("curve", ())]:
                if not 0 < step["p50_us"] <= step["p99_us"] <= step["p99.9_us"]:
                    raise BenchError(f"{place}: percentiles do not rise")
    for entry in run["memory"]:
        for name, size in entry["servers"].items():
            # Resident pages are counted coarsely and start-up memory is used up first, so only the order is sure.
            if not 0 <= size < 10 * (entry["key_bytes"] + entry["value_bytes"]) + 1000:
                raise BenchError(f"memory of {name}: {size} bytes per item cannot be right")
    if run["faults"]:
        raise BenchError(f"{len(run['faults'])} faults")


def interrupt(*_):
    raise KeyboardInterrupt


def main(arguments):
    signal.signal(signal.SIGTERM, interrupt)
    try:
        if arguments[:1] == ["traces"]:
            return traces.main(arguments[1:])
        if arguments[:1] == ["report"]:
            return report.main(arguments[1:])
        if arguments[:1] == ["store"]:
            return store.main(arguments[1:])
        options = parse_arguments(arguments)
        if options.selftest:
            use_selftest_options(options)
        run = measure_all(options)
        print_tables(run)
        if options.json:
            with open(options.json, "w") as file:
                json.dump(run, file, indent=1)
                file.write("\n")
        if options.selftest:
            check_selftest(run)
            print("selftest passed")
    except BenchError as error:
        progress(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        progress("bench: interrupted")
        return 130
    return 1 if run["faults"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
