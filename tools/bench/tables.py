"""The report of a run as tables for people."""

NAMES = ("ringcached", "memcached", "null")


def print_table(heads, rows):
    """The first two columns flush left, the others flush right."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    for row in [heads, *rows]:
        cells = [cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())


def ordered(servers):
    return [name for name in NAMES if name in servers]


def times(figures, peer):
    value = figures.get(f"ratio_to_{peer}")
    return "-" if value is None else f"{value:.2f}x"


def print_workloads(report):
    rows = []
    for entry in report["workloads"]:
        for name in ordered(entry["servers"]):
            figures = entry["servers"][name]
            rows.append([entry["workload"], name, f"{figures['operations_per_second']:,.0f}",
                         f"{figures['server_cpu_us']:.3f}", f"{figures['p50_us']:.0f}", f"{figures['p99_us']:.0f}",
                         f"{figures['p99.9_us']:.0f}", times(figures, "memcached"), times(figures, "null"), f"{figures['cores_apart_ns']:.0f}"])
    print("\nmedians of the rounds; ratios are of operations per CPU second, more is better; cores apart: a cache "
          "line's round trip between the server's and the load's")
    print_table(["workload", "server", "op/s", "CPU us/op", "p50 us", "p99 us", "p99.9 us",
                 "to memcached", "to null", "cores apart ns"], rows)


OPEN_LOOP_HEADS = ["workload", "server", "offered/s", "answered/s", "CPU us/op", "p50 us", "p99 us", "p99.9 us"]


def open_loop_row(workload, name, offered, figures):
    return [workload, name, f"{offered:,}", f"{figures['operations_per_second']:,.0f}",
            f"{figures['server_cpu_us']:.3f}", f"{figures['p50_us']:.0f}", f"{figures['p99_us']:.0f}",
            f"{figures['p99.9_us']:.0f}"]


def print_open_loop(report):
    rows = []
    curves = []
    for entry in report["workloads"]:
        for name in ordered(entry["servers"]):
            figures = entry["servers"][name]
            if "open_loop" in figures:
                rows.append(open_loop_row(entry["workload"], name, entry["open_loop_rate"], figures["open_loop"]))
            curves += [open_loop_row(entry["workload"], name, step["offered_per_second"], step)
                       for step in figures.get("curve", ())]
    for title, lines in (("open loop", rows), ("latency against load", curves)):
        if lines:
            print(f"\n{title}: requests leave at the offered rate whatever comes back")
            print_table(OPEN_LOOP_HEADS, lines)


def print_memory(report):
    if "memory" in report:
        print("\ngrowth of resident memory per item")
        print_table(["key+value", "items", *ordered(report["memory"][0]["servers"])],
                    [[f"{entry['key_bytes']}+{entry['value_bytes']}", f"{entry['items']:,}",
                      *(f"{entry['servers'][name]:.1f} B" for name in ordered(entry["servers"]))]
                     for entry in report["memory"]])
    if "accept" in report:
        servers = report["accept"]["servers"]
        print("\nconnections that come, ask for the version and go, one after the other")
        print_table(["server", "server us", "per second"],
                    [[name, f"{servers[name]['server_cpu_us']:.2f}", f"{servers[name]['connections_per_second']:,.0f}"]
                     for name in ordered(servers)])
    if "idle" in report:
        idle = report["idle"]
        names = ordered(idle["bytes_per_connection"])
        print("\ngrowth of resident memory per idle connection that has done a get")
        sizes = [f"{idle['bytes_per_connection'][name]:.0f} B" for name in names]
        print_table(["connections", "", *names], [[f"{idle['connections']:,}", "", *sizes]])


def print_tables(report):
    print(f"{report['processor']}, {report['cores']} cores, Linux {report['kernel']}; "
          f"{report['connections']} connections, {report['transport']}, keys {report['distribution']}; "
          f"{report['rounds']} rounds of {report['seconds']} s")
    for name in ordered(report["versions"]):
        print(f"  {name}: {report['versions'][name]}")
    if report["workloads"]:
        print_workloads(report)
        print_open_loop(report)
    print_memory(report)
    for fault in report["faults"]:
        print(f"FAULT: {fault}")
