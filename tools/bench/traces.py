"""Hit ratios over traces of keys: ringcached's store and exact policies at an equal number of items, ringcached and
memcached at an equal -m over a socket, with memory for about a fifth of what the trace asks for."""

import argparse
import json
import os
import shutil

from measure import progress
from processes import BenchError, Program, Server, run_client
from tables import print_table

ENDINGS = (".txt", ".keys", ".xz", ".zst")
PERCENTS = (1, 10)
# Bytes of values, and the most misses per miss of memcached's that ringcached may have with them.
VALUES = (("100", 100, 0.90), ("1024-4096", 2560, 0.96))
# The points that ringcached may stay behind exact S3-FIFO.
POINTS_BEHIND_MAX = 0.5
# What an item takes beside key and value, about, for the size of the working set.
ITEM_OVERHEAD = 50
WORKING_SET_PARTS = 5
# A memcached with less has a page or two for each of its classes and measures that.
MEMORY_MB_MIN = 8


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="tools/dev bench traces", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", metavar="DIR", required=True,
                        help=f"files of one key per line: {', '.join(ENDINGS)}")
    parser.add_argument("--build", default="build/release", help="build directory (%(default)s)")
    parser.add_argument("--memcached", metavar="PATH", action="append",
                        help="to compare with, may be repeated; MEMCACHED or the one on the PATH")
    parser.add_argument("--accesses", type=int, default=10000000,
                        help="of a run at equal -m, at most (%(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write everything measured there")
    return parser.parse_args(arguments)


def find_traces(directory):
    if not os.path.isdir(directory):
        raise BenchError(f"{directory} is no directory")
    names = sorted(name for name in os.listdir(directory) if name.endswith(ENDINGS))
    if not names:
        raise BenchError(f"{directory} holds no trace ({', '.join(ENDINGS)})")
    return [os.path.join(directory, name) for name in names]


def short_name(path):
    name = os.path.basename(path)
    for ending in (*reversed(ENDINGS), ".keys"):
        name = name.removesuffix(ending)
    return name


def find_servers(options):
    paths = [os.path.join(options.build, "ringcached")]
    paths += options.memcached or [os.environ.get("MEMCACHED") or shutil.which("memcached") or ""]
    servers = []
    for path in paths:
        if not (os.path.isfile(path) and os.access(path, os.X_OK)):
            if options.memcached or path == paths[0]:
                raise BenchError(f"'{path}' is no program")
            progress("memcached is left out: install it, or name one by --memcached or MEMCACHED")
            continue
        servers.append(Program("ringcached" if path == paths[0] else "memcached", path))
    return servers


class Replayer:
    def __init__(self, options):
        self.program = os.path.join(options.build, "bench", "trace_replay")
        if not os.access(self.program, os.X_OK):
            raise BenchError(f"{self.program} is missing: build it (tools/dev bench builds it)")

    def run(self, path, *arguments):
        return json.loads(run_client([self.program, path, "--json", *map(str, arguments)], timeout_s=3600))


def percent(run, name):
    return 100 * run["hits"][name] / run["accesses"]


# --- an equal number of items --------------------------------------------------------------------------------------

def equal_items(replayer, paths):
    runs = []
    for path in paths:
        for share in PERCENTS:
            run = replayer.run(path, "--items-percent", share)
            run.update(trace=short_name(path), share=share)
            runs.append(run)
            progress(f"{run['trace']} {share} %: {percent(run, 'ringcached'):.2f} % hits")
    return runs


def print_equal_items(runs):
    print(f"\nhits in per cent at an equal number of items; goal: at most {POINTS_BEHIND_MAX} point behind S3-FIFO")
    rows = []
    for run in runs:
        behind = percent(run, "s3fifo") - percent(run, "ringcached")
        rows.append([run["trace"], f"{run['share']} %", f"{run['items']:,}",
                     *(f"{percent(run, name):.2f}"
                       for name in ("ringcached", "s3fifo", "s3fifo_once", "lru", "fifo", "belady")),
                     f"{-behind:+.2f}", "met" if behind <= POINTS_BEHIND_MAX else "missed"])
    print_table(["trace", "of keys", "items", "ringcached", "S3-FIFO", "S3-FIFO, one use", "LRU", "FIFO", "Belady",
                 "to S3-FIFO", "goal"], rows)


# --- an equal -m ---------------------------------------------------------------------------------------------------

def plan(replayer, path, value_bytes, accesses):
    """Copies of the trace so that a fifth of the working set is no toy, and the memory for it."""
    copies = 1
    while True:
        shape = replayer.run(path, "--describe", "--copies", copies, "--accesses", accesses)
        working_set = shape["key_bytes"] + shape["keys"] * (value_bytes + ITEM_OVERHEAD)
        memory_mb = round(working_set / WORKING_SET_PARTS / 2**20)
        if memory_mb >= MEMORY_MB_MIN or shape["accesses"] < 2 * shape["keys"]:
            return copies, max(memory_mb, 1)
        copies *= 2


def equal_memory(replayer, paths, servers, accesses):
    entries = []
    for path in paths:
        for values, mean, goal in VALUES:
            copies, memory_mb = plan(replayer, path, mean, accesses)
            entry = {"trace": short_name(path), "values": values, "copies": copies, "memory_mb": memory_mb,
                     "goal": goal, "servers": {}}
            for program in servers:
                with Server(program, mean, memory_mb=memory_mb) as server:
                    run = replayer.run(path, "--port", server.place, "--copies", copies, "--accesses", accesses,
                                       "--value-bytes", values, *(["--no-exact"] if program.name == "memcached" else []))
                if run["refused"]:
                    progress(f"  {program.version()}: {run['refused']} sets were refused")
                label = program.version() if program.name == "memcached" else program.name
                entry["servers"][label] = run
                progress(f"{entry['trace']} {values} B, -m {memory_mb}, {label}: "
                         f"{percent(run, 'server'):.2f} % hits")
            entries.append(entry)
    return entries


def print_equal_memory(entries):
    print("\nat an equal -m over a socket; misses are ringcached's per miss of that server")
    rows = []
    for entry in entries:
        own = next(iter(entry["servers"].values()))
        for name, run in entry["servers"].items():
            row = [f"{entry['trace']} x{entry['copies']}" if run is own else "",
                   entry["values"] if run is own else "", name, str(entry["memory_mb"]), f"{run['accesses']:,}",
                   f"{run['items']:,}", f"{percent(run, 'server'):.2f}"]
            if run is own:
                row += [f"{percent(run, 's3fifo'):.2f}", f"{percent(run, 'lru'):.2f}", "", "", ""]
            else:
                ratio = (own["accesses"] - own["hits"]["server"]) / (run["accesses"] - run["hits"]["server"])
                row += ["", "", f"{ratio:.3f}x", f"{entry['goal']:.2f}x", "met" if ratio <= entry["goal"] else "missed"]
            rows.append(row)
    print_table(["trace", "values", "server", "-m", "accesses", "items", "hits %", "S3-FIFO", "LRU", "misses",
                 "at most", "goal"], rows)
    print("S3-FIFO and LRU: exact, with as many items as ringcached held at the end")


def main(arguments):
    options = parse_arguments(arguments)
    paths = find_traces(options.traces)
    servers = find_servers(options)
    replayer = Replayer(options)
    report = {"equal_items": equal_items(replayer, paths),
              "equal_memory": equal_memory(replayer, paths, servers, options.accesses)}
    print_equal_items(report["equal_items"])
    print_equal_memory(report["equal_memory"])
    if options.json:
        with open(options.json, "w") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
    return 0
