"""One page of pictures from the JSON of a run (`tools/dev bench --json RUN.json`, with --curve for latency against
load): throughput, CPU per operation, latency against load, memory. Nothing in it is loaded from elsewhere. Further
files may hold figures with goals, as `tools/dev bench store --json` writes them and space.py prints them."""

import argparse
import json
import os

import charts
import report_page
import store_rows
from processes import BenchError


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="tools/dev bench report", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", metavar="RUN.json", nargs="+", help="a run, or figures with goals, or one of each")
    parser.add_argument("-o", "--output", metavar="FILE", help="the page (the first file's name with .html)")
    return parser.parse_args(arguments)


# --- reading --------------------------------------------------------------------------------------------------------

def read(path):
    """What the file holds: a value of JSON, or, of one value a line, a list."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: {getattr(error, 'strerror', None) or 'is no text'}") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError):
            raise BenchError(f"{path}: is not JSON: {error}") from None


def member(where, container, key, kind, named):
    """container[key], which must be there and be of that kind."""
    if not isinstance(container, dict):
        raise BenchError(f"{where} must be an object")
    if key not in container:
        raise BenchError(f"{where}: \"{key}\" is missing")
    value = container[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BenchError(f"{where}: \"{key}\" must be {named}")
    return value


NUMBER = ((int, float), "a number")
TEXT = (str, "a text")
OBJECT = (dict, "an object")
LIST = (list, "a list")


def check_workload(where, entry):
    name = member(where, entry, "workload", *TEXT)
    where = f"{where} ({name})"
    servers = member(where, entry, "servers", *OBJECT)
    if not servers:
        raise BenchError(f"{where}: no server was measured")
    for server in servers:
        figures = member(where, servers, server, *OBJECT)
        for key in ("operations_per_second", "server_cpu_us"):
            if key not in figures:
                raise BenchError(f"{where}, {server}: \"{key}\" is missing")
        steps = member(f"{where}, {server}", figures, "curve", *LIST) if "curve" in figures else ()
        if not all(isinstance(step, dict) for step in steps):
            raise BenchError(f"{where}, {server}: the steps of \"curve\" must be objects")


def check_run(path, run):
    for number, entry in enumerate(member(path, run, "workloads", *LIST), 1):
        check_workload(f"{path}: workload {number}", entry)
    if "memory" in run:
        for number, entry in enumerate(member(path, run, "memory", *LIST), 1):
            where = f"{path}: memory {number}"
            for key in ("key_bytes", "value_bytes", "items"):
                member(where, entry, key, *NUMBER)
            member(where, entry, "servers", *OBJECT)
    if "idle" in run:
        idle = member(path, run, "idle", *OBJECT)
        member(f"{path}: idle", idle, "connections", *NUMBER)
        member(f"{path}: idle", idle, "bytes_per_connection", *OBJECT)
    for key, kind in (("versions", OBJECT), ("faults", LIST)):
        if key in run:
            member(path, run, key, *kind)
    return run


def check_row(where, row):
    """As store_rows has it, whoever wrote it."""
    if not isinstance(row, dict):
        raise BenchError(f"{where} must be an object")
    try:
        row = store_rows.judged(row) if "name" in row else store_rows.check(row)
    except BenchError as error:
        raise BenchError(f"{where}: {error}") from None
    if not abs(row["value"]) <= charts.VALUE_MAX:
        raise BenchError(f"{where}: \"value\" cannot be right")
    return row


def load(paths):
    """The run of the files, or None, and all rows with goals."""
    run, rows = None, []
    for path in paths:
        content = read(path)
        if isinstance(content, dict) and "workloads" in content:
            if run is not None:
                raise BenchError(f"{path}: is a second run; one page shows one")
            run = check_run(path, content)
        content = {"rows": content} if isinstance(content, list) else content
        if not isinstance(content, dict) or not {"workloads", "rows"} & set(content):
            raise BenchError(f"{path}: is no run of tools/dev bench --json: \"workloads\" is missing (and \"rows\", "
                             "which a file of figures with goals has)")
        if "rows" in content:
            rows += [check_row(f"{path}: row {number}", row)
                     for number, row in enumerate(member(path, content, "rows", *LIST), 1)]
    if run is None and not rows:
        raise BenchError(f"{', '.join(paths)}: nothing was measured")
    return run, rows


def main(arguments):
    options = parse_arguments(arguments)
    run, rows = load(options.files)
    output = options.output or os.path.splitext(options.files[0])[0] + ".html"
    text = report_page.page(run, rows, [os.path.basename(path) for path in options.files])
    try:
        with open(output, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise BenchError(f"{output}: {error.strerror}") from None
    print(output)
    return 0
