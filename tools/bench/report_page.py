"""The page of `tools/dev bench report`: sections of HTML about a run, and the style sheet they share."""

from xml.etree import ElementTree

import charts
import store_rows
from charts import digits, duration, element, measured, multiple
from tables import NAMES

# Okabe and Ito's colours, told apart with every common kind of colour blindness; shapes and names say the same.
STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1a1a1a; --soft: #555; --rule: #d8d8d8; --panel: #fafafa;
  --bad: #b00020; --good: #1b6e3c; --s0: #0072b2; --s1: #d55e00; --s2: #6e6e6e; --s3: #a0527f; }
@media screen and (prefers-color-scheme: dark) { :root { --back: #15181b; --text: #e8e8e8; --soft: #b0b4b8;
  --rule: #3a3f44; --panel: #1c2024; --bad: #ff8a80; --good: #7fd6a0;
  --s0: #56b4e9; --s1: #f09a3e; --s2: #a8a8a8; --s3: #dd9cc4; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem 1.25rem 3rem; max-width: 76rem; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: 0.5rem 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 0.3rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 0.3rem; } p { margin: 0.3rem 0 0.8rem; max-width: 52rem; color: var(--soft); }
.grid { display: grid; gap: 0.8rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
figure { margin: 0; padding: 0.4rem; background: var(--panel); border: 1px solid var(--rule); border-radius: 4px;
  break-inside: avoid; }
svg { display: block; width: 100%; height: auto; font-size: 11px; }
svg text { fill: var(--text); } svg .head { font-size: 13px; font-weight: 600; }
svg .tick, svg .label, svg .remark { fill: var(--soft); } svg .value, svg .end { font-size: 12px; }
svg .name { font-weight: 600; }
.pairs { grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); }
line.grid { stroke: var(--rule); stroke-width: 1; } line.axis { stroke: var(--soft); stroke-width: 1; }
.s0 { fill: var(--s0); stroke: var(--s0); } .s1 { fill: var(--s1); stroke: var(--s1); }
.s2 { fill: var(--s2); stroke: var(--s2); } .s3 { fill: var(--s3); stroke: var(--s3); }
.bar { stroke: none; } .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.s2.curve { stroke-dasharray: 5 3; }
.hollow { fill: var(--panel); stroke-width: 2; }
svg .end { font-weight: 600; paint-order: stroke; stroke: var(--panel); stroke-width: 3px;
  stroke-opacity: 0.7; }
svg .t0 { fill: var(--s0); } svg .t1 { fill: var(--s1); } svg .t2 { fill: var(--s2); } svg .t3 { fill: var(--s3); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: 0.4rem 0 1rem; font-size: 0.87rem; }
caption { text-align: left; color: var(--soft); padding-bottom: 0.2rem; }
th, td { padding: 0.16rem 0.9rem 0.16rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--rule); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.met { color: var(--good); font-weight: 600; } .missed, .fault { color: var(--bad); font-weight: 600; }
@media print { body { max-width: none; padding: 0; font-size: 11px; } h2, h3, caption { break-after: avoid; }
  tr { break-inside: avoid; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .grid { grid-template-columns: repeat(2, 1fr); } .scroll { overflow: visible; } }
"""

PERCENTILES = (("p50", "median"), ("p99", "99 of 100"), ("p99.9", "999 of 1000"))
# Answered less than this part of what was offered: the server, or the load's core, did not keep up.
KEPT_UP = 0.97
BUSY_LOAD = 0.5
NOTHING = "\N{EN DASH}"


# --- what all sections use ------------------------------------------------------------------------------------------

def style_index(name):
    return NAMES.index(name) if name in NAMES else len(NAMES)


def server_names(mapping):
    """Those of the project first, in the order of every table; others behind them."""
    return sorted(mapping, key=lambda name: (style_index(name), name))


def shown(value, format_value):
    value = measured(value)
    return NOTHING if value is None else format_value(value)


def table(caption, heads, rows, text_columns=2):
    """The first columns are texts, the others numbers; a cell is a text or an element with it."""
    def cell(tag, content, column):
        return element(tag, content, **({} if column < text_columns else {"class_": "number"}))
    lines = [element("tr", *(cell("td", content, column) for column, content in enumerate(row))) for row in rows]
    head = element("tr", *(cell("th", content, column) for column, content in enumerate(heads)))
    parts = [element("caption", caption), element("thead", head)] if caption else []
    return element("div", element("table", *parts, element("tbody", *lines)), class_="scroll")


def grid(drawings, class_="grid"):
    return element("div", *(element("figure", drawing) for drawing in drawings), class_=class_)


def describe(entry):
    remarks = [f"{entry[key]:,} {what}" for key, what in (("keys", "keys"), ("value_bytes", "byte values"))
               if measured(entry.get(key)) is not None]
    return str(entry["workload"]) + (f"  ({', '.join(remarks)})" if remarks else "")


# --- conditions -----------------------------------------------------------------------------------------------------

def options_said(run):
    said = []
    for key, words in (("rounds", "{} rounds"), ("seconds", "{} s each"), ("connections", "{} connections"),
                       ("transport", "{}"), ("keys", "{} keys"), ("distribution", "drawn {}"),
                       ("open_loop", "open loop at {} of the peak")):
        if run.get(key):
            said.append(words.format(run[key]))
    return ", ".join(said)


def conditions(run):
    versions = run.get("versions") or {}
    load = [f"{run[key]:.1f} {when}" for key, when in (("load_at_start", "at the start"), ("load_at_end", "at the end"))
            if measured(run.get(key)) is not None]
    rows = [("date", run.get("time")), ("host", run.get("host")), ("kernel", run.get("kernel")),
            ("processor", run.get("processor")), ("cores", run.get("cores")), ("options", options_said(run)),
            ("load average", ", ".join(load)), *((name, versions[name]) for name in server_names(versions))]
    section = [element("h2", "Conditions"),
               table(None, (), [row for row in rows if row[1] not in (None, "")])]
    if (measured(run.get("load_at_start")) or 0) > BUSY_LOAD:
        section.append(element("p", "Other work was on the machine: rates and latencies say as much about it as about "
                                    "the servers. CPU per operation suffers less.", class_="fault"))
    for fault in run.get("faults") or ():
        section.append(element("p", f"Fault: {fault}", class_="fault"))
    return section


# --- bars -----------------------------------------------------------------------------------------------------------

def ratio_of(servers, name, peer):
    """Operations per CPU second against a peer's: as the run found it, or else from the medians."""
    if peer == name or peer not in servers:
        return None
    stored = measured(servers[name].get(f"ratio_to_{peer}"))
    own, other = measured(servers[name].get("server_cpu_us")), measured(servers[peer].get("server_cpu_us"))
    return stored if stored is not None else other / own if own and other else None


def ratios_said(servers, name):
    found = [(peer, ratio_of(servers, name, peer)) for peer in ("memcached", "null")]
    return ", ".join(f"{ratio:.2f}x {peer}" for peer, ratio in found if ratio is not None)


def throughput(workloads):
    def bars(entry):
        rows = [(style_index(name), name, measured(entry["servers"][name].get("operations_per_second")), "")
                for name in server_names(entry["servers"])]
        return charts.bars(describe(entry), "operations per second", rows, multiple)
    return [element("h2", "Throughput"),
            element("p", "Closed loop: a connection sends again when its answers have come. Medians of the rounds; "
                         "more is better. Where the load needs more CPU than the server, this shows the load's limit."),
            grid(map(bars, workloads))]


def cpu(workloads):
    def bars(entry):
        servers = entry["servers"]
        rows = [(style_index(name), name, measured(servers[name].get("server_cpu_us")), ratios_said(servers, name))
                for name in server_names(servers)]
        return charts.bars(describe(entry), "server CPU per operation in µs", rows, digits)
    return [element("h2", "CPU per operation"),
            element("p", "Time of the server's threads on a core over the operations completed; less is better. The "
                         "ratios are of operations per CPU second: 2.00x does twice the work of the other with the "
                         "same CPU. The null server caches nothing: it is what the kernel asks for the same bytes."),
            grid(map(bars, workloads))]


# --- curves ---------------------------------------------------------------------------------------------------------

def curve_points(figures, key, format_value):
    """(offered, value, whether it did not keep up, tip) of the steps that were measured."""
    points = []
    for step in figures.get("curve") or ():
        offered, value = measured(step.get("offered_per_second")), measured(step.get(key))
        if offered is None or value is None:
            continue
        answered = measured(step.get("operations_per_second"))
        behind = answered is not None and answered < KEPT_UP * offered
        tip = f"{format_value(value)} at {multiple(offered)}/s offered"
        points.append((offered, value, behind, tip + (f", {multiple(answered)}/s answered" if behind else "")))
    return points


def panels(entry):
    """One chart a percentile on one scale, and one of the CPU per operation."""
    def series(key, format_value):
        return [(style_index(name), name, curve_points(entry["servers"][name], key, format_value))
                for name in server_names(entry["servers"])]
    latencies = {name: series(f"{name}_us", duration) for name, _ in PERCENTILES}
    values = [point[1] for lines in latencies.values() for _, _, points in lines for point in points if point[1] > 0]
    y_range = (min(values), max(values)) if values else None
    for name, meaning in PERCENTILES:
        yield charts.curves(f"{entry['workload']}: {name} ({meaning})",
                            ("offered operations per second", "latency, logarithmic"), latencies[name], y_range,
                            charts.duration_tick)
    lines = series("server_cpu_us", lambda value: f"{digits(value)} µs")
    costs = [point[1] for _, _, points in lines for point in points]
    yield charts.curves(f"{entry['workload']}: CPU per operation",
                        ("offered operations per second", "server CPU in µs"), lines,
                        (0, max(costs)) if costs else None, charts.tick, logarithmic=False)


def latency_against_load(workloads):
    entries = [entry for entry in workloads
               if any(figures.get("curve") for figures in entry["servers"].values())]
    if not entries:
        return [element("h2", "Latency against load"), element("p", "Not in this run: it was made without --curve.")]
    section = [element("h2", "Latency against load"),
               element("p", "Open loop: a request leaves when its time has come, whatever has been answered, and its "
                            "latency counts from that time. A connection's requests are sent one by one; only what "
                            "fell due together leaves together. The rates rise to a part of each server's own peak of "
                            "the closed loop. A hollow mark is a rate that was not kept up with: less than "
                            f"{KEPT_UP:.0%} was answered in time.")]
    for entry in entries:
        section += [element("h3", describe(entry)), grid(panels(entry), "grid pairs")]
    return section


# --- tables ---------------------------------------------------------------------------------------------------------

def figures_cells(figures):
    return [shown(figures.get("operations_per_second"), "{:,.0f}".format), shown(figures.get("server_cpu_us"), digits),
            *(shown(figures.get(f"{name}_us"), duration) for name, _ in PERCENTILES)]


FIGURES_HEADS = ["CPU µs/op", *(name for name, _ in PERCENTILES)]


def figures_tables(workloads):
    closed, offered = [], []
    for entry in workloads:
        servers = entry["servers"]
        for name in server_names(servers):
            ratios = [shown(ratio_of(servers, name, peer), "{:.2f}x".format) for peer in ("memcached", "null")]
            closed.append([entry["workload"], name, *figures_cells(servers[name]), *ratios])
            steps = list(servers[name].get("curve") or ())
            if isinstance(servers[name].get("open_loop"), dict):
                steps.append({"offered_per_second": entry.get("open_loop_rate"), **servers[name]["open_loop"]})
            offered += [[entry["workload"], name, shown(step.get("offered_per_second"), "{:,.0f}".format),
                         *figures_cells(step)]
                        for step in sorted(steps, key=lambda step: measured(step.get("offered_per_second")) or 0)]
    section = [element("h2", "Figures"),
               table("Closed loop, medians of the rounds; ratios of operations per CPU second",
                     ["workload", "server", "op/s", *FIGURES_HEADS, "to memcached", "to null"], closed)]
    if offered:
        section.append(table("Open loop, medians of the rounds",
                             ["workload", "server", "offered/s", "answered/s", *FIGURES_HEADS], offered))
    return section


def memory_tables(run):
    section = []
    items, idle = run.get("memory") or (), run.get("idle")
    if items:
        names = server_names({name for entry in items for name in entry["servers"]})
        section.append(table("Growth of resident memory per item, in bytes", ["key + value", "items", *names],
                             [[f"{entry['key_bytes']} + {entry['value_bytes']}", f"{entry['items']:,}",
                               *(shown(entry["servers"].get(name), "{:,.1f}".format) for name in names)]
                              for entry in items]))
    if idle:
        sizes = idle["bytes_per_connection"]
        names = server_names(sizes)
        section.append(table("Growth of resident memory per idle connection that has done a get, in bytes",
                             ["connections", *names],
                             [[f"{idle['connections']:,}", *(shown(sizes[name], "{:,.0f}".format) for name in names)]],
                             text_columns=1))
    return [element("h2", "Memory"), *section] if section else []


# --- goals ----------------------------------------------------------------------------------------------------------

def goals(rows):
    if not rows:
        return []
    verdicts = [store_rows.verdict(row) for row in rows]
    lines = [[element("span", cell, class_=cell) if cell and head == "verdict" else cell
              for head, cell in zip(store_rows.HEADS, cells)] for cells in store_rows.cells(rows)]
    return [element("h2", "Goals"),
            table(f"{verdicts.count('met')} met, {verdicts.count('missed')} missed, {verdicts.count('')} not judged",
                  store_rows.HEADS, lines, text_columns=len(store_rows.HEADS))]


# --- the page -------------------------------------------------------------------------------------------------------

def page(run, rows, sources):
    """The whole document as text. `run` is what bench.py wrote, or None; `rows` are figures with goals; `sources` the
    names of the files they are from."""
    title = "ringcached bench" + (f", {str(run['time'])[:10]}" if run and run.get("time") else "")
    body = [element("h1", title), element("p", f"From {', '.join(sources)}.")]
    if run:
        workloads = run["workloads"]
        body += conditions(run)
        if workloads:
            body += [*throughput(workloads), *cpu(workloads), *latency_against_load(workloads)]
        body += goals(rows)
        if workloads:
            body += figures_tables(workloads)
        body += memory_tables(run)
    else:
        body += goals(rows)
    head = element("head", element("meta", charset="utf-8"),
                   element("meta", name="viewport", content="width=device-width, initial-scale=1"),
                   element("title", title), element("style", STYLE))
    document = element("html", head, element("body", element("main", *body)), lang="en")
    return "<!DOCTYPE html>\n" + ElementTree.tostring(document, encoding="unicode", method="html") + "\n"
