"""The page of `bench report`, from runs made up here: nothing is measured."""

import contextlib
import copy
import html.parser
import io
import json
import os
import re
import tempfile
import unittest
from xml.etree import ElementTree

import bench
import charts
import report
import report_page
from processes import BenchError

SERVERS = ("ringcached", "memcached", "null")
SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "link", "br"}
# Elements that bring something from elsewhere, or run something.
FOREIGN = ("<script", "<link", "<img", "<iframe", "<object", "@import", "url(", "href=")


def figures(scale):
    return {"operations_per_second": 100000.0 / scale, "server_cpu_us": 4.0 * scale, "client_cpu_us": 3.0,
            "p50_us": 60.0 * scale, "p99_us": 200.0 * scale, "p99.9_us": 1500.0 * scale, "max_us": 9000.0}


def made_up_run():
    """As bench.py writes one, with everything in it."""
    servers = {}
    for scale, name in enumerate(SERVERS, 1):
        curve = [{"offered_per_second": rate, **figures(scale), "operations_per_second": rate * 0.999}
                 for rate in (1000, 20000, 30000)]
        servers[name] = {**figures(scale), "rounds": [figures(scale)], "open_loop": figures(scale), "curve": curve}
    servers["ringcached"]["ratio_to_memcached"] = 2.125
    entry = {"workload": "get16", "value_bytes": 32, "keys": 100000, "servers": servers, "open_loop_rate": 25000}
    return {"time": "2026-01-02T03:04:05+00:00", "host": "a host", "kernel": "6.18.1", "processor": "a processor",
            "cores": 2,
            "versions": {"ringcached": "ringcached 9.9", "memcached": "memcached 8.8", "null": "null server"},
            "rounds": 3, "seconds": 2, "connections": 50, "transport": "tcp loopback", "distribution": "uniform",
            "keys": 100000, "load_at_start": 0.1, "load_at_end": 1.2,
            "workloads": [entry, {**copy.deepcopy(entry), "workload": "set16"}],
            "memory": [{"key_bytes": 16, "value_bytes": 32, "items": 1000000,
                        "servers": {"ringcached": 87.4, "memcached": 128.7}}],
            "idle": {"connections": 9000, "bytes_per_connection": {"ringcached": 410.0, "memcached": 588.0}},
            "faults": []}


def both_rows():
    return [{"group": "memory", "what": "16+32", "value": 87.4, "unit": "B", "goal": 90, "at_most": True,
             "detail": "of it"},
            {"group": "speed", "what": "get", "value": 0.8, "unit": "x", "goal": 0.9, "at_most": False},
            {"name": "pages", "value": 3, "unit": "MiB", "goal": "< 6", "met": True},
            {"name": "told only", "value": 1, "unit": "s", "goal": "", "met": None}]


class Tags(html.parser.HTMLParser):
    """Raises where an element is not closed by its own end."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> closes nothing: {self.open}, {self.getpos()}")


class PageTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="ringcached-report-")
        self.addCleanup(self.directory.cleanup)

    def file(self, name, content):
        path = os.path.join(self.directory.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def page(self, *contents):
        """Through the files and the command line; what any page must be is checked here."""
        paths = [self.file(f"{number}.json", content) for number, content in enumerate(contents)]
        output = os.path.join(self.directory.name, "page.html")
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(bench.main(["report", *paths, "-o", output]), 0)
        self.assertEqual(said.getvalue(), output + "\n")
        with open(output, encoding="utf-8") as file:
            text = file.read()
        tags = Tags()
        tags.feed(text)
        tags.close()
        self.assertEqual(tags.open, [])
        for foreign in FOREIGN:
            self.assertNotIn(foreign, text)
        for word in ("nan", "inf", "None"):
            self.assertIsNone(re.search(rf"[\"> ,]{word}[\"< ,]", text), word)
        return text

    @staticmethod
    def drawings(text):
        """The parsed drawings by their titles."""
        roots = [ElementTree.fromstring(found) for found in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
        return {root.findtext("{*}title"): root for root in roots}

    def refusal(self, *contents):
        paths = [self.file(f"{number}.json", content) for number, content in enumerate(contents)]
        with self.assertRaises(BenchError) as caught:
            report.load(paths)
        return str(caught.exception).replace(self.directory.name + os.sep, "")


class Page(PageTest):
    def test_everything_is_there(self):
        text = self.page(made_up_run(), {"rows": both_rows()})
        for part in ("a host", "6.18.1", "a processor", "ringcached 9.9", "memcached 8.8", "50 connections",
                     "tcp loopback", "2026-01-02T03:04:05", "0.1 at the start", "2.12x",
                     "87.4", "588", "at most 90.0 B", "&lt; 6",
                     "2 met, 1 missed, 1 not judged", "0.json, 1.json"):
            self.assertIn(part, text)
        self.assertNotIn("Other work", text)
        # Bars of throughput and of CPU time have one title per workload: count the drawings themselves.
        self.assertEqual(text.count("<svg"), 2 * 2 + 2 * 4)

    def test_every_series_is_drawn(self):
        drawings = self.drawings(self.page(made_up_run()))
        for workload in ("get16", "set16"):
            for panel in ("p50 (median)", "p99 (99 of 100)", "p99.9 (999 of 1000)", "CPU per operation"):
                drawing = drawings[f"{workload}: {panel}"]
                self.assertEqual([line.get("class") for line in drawing.iter(SVG + "polyline")],
                                 ["s0 curve", "s1 curve", "s2 curve"])
                for name, shape in zip(SERVERS, ("circle", "rect", "polygon")):
                    tips = [mark.findtext("{*}title") for mark in drawing.iter(SVG + shape)]
                    self.assertEqual(len(tips), 3, name)
                    self.assertTrue(all(tip.startswith(f"{name}: ") for tip in tips), tips)
                self.assertLessEqual(set(SERVERS), {node.text for node in drawing.iter(SVG + "text")})
                self.assertIn("offered operations per second", {node.text for node in drawing.iter(SVG + "text")})

    def test_bars_are_in_proportion(self):
        rows = [(0, "a", 400.0, ""), (1, "b", 100.0, "4.00x a"), (2, "c", None, "")]
        drawing = charts.bars("title", "unit", rows, charts.digits)
        widths = [float(bar.get("width")) for bar in drawing.iter("rect")]
        self.assertAlmostEqual(widths[0] / widths[1], 4, places=2)
        said = " ".join("".join(node.itertext()) for node in drawing.iter("text"))
        for part in ("400", "100", "4.00x a", "not measured", "unit"):
            self.assertIn(part, said)

    def test_ratios_without_those_of_the_run(self):
        run = made_up_run()
        servers = run["workloads"][0]["servers"]
        self.assertEqual(report_page.ratios_said(servers, "ringcached"), "2.12x memcached, 3.00x null")
        self.assertEqual(report_page.ratios_said(servers, "null"), "0.67x memcached")
        servers["memcached"]["server_cpu_us"] = 0
        self.assertEqual(report_page.ratios_said(servers, "null"), "")

    def test_what_was_not_kept_up_with_is_hollow(self):
        run = made_up_run()
        run["workloads"][0]["servers"]["memcached"]["curve"][2]["operations_per_second"] = 20000
        drawing = self.drawings(self.page(run))["get16: p99 (99 of 100)"]
        hollow = [mark for mark in drawing.iter() if "hollow" in (mark.get("class") or "")]
        self.assertEqual([mark.findtext("{*}title") for mark in hollow],
                         ["memcached: 400 µs at 30.0k/s offered, 20.0k/s answered"])

    def test_a_busy_machine_and_faults_are_told(self):
        text = self.page({**made_up_run(), "load_at_start": 3.5, "faults": ["7 misses"]})
        self.assertIn("Other work was on the machine", text)
        self.assertIn("Fault: 7 misses", text)

    def test_the_name_of_the_page(self):
        path = self.file("some.run.json", made_up_run())
        with contextlib.redirect_stdout(io.StringIO()):
            report.main([path])
        self.assertTrue(os.path.exists(path.replace(".json", ".html")))


class Extremes(PageTest):
    def test_values(self):
        """Zero, none, negative, not finite, tiny, huge, and no number at all, everywhere and in one place."""
        for value in (0, None, -1, float("nan"), float("inf"), 5e-324, 1e-9, 1e14, 1e308, 10 ** 400, "fast", True, []):
            for everywhere in (True, False):
                run = made_up_run()
                for figures_ in run["workloads"][0]["servers"].values():
                    for step in [figures_, figures_["open_loop"], *figures_["curve"]]:
                        step.update({key: value for key in list(step) if key not in ("rounds", "open_loop", "curve")})
                    if not everywhere:
                        break
                run["memory"][0]["servers"]["ringcached"] = value
                run["idle"]["bytes_per_connection"]["ringcached"] = value
                with self.subTest(value=str(value)[:12], everywhere=everywhere):
                    self.drawings(self.page(run))

    def test_curves_of_few_points(self):
        run = made_up_run()
        servers = run["workloads"][0]["servers"]
        servers["ringcached"]["curve"] = servers["ringcached"]["curve"][:1]
        servers["memcached"]["curve"] = []
        del servers["null"]["curve"]
        drawing = self.drawings(self.page(run))["get16: p50 (median)"]
        self.assertEqual(len(list(drawing.iter(SVG + "circle"))), 1)
        self.assertEqual(len(list(drawing.iter(SVG + "polyline"))), 1)

    def test_one_workload_without_curves(self):
        run = made_up_run()
        for figures_ in run["workloads"][0]["servers"].values():
            del figures_["curve"]
        drawings = self.drawings(self.page(run))
        self.assertNotIn("get16: p50 (median)", drawings)
        self.assertIn("set16: p50 (median)", drawings)

    def test_no_curves_at_all(self):
        run = made_up_run()
        for entry in run["workloads"]:
            for figures_ in entry["servers"].values():
                del figures_["curve"], figures_["open_loop"]
        self.assertIn("without --curve", self.page(run))

    def test_missing_and_unknown_servers(self):
        for kept in (["ringcached"], ["memcached", "null"], ["null"], ["other", "ringcached"], ["other", "second"]):
            run = made_up_run()
            for entry in run["workloads"]:
                entry["servers"] = {name: entry["servers"].get(name, figures(1)) for name in kept}
            text = self.page(run)
            for name in kept:
                self.assertIn(f">{name}<", text)

    def test_only_memory_or_only_goals(self):
        self.assertIn("87.4", self.page({**made_up_run(), "workloads": []}))
        text = self.page(both_rows())
        self.assertIn("2 met, 1 missed", text)
        self.assertNotIn("<svg", text)
        self.assertIn("2 met", self.page("\n".join(map(json.dumps, both_rows())) + "\n"))

    def test_the_least_that_a_run_can_be(self):
        self.page({"workloads": [{"workload": "get1", "servers": {
            "ringcached": {"operations_per_second": 1, "server_cpu_us": 1}}}]})

    def test_escaping(self):
        evil = "<script>alert(\"1\")</script> & ' ]]> \u0000 \ud800 \x1b"
        run = made_up_run()
        run.update(host=evil, faults=[evil], time=evil)
        run["versions"]["memcached"] = evil
        for entry in run["workloads"]:
            entry["workload"] = evil
            entry["servers"][evil] = entry["servers"]["null"]
        rows = [{**row, "detail": evil, "unit": evil} for row in both_rows()]
        text = self.page(run, {"rows": rows})
        self.assertNotIn("<script", text)
        self.assertIn("&lt;script&gt;", text)
        self.assertTrue(any("<script>" in title for title in self.drawings(text)))


class Refusals(PageTest):
    def test_what_is_no_run(self):
        whole = made_up_run()
        no_servers, no_name, no_cpu, no_list = (made_up_run() for _ in range(4))
        del no_servers["workloads"][1]["servers"]
        del no_name["workloads"][0]["workload"]
        del no_cpu["workloads"][0]["servers"]["null"]["server_cpu_us"]
        no_list["workloads"][0]["servers"]["null"]["curve"] = {}
        for contents, complaint in (
                (("{\"workloads\": [",), "0.json: is not JSON: Expecting"),
                (("",), "0.json: nothing was measured"),
                (([],), "0.json: nothing was measured"),
                (({"traces": []},), "0.json: is no run of tools/dev bench --json: \"workloads\" is missing"),
                (("3",), "0.json: is no run"),
                (({"workloads": {}},), "0.json: \"workloads\" must be a list"),
                (({"workloads": [3]},), "0.json: workload 1 must be an object"),
                (({"workloads": [{"workload": "x", "servers": {}}]},),
                 "0.json: workload 1 (x): no server was measured"),
                ((no_servers,), "0.json: workload 2 (set16): \"servers\" is missing"),
                ((no_name,), "0.json: workload 1: \"workload\" is missing"),
                ((no_cpu,), "0.json: workload 1 (get16), null: \"server_cpu_us\" is missing"),
                ((no_list,), "0.json: workload 1 (get16), null: \"curve\" must be a list"),
                (({**whole, "memory": [{"key_bytes": 1}]},), "0.json: memory 1: \"value_bytes\" is missing"),
                (({**whole, "idle": {}},), "0.json: idle: \"connections\" is missing"),
                (({**whole, "versions": []},), "0.json: \"versions\" must be an object"),
                ((whole, whole), "1.json: is a second run"),
                ((whole, [{"value": 1, "unit": "x"}]), "1.json: row 1: a row without group"),
                ((whole, [{"name": "n", "value": "1", "unit": "x"}]), "1.json: row 1: a row without value"),
                ((whole, [{"name": "n", "value": 1, "unit": "x", "met": "yes"}]), "1.json: row 1: a row with a strange"),
                ((whole, [{"name": "n", "value": 10 ** 400, "unit": "x"}]), "1.json: row 1: \"value\" cannot be right"),
                ((whole, [{"name": "n", "value": float("nan"), "unit": "x"}]), "1.json: row 1: \"value\" cannot be"),
                (("[" * 100000,), "0.json: is not JSON"),
                (("9" * 5000,), "0.json: is not JSON"),
                ((whole, [3]), "1.json: row 1 must be an object")):
            with self.subTest(complaint=complaint):
                self.assertTrue(self.refusal(*contents).startswith(complaint), self.refusal(*contents))

    def test_files(self):
        missing = os.path.join(self.directory.name, "missing")
        binary = os.path.join(self.directory.name, "binary")
        with open(binary, "wb") as file:
            file.write(b"\xff\xfe\x00")
        for path, complaint in ((missing, "No such file"), (self.directory.name, "Is a directory"),
                                (binary, "no text")):
            with contextlib.redirect_stderr(io.StringIO()) as said:
                self.assertEqual(bench.main(["report", path]), 1)
            self.assertIn(complaint, said.getvalue())
            self.assertIn(path, said.getvalue())
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(bench.main(["report", self.file("run.json", made_up_run()), "-o", missing + "/x"]), 1)
        self.assertIn("No such file", said.getvalue())


class Scales(unittest.TestCase):
    def test_ticks(self):
        for top in (1e-9, 0.37, 1, 4.356, 7, 99, 1e3, 2267344, 1e15):
            ticks = charts.Linear(top, 0, 100).ticks()
            self.assertEqual(ticks[0], 0)
            self.assertGreaterEqual(ticks[-1], top * 0.999999)
            self.assertLess(ticks[-1], top * 2)
            self.assertLessEqual(len(ticks), 7)
        for low, high in ((1, 1), (55, 90), (60, 5000), (1, 1e6), (1e-9, 1e15)):
            scale = charts.Logarithmic(low, high, 0, 100)
            ticks = scale.ticks()
            self.assertTrue(1 <= len(ticks) <= 12, (low, high, ticks))
            self.assertTrue(0 < scale.place(low) < scale.place(high * 1.0001) < 100)
            self.assertEqual(scale.place(0), 0)

    def test_labels(self):
        for value, expected in ((0, "0"), (0.3784, "0.378"), (4.485, "4.49"), (56.17, "56.2"), (1137, "1,137")):
            self.assertEqual(charts.digits(value), expected)
        for value, expected in ((0, "0"), (950, "950"), (12500, "12.5k"), (999999, "1.00M"), (2611000, "2.61M")):
            self.assertEqual(charts.multiple(value), expected)
        for value, expected in ((0, "0 ns"), (0.5, "500 ns"), (63.4, "63.4 µs"), (1200, "1.20 ms"), (2e6, "2.00 s")):
            self.assertEqual(charts.duration(value), expected)
        self.assertEqual([charts.multiple_tick(value) for value in (0, 500000, 1500000)], ["0", "500k", "1.5M"])
        self.assertEqual(charts.duration_tick(3000), "3 ms")

    def test_names_at_one_place_are_moved_apart(self):
        placed = charts.spread([(10, 95, "one", 0), (12, 96, "two", 1), (200, 96, "far", 2)], 0, 100)
        heights = {name: y for _, y, name, _ in placed}
        self.assertGreaterEqual(abs(heights["one"] - heights["two"]), charts.LABEL_STEP)
        self.assertTrue(all(0 <= y <= 100 for y in heights.values()))


if __name__ == "__main__":
    unittest.main()
