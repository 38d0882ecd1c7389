"""The store benchmark runs, and what it prints can be judged: on a store so small that it takes a second."""

import argparse
import unittest

import store_rows
from processes import BenchError

GROUPS = ("one thread, to the map", "two threads, scaling to that of two maps",
          "two threads, scaling to that of one shared array",
          "two threads, scaling to that of one shared array with locks",
          "eight threads, a thread's rate to that of one of two", "two threads, one store to two stores")
SMALL = ("--items", 2000, "--requests", 512, "--rounds", 1)


class Rows(unittest.TestCase):
    def test_verdicts(self):
        for value, goal, at_most, expected in ((1.0, 0.9, False, "met"), (0.9, 0.9, False, "met"),
                                               (0.89, 0.9, False, "missed"), (90, 90, True, "met"),
                                               (91, 90, True, "missed"), (1, None, False, "")):
            entry = store_rows.check(store_rows.row("group", "what", value, "x", goal, at_most))
            self.assertEqual(store_rows.verdict(entry), expected, entry)
            self.assertEqual(bool(store_rows.goal_text(entry)), goal is not None)

    def test_what_is_no_row(self):
        whole = store_rows.row("group", "what", 1.0, "x", 0.9)
        for key in ("group", "what", "value", "unit"):
            with self.assertRaises(BenchError):
                store_rows.check({name: value for name, value in whole.items() if name != key})
        for key, value in (("goal", "fast"), ("at_most", 1), ("colour", "red")):
            with self.assertRaises(BenchError):
                store_rows.check({**whole, key: value})

    def test_rows_that_were_judged_already(self):
        for goal, met, said, expected in (("< 6", True, "< 6 x", "met"), (0.5, False, "0.500 x", "missed"),
                                          ("", None, "", ""), (None, None, "", "")):
            entry = store_rows.judged({"name": "what", "value": 1, "unit": "x", "goal": goal, "met": met})
            self.assertEqual(list(store_rows.cells([entry])), [["", "what", "1.000 x", said, expected, ""]])
        for wrong in ({"value": 1, "unit": "x"}, {"name": "n", "unit": "x"}, {"name": "n", "value": 1},
                      {"name": "n", "value": 1, "unit": "x", "met": "yes"},
                      {"name": "n", "value": 1, "unit": "x", "goal": []}):
            with self.assertRaises(BenchError):
                store_rows.judged(wrong)

    def test_a_group_is_named_once(self):
        rows = [store_rows.row(group, "what", 1.0, "x") for group in ("a", "a", "b")]
        self.assertEqual([line[0] for line in store_rows.cells(rows)], ["a", "", "b"])

    def test_the_benchmark(self):
        for shape in ((16, 32), (36, 224), (40, 100)):
            rows = store_rows.rows_of(PROGRAM, *SMALL, "--key-bytes", shape[0], "--value-bytes", shape[1])
            self.assertTrue(all(entry["value"] > 0 for entry in rows))
            groups = {entry["group"] for entry in rows}
            # The comparisons with the map are there if the map is.
            self.assertIn(len(groups), (4, 6))
            self.assertLessEqual(groups, set(GROUPS))
            for group in groups - {GROUPS[-1]}:
                self.assertEqual(sum(entry["group"] == group for entry in rows), 8, group)

    def test_the_waste_of_size_classes(self):
        for entry in store_rows.rows_of(WASTE):
            self.assertEqual(store_rows.verdict(entry), "met", entry)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--waste", required=True)
    arguments, rest = parser.parse_known_args()
    PROGRAM, WASTE = arguments.program, arguments.waste
    unittest.main(argv=[__file__, *rest])
