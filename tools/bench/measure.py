"""The measurements: rounds of loads over interleaved servers, memory of items, memory of idle connections."""

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

from processes import CLIENT_CORE, BenchError, Server, confine, end_process, run_client

VISITOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "visitor.py")
# More bytes of values than this are not preloaded for one workload: the keys become fewer.
PRELOAD_BYTES_MAX = 256 * 1024 * 1024
# Stored before the memory of items is measured.
WARM_ITEMS = 1000
# A million items take seconds; beside builds on the same cores, minutes.
MEMORY_TIMEOUT_S = 600
RATIOS = {"get": "0:1", "set": "1:0", "mix": "1:10", "multiget": "0:1"}
# The letter before the kind of a workload, and the dialect of the generator it stands for.
DIALECTS = {"": "classic", "b": "binary", "m": "meta"}
# Rates of a curve closer than this to one another are measured once.
RATES_APART = 1.04


def progress(text):
    print(text, file=sys.stderr, flush=True)


class Workload:
    """What a name says: get1, set16, mix32, mget16, bget16, get16@1k, memtier32. Mixes are 1 set to 10 gets;
    multiget100 is a get of 100 keys, one request at a time."""

    def __init__(self, name):
        match = re.fullmatch(r"(?:([bm]?)(get|set|mix)|(memtier|multiget))(\d+)(?:@(\d+)([km]?))?", name)
        if match is None or int(match[4]) == 0:
            raise BenchError(f"workload '{name}': wanted is get, set, mix (b in front for binary, m for meta) or "
                             "memtier, the requests in flight, and, if not 32, @ and the bytes of values: get1, "
                             "bmix16, mget16@1k; or multiget and the keys of a request")
        self.name = name
        self.kind = match[2] or match[3]
        self.dialect = DIALECTS[match[1] or ""]
        self.depth = int(match[4])
        self.keys_per_get = 1
        if self.kind == "multiget":
            self.depth, self.keys_per_get = 1, self.depth
        self.value_bytes = int(match[5] or 32) * {"": 1, "k": 1024, "m": 1024 * 1024}[match[6] or ""]
        self.memtier = self.kind == "memtier"


class Harness:
    """What all measurements of a run share: the programs, the generator and the options."""

    def __init__(self, options, programs, memtier):
        self.options = options
        self.programs = programs
        self.memtier = memtier
        self.generator = os.path.join(options.build, "bench", "load_generator")
        self.faults = []

    def fault(self, text):
        """A result that must not be believed; the run goes on and fails at its end."""
        self.faults.append(text)
        progress(f"  FAULT: {text}")

    def keys(self, value_bytes):
        return max(100, min(self.options.keys, PRELOAD_BYTES_MAX // max(value_bytes, 1)))

    # --- the generator ---------------------------------------------------------------------------------------------

    def generate(self, server, value_bytes, *arguments, timeout_s=120, keys=None):
        command = [self.generator, *server.generator_target(), "--core", str(CLIENT_CORE), "--json", "-",
                   "--server-pid", str(server.pid), "--connections", str(self.options.connections),
                   "--value-bytes", str(value_bytes), "--keys", str(keys or self.keys(value_bytes)), *arguments]
        return json.loads(run_client(command, timeout_s))

    def cores_apart_ns(self):
        """A cache line's way from the server's core to the load's and back: what requests cost depends on it, and
        virtual cores change their places."""
        return float(run_client([self.generator, "--line-round-trip"], 30, core=None))

    def prepare(self, server, value_bytes):
        """Sets all keys, then reads some and compares every byte."""
        if server.name == "null":
            return
        self.generate(server, value_bytes, "--preload-only")
        checked = self.generate(server, value_bytes, "--verify", "--operations",
                                str(max(200, min(20000, self.keys(value_bytes)))))
        if checked["misses"] or checked["errors"]:
            self.fault(f"{server.name}, values of {value_bytes} bytes: keys are missing after the preload")

    @staticmethod
    def serves(server, workload):
        """The null server speaks classic text only, and no get of several keys."""
        return server.name != "null" or (workload.dialect == "classic" and workload.keys_per_get == 1)

    def load_round(self, server, workload, rate=None):
        seconds = self.options.seconds
        arguments = ["--dialect", workload.dialect, "--keys-per-get", str(workload.keys_per_get),
                     "--pipeline", str(workload.depth), "--ratio", RATIOS[workload.kind], "--seconds", str(seconds),
                     "--warmup", str(min(0.3, seconds)), "--distribution", self.options.distribution]
        if rate:
            arguments += ["--rate", str(rate), "--poisson"]
        result = self.generate(server, workload.value_bytes, *arguments, timeout_s=seconds * 2 + 60)
        if result["misses"] or result["errors"] or result["not_stored"]:
            self.fault(f"{server.name} {workload.name}: {result['misses']} misses, {result['errors']} errors, "
                       f"{result['not_stored']} not stored")
        if not result["operations"]:
            raise BenchError(f"{server.name} {workload.name}: no operation was completed")
        return {
            "operations_per_second": result["operations_per_second"],
            "server_cpu_us": result["server_cpu_us_per_operation"],
            "client_cpu_us": result["client_cpu_us_per_operation"],
            "p50_us": result["latency_us"]["p50"],
            "p99_us": result["latency_us"]["p99"],
            "p99.9_us": result["latency_us"]["p99.9"],
            "max_us": result["latency_us"]["max"],
        }

    # --- memtier_benchmark -----------------------------------------------------------------------------------------

    def run_memtier(self, server, value_bytes, *arguments, timeout_s):
        """One run to its end, and the server's CPU time over it. It hangs for ever after an error line, hence the
        time limit, and its exit status says little, hence the counts are checked."""
        with tempfile.NamedTemporaryFile(prefix="ringcached-bench-", suffix=".json") as report:
            command = [self.memtier, *server.memtier_target(), "-P", "memcache_text", "-t", "1",
                       "-c", str(self.options.connections), "-d", str(value_bytes), "--key-minimum", "1",
                       "--key-maximum", str(self.keys(value_bytes)), "--hide-histogram",
                       "--json-out-file", report.name, *arguments]
            before_ns = server.cpu_ns()
            run_client(command, timeout_s)
            used_ns = server.cpu_ns() - before_ns
            with open(report.name) as file:
                return json.load(file)["ALL STATS"], used_ns

    def memtier_prepare(self, server, value_bytes):
        stats, _ = self.run_memtier(server, value_bytes, "--ratio", "1:0", "-n", "allkeys", "--key-pattern", "P:P",
                                    "--pipeline", "16", timeout_s=120)
        if stats["Sets"]["Count"] < self.keys(value_bytes):
            self.fault(f"{server.name} memtier preload: {stats['Sets']['Count']} sets only")

    def memtier_round(self, server, workload):
        seconds = max(1, round(self.options.seconds))
        stats, used_ns = self.run_memtier(server, workload.value_bytes, "--ratio", "1:10", "--pipeline",
                                          str(workload.depth), "--test-time", str(seconds), "--key-pattern", "R:R",
                                          "--distinct-client-seed", timeout_s=seconds + 30)
        gets = stats["Gets"]
        operations = stats["Totals"]["Count"]
        if not operations or not gets["Count"]:
            raise BenchError(f"{server.name} {workload.name}: memtier_benchmark completed nothing")
        # Rates are rounded to hundredths each.
        if gets["Misses/sec"] or abs(gets["Hits/sec"] - gets["Ops/sec"]) > 0.011:
            self.fault(f"{server.name} {workload.name}: {gets['Hits/sec']} hits/s of {gets['Ops/sec']} gets/s")
        percentiles = stats["Totals"]["Percentile Latencies"]
        return {
            "operations_per_second": stats["Totals"]["Ops/sec"],
            "server_cpu_us": used_ns / 1000 / operations,
            "p50_us": percentiles["p50.00"] * 1000,
            "p99_us": percentiles["p99.00"] * 1000,
            "p99.9_us": percentiles["p99.90"] * 1000,
            "max_us": stats["Totals"]["Max Latency"] * 1000,
        }

    # --- rounds ----------------------------------------------------------------------------------------------------

    def running(self, value_bytes, stack, **settings):
        return [stack.enter_context(Server(program, value_bytes, unix=self.options.unix, **settings))
                for program in self.programs.values()]

    def workloads(self, workloads):
        """All rounds of all workloads; those of one value size share their servers."""
        results = []
        for value_bytes in dict.fromkeys(workload.value_bytes for workload in workloads):
            group = [workload for workload in workloads if workload.value_bytes == value_bytes]
            results += self.group(value_bytes, group)
        return results

    def group(self, value_bytes, group):
        connections_max = self.options.connections + 100
        rounds = {}
        with contextlib.ExitStack() as stack:
            servers = self.running(value_bytes, stack, connections_max=max(1024, connections_max))
            for server in servers:
                progress(f"preload: {server.name}, values of {value_bytes} bytes")
                self.prepare(server, value_bytes)
                if any(workload.memtier for workload in group):
                    self.memtier_prepare(server, value_bytes)
            for number in range(self.options.rounds):
                for workload in group:
                    for server in turn(servers, number):
                        if not self.serves(server, workload):
                            continue
                        measure = self.memtier_round if workload.memtier else self.load_round
                        apart_ns = self.cores_apart_ns()
                        result = measure(server, workload) | {"cores_apart_ns": apart_ns}
                        rounds.setdefault((workload.name, server.name), []).append(result)
                        progress(f"round {number + 1}/{self.options.rounds} {workload.name:12} {server.name:11}"
                                 f"{result['operations_per_second']:12,.0f} op/s{result['server_cpu_us']:9.3f} us/op")
            results = self.summaries(group, servers, rounds)
            if self.options.open_loop:
                self.open_loop(group, servers, results)
            if self.options.curve:
                self.curves(group, servers, results)
        return results

    def summaries(self, group, servers, rounds):
        results = []
        for workload in group:
            entry = {"workload": workload.name, "value_bytes": workload.value_bytes,
                     "keys": self.keys(workload.value_bytes), "servers": {}}
            for server in servers:
                if self.serves(server, workload):
                    entry["servers"][server.name] = summary(rounds[workload.name, server.name])
            for name, figures in entry["servers"].items():
                for peer in ("memcached", "null"):
                    if peer in entry["servers"] and peer != name:
                        figures[f"ratio_to_{peer}"] = ratio(rounds[workload.name, name], rounds[workload.name, peer])
            results.append(entry)
        return results

    def open_loop(self, group, servers, results):
        """Latencies at a part of the rate memcached (or else the slowest server) reached, sent whatever comes back."""
        for workload, entry in zip(group, results):
            if workload.memtier:
                continue
            peaks = {name: figures["operations_per_second"] for name, figures in entry["servers"].items()}
            rate = round(self.options.open_loop * peaks.get("memcached", min(peaks.values())))
            for number in range(self.options.rounds):
                for server in servers:
                    if not self.serves(server, workload):
                        continue
                    figures = entry["servers"][server.name]
                    figures.setdefault("open_loop_rounds", []).append(self.load_round(server, workload, rate))
            entry["open_loop_rate"] = rate
            for figures in entry["servers"].values():
                figures["open_loop"] = summary(figures.pop("open_loop_rounds"))
            progress(f"open loop {workload.name} at {rate:,} op/s done")

    def curves(self, group, servers, results):
        """Latencies over load: every server at rising rates, sent whatever comes back, up to parts of its own peak."""
        for workload, entry in zip(group, results):
            if workload.memtier:
                continue
            rates = curve_rates({name: figures["operations_per_second"] for name, figures in entry["servers"].items()},
                                self.options.curve)
            steps = {}
            for number in range(self.options.rounds):
                for rate in sorted(set().union(*rates.values())):
                    for server in turn(servers, number):
                        if rate in rates.get(server.name, ()):
                            result = self.load_round(server, workload, rate)
                            steps.setdefault((server.name, rate), []).append(result)
                progress(f"round {number + 1}/{self.options.rounds} curve of {workload.name} done")
            for name, figures in entry["servers"].items():
                figures["curve"] = [{"offered_per_second": rate, **summary(steps[name, rate])} for rate in rates[name]]

    # --- memory ----------------------------------------------------------------------------------------------------

    def warm_up(self, server, value_bytes, key_bytes, items):
        """Some of the items, and traffic until the buffers of connections have been in use: they are a constant of the
        server's configuration and no memory of items."""
        self.generate(server, value_bytes, "--preload-only", "--key-bytes", str(key_bytes), keys=items)
        self.generate(server, value_bytes, "--key-bytes", str(key_bytes), "--ratio", "1:1", "--pipeline", "16",
                      "--operations", "50000", keys=items)

    def memory(self, items):
        """Growth of resident memory per item after the first ones, for three sizes of key and value."""
        results = []
        for key_bytes, value_bytes in ((16, 32), (36, 224), (44, 1030)):
            entry = {"key_bytes": key_bytes, "value_bytes": value_bytes, "items": items, "servers": {}}
            for name, program in self.programs.items():
                if name == "null":
                    continue
                with Server(program, value_bytes, memory_mb=4096) as server:
                    warm = min(items // 2, WARM_ITEMS)
                    self.warm_up(server, value_bytes, key_bytes, warm)
                    before = server.rss_bytes()
                    self.generate(server, value_bytes, "--preload-only", "--key-bytes", str(key_bytes), keys=items,
                                  timeout_s=MEMORY_TIMEOUT_S)
                    checked = self.generate(server, value_bytes, "--key-bytes", str(key_bytes), "--verify",
                                            "--operations", str(items), "--distribution", "sequential", keys=items,
                                            timeout_s=MEMORY_TIMEOUT_S)
                    growth = server.rss_bytes() - before
                if checked["hits"] != items:
                    self.fault(f"{name}: {checked['hits']} of {items} items of {key_bytes}+{value_bytes} are there")
                entry["servers"][name] = growth / (items - warm)
                progress(f"memory {key_bytes}+{value_bytes} {name}: {growth / (items - warm):.1f} bytes per item")
            results.append(entry)
        return results

    def accept(self, connections):
        """Server CPU per connection that comes, asks for the version and goes, and how many came in a second: one
        after the other, so the rate is as much the client's as the server's."""
        rounds = {}
        with contextlib.ExitStack() as stack:
            servers = self.running(32, stack)
            for number in range(self.options.rounds):
                for server in servers[number % len(servers):] + servers[:number % len(servers)]:
                    result = json.loads(run_client([sys.executable, "-B", VISITOR, server.visitor_place(),
                                                    str(connections), str(server.pid)], 120))
                    rounds.setdefault(server.name, []).append(result)
                    progress(f"accept {server.name}: {result['server_cpu_us']:.2f} us per connection, "
                             f"{result['connections_per_second']:,.0f}/s")
        return {"connections": connections,
                "servers": {name: {figure: statistics.median(result[figure] for result in results)
                                   for figure in results[0]} for name, results in rounds.items()}}

    def idle(self, connections):
        """Growth of resident memory per connection that has done one get and is silent since."""
        results = {}
        for name, program in self.programs.items():
            with Server(program, connections_max=connections + 500, unix=self.options.unix) as server:
                self.prepare(server, 32)
                before = server.rss_bytes()
                self.hold_idle(server, connections, lambda: results.update({name: server.rss_bytes() - before}))
            results[name] /= connections
            progress(f"idle {name}: {results[name]:.0f} bytes per connection")
        return {"connections": connections, "bytes_per_connection": results}

    def hold_idle(self, server, connections, when_idle):
        command = [self.generator, *server.generator_target(), "--core", str(CLIENT_CORE), "--idle", str(connections)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, preexec_fn=confine(CLIENT_CORE)) as process:
            try:
                line = process.stdout.readline()
                if not line.startswith(f"{connections} idle connections"):
                    raise BenchError(f"{server.name}: {line.strip()}")
                if " 0 errors" not in line:
                    self.fault(f"{server.name}: {line.strip()}")
                when_idle()
            finally:
                end_process(process)


def turn(servers, number):
    """The servers in the order of a round: another one begins each, so that none always follows the same one."""
    first = number % len(servers)
    return servers[first:] + servers[:first]


def curve_rates(peaks, parts):
    """The rates to offer to each server: these parts of the slowest one's peak, and beyond it of the next one's. Each
    rate goes to every server whose own peak leaves room for it: at more than a server can do, latency only tells how
    long the run was."""
    rates = []
    for peak in sorted(peaks.values()):
        over = rates[-1] * RATES_APART if rates else 0
        rates += [rate for rate in (max(1, round(peak * part)) for part in sorted(parts)) if rate > over]
    return {name: [rate for rate in rates if rate <= max(1, round(peak * max(parts)))] for name, peak in peaks.items()}


def summary(rounds):
    figures = {key: statistics.median(result[key] for result in rounds) for key in rounds[0]}
    figures["rounds"] = rounds
    return figures


def ratio(own, peer):
    """Operations per CPU second against a peer's: the median of the rounds' ratios, as neighbours in time are alike."""
    return statistics.median(theirs["server_cpu_us"] / ours["server_cpu_us"] for ours, theirs in zip(own, peer))
