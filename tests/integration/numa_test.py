"""Where workers run and where their memory lies, by what the kernel says of it (/proc). On a machine with one node only
what is left to the kernel can be seen; `tools/dev test-vm` runs this where there are more."""

import contextlib
import os
import pathlib
import re
import time

from harness import process, tap

suite = tap.Suite()

NODES = pathlib.Path("/sys/devices/system/node")
HUGE = "hugepages/hugepages-2048kB"
CGROUPS = pathlib.Path("/sys/fs/cgroup")
PAGE_BYTES = 256 << 10
KERNEL_PAGE_KIB = 4
VALUE_BYTES = 2000
# Of memory that has been asked for on a node; the rest is what was touched before, by others.
MOST = 0.97


# --- what the kernel says -------------------------------------------------------------------------------------------

def numbers(text):
    """The kernel's lists: 0-2,5."""
    found = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def nodes():
    """{node: its processors}, of nodes that have any."""
    online = numbers((NODES / "online").read_text()) if NODES.exists() else []
    cpus = {node: numbers((NODES / f"node{node}/cpulist").read_text()) for node in online}
    return {node: its for node, its in cpus.items() if its} or {0: sorted(os.sched_getaffinity(0))}


def several_nodes():
    found = nodes()
    if len(found) < 2:
        raise tap.Skip("one NUMA node here (tools/dev test-vm has more)")
    return found


def disposable_machine():
    if os.environ.get("RINGCACHED_TEST_MACHINE") != "disposable":
        raise tap.Skip("changes settings of the machine: only in a virtual one (tools/dev test-vm)")


def regions(server):
    """(policy, {node: KiB that lie there}, words) of every mapping of the server that has memory."""
    found = []
    for line in pathlib.Path(f"/proc/{server.process.pid}/numa_maps").read_text().splitlines():
        _, policy, *words = line.split()
        unit = next((int(word.split("=")[1]) for word in words if word.startswith("kernelpagesize_kB=")), KERNEL_PAGE_KIB)
        places = {int(match[1]): int(match[2]) * unit for word in words if (match := re.fullmatch(r"N(\d+)=(\d+)", word))}
        if places:
            found.append((policy, places, words))
    return found


def sum_of(places):
    total = {}
    for its in places:
        for node, kib in its.items():
            total[node] = total.get(node, 0) + kib
    return total


def preferring(server, node):
    """{node: KiB} of all memory that prefers `node`."""
    return sum_of(places for policy, places, _ in regions(server) if policy == f"prefer:{node}")


def worker_cpus(server):
    """The processors each worker may run on, by its number."""
    found = {}
    for task in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        if match := re.fullmatch(r"rc-worker-(\d+)", name):
            status = (task / "status").read_text()
            found[int(match[1])] = numbers(re.search(r"^Cpus_allowed_list:\s*(\S+)", status, re.MULTILINE)[1])
    return [found[number] for number in sorted(found)]


# --- what the server says, and giving it work -------------------------------------------------------------------------

def shares(server):
    """`stats numa`: {node: {name: figure}}."""
    found = {}
    for name, value in server.stats("numa").items():
        if match := re.fullmatch(r"node:(\d+):(\w+)", name):
            found.setdefault(int(match[1]), {})[match[2]] = int(value)
    return found


def store(connection, prefix, count, value_bytes=VALUE_BYTES):
    value = b"x" * value_bytes
    for start in range(0, count, 500):
        names = range(start, min(start + 500, count))
        connection.send(b"".join(b"set %s-%d 0 0 %d noreply\r\n%s\r\n" % (prefix, i, value_bytes, value) for i in names))
        assert connection.request("version").startswith("VERSION")


def fill(server, workers, items_each, value_bytes=VALUE_BYTES):
    """Has every worker store as much: connections go to the workers in turn."""
    with contextlib.ExitStack() as stack:
        for number in range(workers):
            connection = stack.enter_context(server.connect())
            store(connection, b"worker%d" % number, items_each, value_bytes)
    return server


def check_items_are_local(server, wanted_nodes, kib_min):
    for node in wanted_nodes:
        places = preferring(server, node)
        total = sum(places.values())
        print(f"# memory that prefers node {node}, KiB by node: {places}")
        assert total >= kib_min, f"only {total} KiB prefer node {node}, not {kib_min}"
        assert places.get(node, 0) >= MOST * total, f"of {total} KiB for node {node} there lie {places}"


# --- the tests --------------------------------------------------------------------------------------------------------

@suite.test("workers: one processor each, the nodes in turn")
def spread(options):
    by_node = nodes()
    node_of = {cpu: node for node, cpus in by_node.items() for cpu in cpus}
    allowed = os.sched_getaffinity(0)
    with process.Server(options, flags=["-t", str(len(allowed))]) as server:
        cpus = worker_cpus(server)
    print(f"# processors of the workers: {cpus}")
    assert sorted(cpu for its in cpus for cpu in its) == sorted(allowed), cpus
    first = [node_of[its[0]] for its in cpus[:len(by_node)]]
    assert len(allowed) < len(node_of) or sorted(first) == sorted(by_node), f"the first workers are on nodes {first}"


@suite.test("more workers than processors, and fewer than nodes")
def uneven(options):
    several_nodes()
    cpus = sorted(os.sched_getaffinity(0))
    with process.Server(options, flags=["-t", str(len(cpus) + 1)]) as server:
        placed = worker_cpus(server)
        assert placed[-1] == placed[0], placed
    with process.Server(options, flags=["-t", "1"]) as server:
        fill(server, 1, 1000)
        assert list(shares(server)) == [0] and server.stats("numa")["nodes"] == "1", shares(server)
        policies = {policy for policy, _, _ in regions(server)}
        assert policies == {"default"}, f"one worker is on one node, there is nothing to divide: {policies}"


@suite.test("items lie on the node of the worker that stored them, and the statistics say the same", seconds=120)
def local_items(options):
    by_node = several_nodes()
    workers = len(os.sched_getaffinity(0))
    with process.Server(options, flags=["-t", str(workers), "-m", "256"]) as server:
        # As many connections as workers: each node's workers store as much.
        fill(server, workers, 2000)
        check_items_are_local(server, by_node, 2000 * VALUE_BYTES // 1024)
        told = shares(server)
        print(f"# stats numa: {told}")
        assert sorted(told) == sorted(by_node), told
        for node, share in told.items():
            assert share["workers"] == len(by_node[node]), (node, share)
            assert share["total_items"] == 2000 * share["workers"], (node, share)
            assert share["pages_of_own_workers"] == share["pages"] and share["pages_of_other_workers"] == 0, (node, share)
            resident = preferring(server, node)[node] * 1024
            assert share["bytes"] == share["pages"] * PAGE_BYTES, (node, share)
            # Pages are touched as chunks are cut from them; tables beside the items prefer the node, too.
            # A huge page of 2 MiB is got ahead of what is used.
            assert 0.5 * share["bytes"] <= resident <= 1.2 * share["bytes"] + (2 << 20), (node, share, resident)


@suite.test("when memory is used up, items go on lying on their worker's node", seconds=240)
def local_under_pressure(options):
    by_node = several_nodes()
    workers = len(os.sched_getaffinity(0))
    with process.Server(options, flags=["-t", str(workers), "-m", "32"]) as server:
        # The first workers use the memory up; those that come later get their share of it, on their nodes.
        for _ in range(6):
            fill(server, workers, 48_000_000 // VALUE_BYTES // workers)
        assert int(server.stats()["evictions"]) > 0
        check_items_are_local(server, by_node, 16384 // len(by_node))
        told = shares(server)
        print(f"# stats numa: {told}")
        assert sum(share["evictions"] for share in told.values()) == int(server.stats()["evictions"])
        assert all(share["pages_of_other_workers"] == 0 for share in told.values()), told


@suite.test("the index is interleaved over the nodes, also what it grows into", seconds=240)
def interleaved(options):
    by_node = several_nodes()
    with process.Server(options, flags=["-m", "256"]) as server:
        at_start = int(server.stats()["hash_bytes"])
        fill(server, 4, 40000, value_bytes=8)
        deadline = time.monotonic() + 60
        while (now := int(server.stats()["hash_bytes"])) < 2 * at_start:
            assert time.monotonic() < deadline, f"the index has grown from {at_start} only to {now}"
            time.sleep(0.2)
        spread_over = [(policy, places) for policy, places, _ in regions(server) if policy.startswith("interleave:")]
    places = sum_of(its for _, its in spread_over)
    total = sum(places.values())
    print(f"# interleaved memory, KiB by node: {places}; the index has {now >> 10} KiB, at start {at_start >> 10}")
    assert {policy for policy, _ in spread_over} == {"interleave:" + "-".join(str(n) for n in (min(by_node), max(by_node)))}
    assert total * 1024 >= 0.9 * now, (total, now)
    for node in by_node:
        share = places.get(node, 0) / total
        assert abs(share * len(by_node) - 1) < 0.15, f"node {node} has {share:.0%} of the index"


@suite.test("numa = off leaves all memory to the kernel and processors in their order")
def off(options):
    allowed = sorted(os.sched_getaffinity(0))
    with process.Server(options, flags=["--numa=off", "-t", str(len(allowed))]) as server:
        fill(server, len(allowed), 1000)
        policies = {policy for policy, _, _ in regions(server)}
        assert policies == {"default"}, policies
        assert worker_cpus(server) == [[cpu] for cpu in allowed]
        assert list(shares(server)) == [0] and server.stats("numa")["nodes"] == "1"


@suite.test("--no-pin: a worker runs on any processor of its node; with numa = off anywhere")
def unpinned(options):
    allowed = sorted(os.sched_getaffinity(0))
    with process.Server(options, flags=["--no-pin", "--numa=off", "-t", "2"]) as server:
        assert worker_cpus(server) == [allowed, allowed]
    by_node = several_nodes()
    with process.Server(options, flags=["--no-pin", "-t", str(len(by_node))]) as server:
        assert sorted(worker_cpus(server)) == sorted(by_node.values())
        fill(server, len(by_node), 1000)
        check_items_are_local(server, by_node, 1000)


@contextlib.contextmanager
def running_on(cpus):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@suite.test("a process confined to the processors of one node is left alone there")
def confined_to_a_node(options):
    by_node = several_nodes()
    node = max(by_node)
    with running_on(by_node[node]), process.Server(options) as server:
        assert sorted(cpu for its in worker_cpus(server) for cpu in its) == by_node[node]
        fill(server, 1, 2000)
        assert {policy for policy, _, _ in regions(server)} == {"default"}
        places = sum_of(places for _, places, words in regions(server) if any(word.startswith("anon=") for word in words))
        assert places[node] > 0.8 * sum(places.values()), places


@contextlib.contextmanager
def cpuset(mems):
    """This process and its children in a cgroup whose memory is of `mems` only."""
    (CGROUPS / "cgroup.subtree_control").write_text("+cpuset")
    group = CGROUPS / "ringcached-test"
    group.mkdir()
    try:
        (group / "cpuset.mems").write_text(mems)
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        (CGROUPS / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


@suite.test("a cpuset without a node's memory: its workers take memory elsewhere")
def confined_memory(options):
    disposable_machine()
    by_node = several_nodes()
    last = max(by_node)
    with cpuset(str(last)), process.Server(options) as server:
        assert len({cpus[0] for cpus in worker_cpus(server)}) == len(os.sched_getaffinity(0))
        fill(server, len(by_node), 2000)
        places = sum_of(places for _, places, words in regions(server) if any(word.startswith("anon=") for word in words))
        assert places[last] > MOST * sum(places.values()), places
        assert list(shares(server)) == [last] or server.stats("numa")["nodes"] == "1", shares(server)
        assert b"warning" not in server.stderr(), server.stderr()
    if len(by_node) > 2:
        with cpuset(f"{last - 1},{last}"), process.Server(options) as server:
            fill(server, len(by_node), 2000)
            assert sorted(shares(server)) == [last - 1, last], shares(server)
            check_items_are_local(server, [last - 1, last], 3000)
            assert b"warning" not in server.stderr(), server.stderr()


@suite.test("transparent huge pages (-L) are the node's own", seconds=120)
def transparent(options):
    by_node = several_nodes()
    workers = len(os.sched_getaffinity(0))
    with process.Server(options, flags=["-L", "-t", str(workers), "-m", "128"]) as server:
        fill(server, workers, 4000)
        check_items_are_local(server, by_node, 4000)
        text = pathlib.Path(f"/proc/{server.process.pid}/smaps").read_text()
        huge_kib = sum(int(kib) for kib in re.findall(r"^AnonHugePages:\s+(\d+)", text, re.MULTILINE))
        print(f"# transparent huge pages: {huge_kib} KiB")
        assert huge_kib >= len(by_node) * 2048, f"{huge_kib} KiB of huge pages"
        assert all(share["huge_page_bytes"] == 0 for share in shares(server).values())


@contextlib.contextmanager
def huge_pages_set_aside(counts):
    """{node: pages}; a node that cannot have so many skips the test."""
    files = {node: NODES / f"node{node}" / HUGE / "nr_hugepages" for node in counts}
    try:
        for node, count in counts.items():
            files[node].write_text(str(count))
            if int(files[node].read_text()) != count:
                raise tap.Skip(f"node {node} has no room for {count} huge pages")
        yield
    finally:
        for file in files.values():
            file.write_text("0")


def free_huge_pages(node):
    return int((NODES / f"node{node}" / HUGE / "free_hugepages").read_text())


def explicit_by_node(server):
    return sum_of(places for _, places, words in regions(server) if "huge" in words)


EXPLICIT = ["-L", "--large-page-kind=explicit"]


@suite.test("explicit huge pages are taken at start, each node's part from the node", seconds=120)
def explicit(options):
    disposable_machine()
    by_node = several_nodes()
    workers = len(os.sched_getaffinity(0))
    with huge_pages_set_aside({node: 10 for node in by_node}):
        with process.Server(options, flags=[*EXPLICIT, "-t", str(workers), "-m", str(16 * len(by_node))]) as server:
            free = {node: free_huge_pages(node) for node in by_node}
            places = explicit_by_node(server)
            print(f"# free afterwards: {free}; taken, KiB by node: {places}")
            assert free == {node: 2 for node in by_node}, free
            assert places == {node: 16384 for node in by_node}, places
            items = 20_000_000 * len(by_node) // VALUE_BYTES // workers
            fill(server, workers, items)
            assert int(server.stats()["evictions"]) > 0
            assert all(share["huge_page_bytes"] == 16 << 20 for share in shares(server).values()), shares(server)
            with server.connect() as connection:
                assert connection.request("cache_memlimit 8") != "OK"
                assert connection.get(f"worker{workers - 1}-{items - 1}") == b"x" * VALUE_BYTES
            assert b"warning" not in server.stderr(), server.stderr()
        assert {node: free_huge_pages(node) for node in by_node} == {node: 10 for node in by_node}


@suite.test("a node with too few explicit huge pages goes without, and a warning says which", seconds=120)
def explicit_on_one(options):
    disposable_machine()
    by_node = several_nodes()
    first, *others = by_node
    with huge_pages_set_aside({node: 8 if node == first else 3 for node in by_node}):
        with process.Server(options, flags=[*EXPLICIT, "-m", str(16 * len(by_node))]) as server:
            assert explicit_by_node(server) == {first: 16384}, explicit_by_node(server)
            told = server.stderr().decode()
            print("# " + told.strip().replace("\n", "\n# "))
            for node in others:
                assert f"huge pages of 2 MiB are to be had on NUMA node {node}" in told, told
            fill(server, len(os.sched_getaffinity(0)), 1000)
            check_items_are_local(server, others, 1000)


@suite.test("without any explicit huge pages the server starts with ordinary memory and says so")
def explicit_missing(options):
    pool = pathlib.Path("/proc/sys/vm/nr_hugepages")
    if not pool.exists() or int(pool.read_text()) != 0:
        raise tap.Skip("the machine has huge pages set aside, which this must not take")
    with process.Server(options, flags=[*EXPLICIT, "-m", "16"]) as server:
        assert b"huge pages of 2 MiB are to be had" in server.stderr(), server.stderr()
        assert explicit_by_node(server) == {}
        fill(server, 1, 2000)
        with server.connect() as connection:
            assert connection.get("worker0-1999") == b"x" * VALUE_BYTES


if __name__ == "__main__":
    tap.main(suite, __doc__)
