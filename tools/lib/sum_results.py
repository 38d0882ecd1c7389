"""Adds up the results of meson test runs: `sum_results.py BUILD_DIR...` prints `N passed, N failed, N skipped`.

Every case of every program counts (meson-logs/testlog.junit.xml). A program that failed as a whole without a failed
case (crash after its last case, timeout, wrong plan) counts as one failure more (meson-logs/testlog.json).
The exit status is 0 only when something ran and nothing failed.
"""

import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

BAD_RESULTS = {"FAIL", "ERROR", "TIMEOUT", "INTERRUPT", "UNEXPECTEDPASS"}


def count_cases(junit_path):
    """Counts of one build, and the names of the programs with a failed case."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failed_programs = set()
    for suite in ElementTree.parse(junit_path).getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                counts["failed"] += 1
                # A program of many cases is a suite "project.label / program"; one of a single result is a case.
                failed_programs.add(suite.get("name").split(" / ")[-1])
                failed_programs.add(case.get("name").split(" / ")[-1])
                print(f"FAILED {suite.get('name')}: {case.get('name')}", file=sys.stderr)
            elif case.find("skipped") is not None:
                counts["skipped"] += 1
                print(f"skipped {suite.get('name')}: {case.get('name')}", file=sys.stderr)
            else:
                counts["passed"] += 1
    return counts, failed_programs


def print_diagnosis(tap_output, lines_max=25):
    """The comment lines around each failed case: meson's console leaves them out."""
    block, failed = [], False
    for line in [*tap_output.splitlines(), "ok"]:
        if line.startswith("#"):
            block.append(line)
        elif line.startswith(("ok", "not ok")):
            # What a server said is printed before its case's result, what the test found after it.
            if failed:
                print("\n".join(block[:lines_max]), file=sys.stderr)
            before = [comment for comment in block if comment.startswith(("# server:", "# stderr:"))]
            failed = line.startswith("not ok")
            block = [line, *before[:15]] if failed else []


def count_build(build_dir):
    logs = pathlib.Path(build_dir) / "meson-logs"
    counts, failed_programs = count_cases(logs / "testlog.junit.xml")
    for line in (logs / "testlog.json").read_text().splitlines():
        program = json.loads(line)
        # meson writes the name as "label / program".
        name = program["name"].split(" / ")[-1]
        if program["result"] in BAD_RESULTS:
            print_diagnosis(program.get("stdout") or "")
        if program["result"] in BAD_RESULTS and name not in failed_programs:
            counts["failed"] += 1
            print(f"FAILED {name} as a whole: {program['result']}", file=sys.stderr)
    return counts


def main(build_dirs):
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for build_dir in build_dirs:
        try:
            counts = count_build(build_dir)
        except (OSError, ElementTree.ParseError, ValueError) as error:
            print(f"FAILED {build_dir}: no readable test results ({error})", file=sys.stderr)
            counts = {"passed": 0, "failed": 1, "skipped": 0}
        for kind, count in counts.items():
            total[kind] += count
    sys.stderr.flush()
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped", flush=True)
    return 0 if total["failed"] == 0 and total["passed"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
