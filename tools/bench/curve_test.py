"""What `bench --curve` offers to which server, and which loads a command line asks for. Nothing is measured here."""

import contextlib
import io
import unittest

import bench
from measure import curve_rates


class Rates(unittest.TestCase):
    def test_each_server_goes_up_to_parts_of_its_own_peak(self):
        rates = curve_rates({"ringcached": 2000, "memcached": 1000}, (0.9, 0.1, 0.5))
        self.assertEqual(rates, {"memcached": [100, 500, 900], "ringcached": [100, 500, 900, 1000, 1800]})

    def test_rates_close_together_are_one(self):
        rates = curve_rates({"ringcached": 1010, "memcached": 1000, "null": 1500}, (0.5, 0.9))
        self.assertEqual(rates["memcached"], [500, 900])
        self.assertEqual(rates["ringcached"], [500, 900])
        self.assertEqual(rates["null"], [500, 900, 1350])

    def test_one_server_and_the_slowest(self):
        self.assertEqual(curve_rates({"null": 10}, (0.01, 1.0)), {"null": [1, 10]})

    def test_what_is_measured(self):
        for arguments, count in (([], 3), (["--memory"], 0), (["--memory", "--idle", "--curve"], 3)):
            options = bench.parse_arguments(arguments)
            self.assertEqual(len(bench.chosen_workloads(options, None)), count, arguments)

    def test_the_option(self):
        self.assertEqual(bench.parse_arguments(["--curve"]).curve, bench.CURVE_PARTS)
        self.assertEqual(bench.parse_arguments(["--curve", "0.2,1"]).curve, (0.2, 1.0))
        self.assertEqual(bench.parse_arguments([]).curve, ())
        for wrong in ("0", "1.5", "a", "0.1,,0.2", "nan"):
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
                bench.parse_arguments(["--curve", wrong])


if __name__ == "__main__":
    unittest.main()
