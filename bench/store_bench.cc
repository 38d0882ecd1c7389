// The store without a network: one thread against a bare hash map, two and eight threads on one store.
//
// Prints rows as tools/bench/store_rows.py wants them. What is compared, and how:
//  - All contenders hold the same items and get the same requests, in batches of 16 whose keys are known
//    before the first is executed, as a worker has them. Keys are made in a buffer, values copied to one.
//  - The floor is tsl::robin_map with the hash that the store uses, worked out once per request, in two
//    layouts (store_targets.h): items inside the table, and items apart. The faster one of each case counts.
//  - One thread: rate by CPU time of the thread, to the map's. Two threads: how much faster two are than one,
//    to the same of two threads on a map each, and of two threads on one plain array, which tells what of the
//    difference any shared store has on this machine. Eight threads: all of them to two.
//  - Contenders take turns within a round; figures are medians of the rounds' ratios. Two threads share
//    nothing while only one runs: the rows say how much of the time both did. Run it under chrt -f.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "bench/cores.h"
#include "bench/store_contenders.h"

namespace ringcached::bench {
namespace {

constexpr unsigned kThreadsMost = 8;
constexpr double kGetGoal = 0.8, kSetGoal = 0.6, kScalingGoal = 0.95;

struct Options {
  ItemShape shape{1000000, 16, 32};
  std::size_t requests = std::size_t{1} << 20;
  unsigned rounds = 5;
  bool large_pages = false;
  bool churn = true;
  std::string only;
};

struct Case {
  Distribution distribution;
  unsigned set_percent;
};
constexpr Case kCases[] = {{Distribution::kUniform, 0},  {Distribution::kUniform, 5},
                           {Distribution::kUniform, 50}, {Distribution::kUniform, 100},
                           {Distribution::kZipf, 0},     {Distribution::kZipf, 5},
                           {Distribution::kZipf, 50},    {Distribution::kZipf, 100}};

std::string describe(const Options& options, const Case& load) {
  const std::string mix = load.set_percent == 0     ? "gets"
                          : load.set_percent == 100 ? "sets"
                                                    : std::to_string(100 - load.set_percent) + ":" +
                                                          std::to_string(load.set_percent);
  return mix + (load.distribution == Distribution::kZipf ? ", Zipf 1.0, " : ", uniform, ") +
         std::to_string(options.shape.key_bytes) + "+" + std::to_string(options.shape.value_bytes);
}

// Of a mixture: what its gets and sets take if each just meet theirs.
double map_goal(unsigned set_percent) {
  return 100.0 / ((100 - set_percent) / kGetGoal + set_percent / kSetGoal);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Rates of one contender by number of threads, a value per round.
struct Series {
  std::vector<double> one, two, eight;
  std::vector<double> together, round_trips;  // of the two
};

double nanoseconds(const std::vector<double>& rates) {
  return 1e9 / median(rates);
}

std::vector<double> ratios(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> result;
  for (std::size_t i = 0; i < a.size(); ++i) result.push_back(a[i] / b[i]);
  return result;
}

class Report {
 public:
  // `goal` 0: none.
  void row(const std::string& group, const std::string& what, double value, double goal,
           const std::string& detail) {
    std::printf("%s\n  {\"group\": \"%s\", \"what\": \"%s\", \"value\": %.4f, \"unit\": \"x\", ",
                rows_++ == 0 ? "{\"rows\": [" : ",", group.c_str(), what.c_str(), value);
    if (goal != 0) std::printf("\"goal\": %.4f, ", goal);
    std::printf("\"detail\": \"%s\"}", detail.c_str());
  }
  int finish(std::uint64_t failures) const {
    std::printf("%s],\n \"failures\": %llu}\n", rows_ == 0 ? "{\"rows\": [" : "",
                static_cast<unsigned long long>(failures));
    return failures == 0 ? 0 : 1;
  }

 private:
  unsigned rows_ = 0;
};

std::string text_of(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

class Benchmark {
 public:
  explicit Benchmark(const Options& options)
      : options_(options),
        store_(make_store(options.shape, {kThreadsMost, 0, options.large_pages})),
        maps_(make_private_maps(options.shape, 2)) {
    for (const bool locks : {false, true}) arrays_.push_back(make_shared_array(options.shape, 2, locks));
  }

  int run() {
    failures_ += store_->fill();
    for (const auto& map : maps_) failures_ += map->fill();
    for (const auto& array : arrays_) failures_ += array->fill();
    if (maps_.empty()) {
      std::fprintf(stderr,
                   "store_bench: built without tsl::robin_map (robin-map-dev): no floor to compare with\n");
    }
    for (const Case& load : kCases) {
      if (describe(options_, load).find(options_.only) != std::string::npos) measure(load);
    }
    if (options_.churn) measure_churn();
    return report_.finish(failures_);
  }

 private:
  using Streams = std::vector<RequestStream>;

  Streams draw(const Case& load, unsigned threads, std::size_t requests) const {
    Streams streams;
    for (unsigned i = 0; i < threads; ++i) {
      streams.push_back(
          draw_requests(load.distribution, options_.shape.items, load.set_percent, requests, 1 + i * 100));
    }
    return streams;
  }

  double rate(Contender& contender, const Streams& streams) {
    const Rate measured = contender.run(streams);
    failures_ += measured.failures;
    return measured.per_cpu_second;
  }
  void measure_two(Contender& contender, const Streams& streams, Series& series) {
    const Rate measured = contender.run(streams);
    failures_ += measured.failures;
    series.two.push_back(measured.per_cpu_second);
    series.together.push_back(measured.together);
    series.round_trips.push_back(line_round_trip_ns());
  }

  void measure(const Case& load) {
    const Streams two = draw(load, 2, options_.requests);
    const Streams one(two.begin(), two.begin() + 1);
    const Streams eight = draw(load, kThreadsMost, options_.requests / 4);
    Series store;
    std::vector<Series> maps(maps_.size()), arrays(arrays_.size());
    for (unsigned round = 0; round < options_.rounds; ++round) {
      store.one.push_back(rate(*store_, one));
      for (std::size_t i = 0; i < maps.size(); ++i) maps[i].one.push_back(rate(*maps_[i], one));
      for (std::size_t i = 0; i < arrays.size(); ++i) arrays[i].one.push_back(rate(*arrays_[i], one));
      measure_two(*store_, two, store);
      for (std::size_t i = 0; i < maps.size(); ++i) measure_two(*maps_[i], two, maps[i]);
      for (std::size_t i = 0; i < arrays.size(); ++i) measure_two(*arrays_[i], two, arrays[i]);
      store.eight.push_back(rate(*store_, eight));
    }
    report(load, store, maps);
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      report_scaling("one shared " + std::string(arrays_[i]->name()), "array", load, store, arrays[i], 0);
    }
  }

  static std::string sharing(const Series& series) {
    return text_of(", both ran %.0f %% of the time", 100 * median(series.together)) +
           text_of(", round trip of a line %.0f ns", median(series.round_trips));
  }

  // Of the store's two threads to that of the floor's.
  void report_scaling(const std::string& floor, const std::string& short_name, const Case& load,
                      const Series& store, const Series& other, double goal) {
    const std::vector<double> scales = ratios(store.two, store.one);
    const std::vector<double> others = ratios(other.two, other.one);
    report_.row("two threads, scaling to that of " + floor, describe(options_, load),
                median(ratios(scales, others)), goal,
                text_of("store %.3fx", median(scales)) + ", " + short_name +
                    text_of(" %.3fx", median(others)) + sharing(store));
  }

  void report(const Case& load, const Series& store, const std::vector<Series>& maps) {
    const std::string what = describe(options_, load);
    const std::string own = text_of("store %.1f ns", nanoseconds(store.one));
    if (!maps.empty()) {
      std::string detail = own;
      std::size_t fastest = 0;
      for (std::size_t i = 0; i < maps.size(); ++i) {
        if (median(maps[i].one) > median(maps[fastest].one)) fastest = i;
        detail +=
            ", map with " + std::string(maps_[i]->name()) + text_of(" %.1f ns", nanoseconds(maps[i].one));
      }
      const Series& map = maps[fastest];
      report_.row("one thread, to the map", what, median(ratios(store.one, map.one)),
                  map_goal(load.set_percent), detail);
      report_scaling("two maps", "maps", load, store, map, kScalingGoal);
    }
    // Rates are summed by CPU time: eight threads would do four times what two do if there were eight cores.
    report_.row("eight threads, a thread's rate to that of one of two", what,
                median(ratios(store.eight, store.two)) * 2 / kThreadsMost, 0,
                own + ", " + text_of("%.0f cores", std::thread::hardware_concurrency()));
  }

  // New keys into a store that is full: allocation, eviction, insertion; against stores that share nothing.
  void measure_churn() {
    constexpr Case kLoad{Distribution::kUniform, 100};
    const std::size_t memory = std::max<std::size_t>(
        options_.shape.items / 8 * (options_.shape.key_bytes + options_.shape.value_bytes + 24), 8 << 20);
    const StoreSettings whole{2, memory, options_.large_pages}, half{2, memory / 2, options_.large_pages};
    const auto shared = make_store(options_.shape, whole);
    const auto apart = make_private_stores(options_.shape, half);
    const Streams two = draw(kLoad, 2, options_.requests);
    const Streams one(two.begin(), two.begin() + 1);
    Series shares, alone;
    rate(*shared, two);
    rate(*apart, two);
    for (unsigned round = 0; round < options_.rounds; ++round) {
      shares.one.push_back(rate(*shared, one));
      alone.one.push_back(rate(*apart, one));
      measure_two(*shared, two, shares);
      measure_two(*apart, two, alone);
    }
    report_.row("two threads, one store to two stores", "sets that evict, " + describe(options_, kLoad),
                median(ratios(shares.two, alone.two)), kScalingGoal,
                text_of("one store %.1f ns", 2 * nanoseconds(shares.two)) +
                    text_of(", two stores %.1f ns", 2 * nanoseconds(alone.two)) +
                    text_of(", one thread %.1f ns", nanoseconds(shares.one)) + sharing(shares));
  }

  const Options options_;
  std::unique_ptr<Contender> store_;
  std::vector<std::unique_ptr<Contender>> maps_, arrays_;
  Report report_;
  std::uint64_t failures_ = 0;
};

int run(int argc, char** argv) {
  CLI::App app("The store without a network, beside a bare hash map; prints rows of JSON.");
  Options options;
  app.add_option("--items", options.shape.items, "items held")
      ->check(CLI::Range(std::uint32_t{1000}, kItemsMax - 1))
      ->capture_default_str();
  app.add_option("--key-bytes", options.shape.key_bytes)
      ->check(CLI::Range(KeyWriter::kBytesMin, KeyWriter::kBytesMax))
      ->capture_default_str();
  app.add_option("--value-bytes", options.shape.value_bytes, "below 4096, what a worker copies")
      ->check(CLI::Range(1, 4095))
      ->capture_default_str();
  app.add_option("--requests", options.requests, "of a thread in a round")
      ->check(CLI::Range(std::size_t{64}, std::size_t{1} << 30))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds)->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_flag("--large-pages", options.large_pages, "for the memory of the store");
  app.add_flag("!--no-churn", options.churn, "leave the sets that evict out");
  app.add_option("--only", options.only, "leave out the mixtures whose description has not this text");
  CLI11_PARSE(app, argc, argv);
  return Benchmark(options).run();
}

}  // namespace
}  // namespace ringcached::bench

int main(int argc, char** argv) {
  return ringcached::bench::run(argc, argv);
}
