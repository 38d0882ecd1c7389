"""Rows of `tools/dev bench store`: a figure with its goal, whoever measured it.

A program that measures prints {"rows": [{"group": "...", "what": "...", "value": 1.0, "unit": "x", "goal": 0.9,
"at_most": false, "detail": "..."}]}: goal, at_most and detail may be left out. A figure without a goal is told, not
judged."""

import json

from processes import BenchError, run_client

KEYS = {"group": str, "what": str, "value": (int, float), "unit": str}
OPTIONAL_KEYS = {"goal": (int, float), "at_most": bool, "detail": str}


def row(group, what, value, unit, goal=None, at_most=False, detail=""):
    result = {"group": group, "what": what, "value": value, "unit": unit, "at_most": at_most, "detail": detail}
    if goal is not None:
        result["goal"] = goal
    return result


def check(entry):
    """The row as it came, if it is one."""
    for key, kind in KEYS.items():
        if not isinstance(entry.get(key), kind):
            raise BenchError(f"a row without {key}: {entry}")
    for key, value in entry.items():
        if key not in KEYS and not isinstance(value, OPTIONAL_KEYS.get(key, ())):
            raise BenchError(f"a row with a strange {key}: {entry}")
    return entry


def judged(entry):
    """A row of a program that judges for itself, {"name", "value", "unit", "goal", "met"}: the goal is a number or a
    text, met is true, false, or null where nothing is judged."""
    for key, kind in (("name", str), ("value", (int, float)), ("unit", str)):
        if not isinstance(entry.get(key), kind):
            raise BenchError(f"a row without {key}: {entry}")
    goal, met = entry.get("goal"), entry.get("met")
    if not isinstance(goal, (int, float, str, type(None))) or not isinstance(met, (bool, type(None))):
        raise BenchError(f"a row with a strange goal or met: {entry}")
    goal_said = number(goal) if isinstance(goal, (int, float)) else goal or ""
    return {**row("", entry["name"], entry["value"], entry["unit"]), "goal": goal_said, "met": met}


def rows_of(program, *arguments, timeout_s=300):
    report = json.loads(run_client([program, *map(str, arguments)], timeout_s, core=None))
    if not report.get("rows"):
        raise BenchError(f"{program} printed no rows")
    if report.get("failures"):
        raise BenchError(f"{program}: {report['failures']} operations failed")
    return [check(entry) for entry in report["rows"]]


def verdict(entry):
    if "met" in entry:
        return {True: "met", False: "missed", None: ""}[entry["met"]]
    if "goal" not in entry:
        return ""
    met = entry["value"] <= entry["goal"] if entry.get("at_most") else entry["value"] >= entry["goal"]
    return "met" if met else "missed"


def goal_text(entry):
    if "goal" not in entry:
        return ""
    if "met" in entry:
        return f"{entry['goal']} {entry['unit']}" if entry["goal"] else ""
    return f"{'at most' if entry.get('at_most') else 'at least'} {number(entry['goal'])} {entry['unit']}"


def number(value):
    return f"{value:,.3f}" if abs(value) < 10 else f"{value:,.1f}"


HEADS = ["measured", "of", "figure", "goal", "verdict", "detail"]


def cells(entries):
    """A group is named in its first row only."""
    group = None
    for entry in entries:
        yield ["" if entry["group"] == group else entry["group"], entry["what"],
               f"{number(entry['value'])} {entry['unit']}", goal_text(entry), verdict(entry), entry.get("detail", "")]
        group = entry["group"]
