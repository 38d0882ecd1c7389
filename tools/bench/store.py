"""What the store costs and holds: memory of items, waste of size classes, hits against exact policies, speed against
a bare hash map, how it scales, and how long the turns of a server get while it works in the background. One table, each figure with its goal, in under five minutes."""

import argparse
import json
import os
import subprocess
import sys
import time
import types

import traces
from measure import Harness, progress
from processes import BenchError, find_programs, run_client
from store_rows import HEADS, cells, judged, row, rows_of, verdict
from tables import print_table

# Bytes of key and value, and the most that an item of them may take.
MEMORY_GOALS = {(16, 32): 90.0, (36, 224): 310.0, (44, 1030): 1.06 * (44 + 1030)}
MEMORY_ITEMS = 1000000
EVICTION_ACCESSES = 1000000
PAUSES_BUCKETS = 20  # a power of 2; docs/performance.md has a run to 24
PAUSES_SECONDS_MAX = 200


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="tools/dev bench store", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="build directory (%(default)s)")
    parser.add_argument("--traces", metavar="DIR", help="also hits over the traces there, one key per line")
    parser.add_argument("--accesses", type=int, default=EVICTION_ACCESSES, help="of each trace, at most (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of the measurements of speed (%(default)s)")
    parser.add_argument("--only", metavar="GROUP,...", help=f"of {', '.join(name for name, _ in SOURCES)}")
    parser.add_argument("--json", metavar="FILE", help="write everything measured there")
    parser.add_argument("--markdown", metavar="FILE", help="write the table there, for docs/performance.md")
    return parser.parse_args(arguments)


def program(options, *names):
    path = os.path.join(options.build, *names)
    if not os.access(path, os.X_OK):
        raise BenchError(f"{path} is missing: build it (tools/dev bench builds it)")
    return path


# --- sources of rows ------------------------------------------------------------------------------------------------
# Each takes the options and returns rows; to add one, write it (or a program for rows_of) and name it in SOURCES.

def memory(options):
    programs, _ = find_programs(options.build, ["ringcached"])
    load = types.SimpleNamespace(build=options.build, connections=50, keys=MEMORY_ITEMS, unix=False)
    harness = Harness(load, programs, None)
    rows = []
    for entry in harness.memory(MEMORY_ITEMS):
        size = entry["key_bytes"], entry["value_bytes"]
        rows.append(row("memory per item", f"{size[0]}+{size[1]}, {MEMORY_ITEMS:,} items",
                        entry["servers"]["ringcached"], "B", MEMORY_GOALS[size], at_most=True,
                        detail="growth of resident memory, index and queues included"))
    if harness.faults:
        raise BenchError("; ".join(harness.faults))
    return rows


def waste(options):
    return rows_of(program(options, "bench", "class_waste"))


def eviction(options):
    if not options.traces:
        progress("eviction is left out: --traces DIR names traces of keys")
        return []
    replayer = traces.Replayer(options)
    rows = []
    for path in traces.find_traces(options.traces):
        for share in traces.PERCENTS:
            run = replayer.run(path, "--items-percent", share, "--accesses", options.accesses)
            hits = {name: traces.percent(run, name) for name in run["hits"]}
            rows.append(row("hits, points to exact S3-FIFO", f"{traces.short_name(path)}, room for {share} %",
                            hits["ringcached"] - hits["s3fifo"], "points", -traces.POINTS_BEHIND_MAX,
                            detail=f"ringcached {hits['ringcached']:.2f} %, S3-FIFO {hits['s3fifo']:.2f}, "
                                   f"LRU {hits['lru']:.2f}, Belady {hits['belady']:.2f}"))
    return rows


def speed(options):
    rows = rows_of(program(options, "bench", "store_bench"), "--rounds", options.rounds)
    # A larger item; two figures are enough to see that nothing depends on the size.
    rows += rows_of(program(options, "bench", "store_bench"), "--rounds", max(options.rounds // 2, 1), "--items", 250000,
                    "--key-bytes", 36, "--value-bytes", 224, "--requests", 1 << 19, "--no-churn")
    if not any("map" in entry["group"] for entry in rows):
        progress("the comparison with a bare map is left out: store_bench was built without robin-map-dev")
    return sorted(rows, key=lambda entry: entry["group"])


def pauses(options):
    """The longest turns of a server's workers while it grows, flushes, expires and moves pages."""
    arguments = [program(options, "ringcached"), program(options, "bench", "load_generator"), "--buckets", str(PAUSES_BUCKETS)]
    real_time = subprocess.run(["chrt", "-f", "1", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    if real_time:
        arguments.append("--real-time")
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pauses.py")
    lines = run_client([sys.executable, "-B", script, *arguments], PAUSES_SECONDS_MAX, core=None).splitlines()
    rows = [{**judged(json.loads(line)), "group": "turns of a worker, CPU time"} for line in lines]
    rows = [entry for entry in rows if entry["met"] is not None]
    for entry in rows:
        entry["detail"] = "with real-time priority" if real_time else "other processes may have interrupted it"
    return rows


SOURCES = [("memory", memory), ("waste", waste), ("eviction", eviction), ("speed", speed), ("pauses", pauses)]


def measure(options):
    wanted = set(options.only.split(",")) if options.only else {name for name, _ in SOURCES}
    if unknown := wanted - {name for name, _ in SOURCES}:
        raise BenchError(f"no group {', '.join(sorted(unknown))}")
    rows = []
    for name, source in SOURCES:
        if name not in wanted:
            continue
        begun = time.monotonic()
        rows += source(options)
        progress(f"{name}: {time.monotonic() - begun:.0f} s")
    return rows


def write_markdown(path, rows):
    with open(path, "w") as file:
        file.write("".join(f"| {' | '.join(line)} |\n" for line in [HEADS, ["---"] * len(HEADS), *cells(rows)]))


def main(arguments):
    options = parse_arguments(arguments)
    begun = time.monotonic()
    load = os.getloadavg()[0]
    rows = measure(options)
    print_table(HEADS, list(cells(rows)))
    missed = sum(verdict(entry) == "missed" for entry in rows)
    print(f"\n{sum(verdict(entry) == 'met' for entry in rows)} goals met, {missed} missed; "
          f"{time.monotonic() - begun:.0f} s, load of the machine at the start {load:.1f}")
    if options.markdown:
        write_markdown(options.markdown, rows)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"rows": rows, "load_at_start": load}, file, indent=1)
            file.write("\n")
    sys.stdout.flush()
    return 1 if missed else 0
