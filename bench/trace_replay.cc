// Hit ratios over a trace of keys: of ringcached's store in this process or of a server, and of exact
// policies with room for as many items as that one held.
#include "bench/trace_replay.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/exact_policies.h"

namespace ringcached::bench {
namespace {

struct Options {
  std::string path;
  unsigned copies = 1;
  std::size_t accesses_max = ~std::size_t{0};
  std::string value_bytes = "100";
  ValueSizes sizes;
  std::size_t items = 0;
  double items_percent = 0;
  std::size_t memory_mb = 0;
  ServerAddress server;
  unsigned batch = 16;
  bool describe = false;
  bool exact = true;
  bool json = false;
};

// "N" or "MIN-MAX".
bool parse_sizes(const std::string& text, ValueSizes& sizes) {
  const char* const end = text.data() + text.size();
  const auto low = std::from_chars(text.data(), end, sizes.min);
  sizes.max = sizes.min;
  if (low.ec != std::errc()) return false;
  if (low.ptr == end) return true;
  if (*low.ptr != '-') return false;
  const auto high = std::from_chars(low.ptr + 1, end, sizes.max);
  return high.ec == std::errc() && high.ptr == end && sizes.min <= sizes.max;
}

void declare(CLI::App& app, Options& options) {
  app.add_option("trace", options.path, "one key per line; .xz and .zst are decompressed by xz and zstd")
      ->required();
  app.add_option("--copies", options.copies,
                 "independent users of the trace with keys of their own, taking turns")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--accesses", options.accesses_max, "stop after so many")->check(CLI::PositiveNumber);
  app.add_option("--value-bytes", options.value_bytes, "N, or MIN-MAX spread evenly over the keys")
      ->capture_default_str();
  auto* items = app.add_option("--items", options.items, "the store in this process, with room for so many")
                    ->check(CLI::PositiveNumber);
  auto* percent =
      app.add_option("--items-percent", options.items_percent, "the same, of the trace's different keys")
          ->check(CLI::Range(0.001, 100.0));
  auto* memory =
      app.add_option("-m,--memory-mb", options.memory_mb, "the store in this process, with such memory")
          ->check(CLI::PositiveNumber);
  app.add_option("--host", options.server.host, "IPv4 address of a server")->capture_default_str();
  auto* port = app.add_option("-p,--port", options.server.port, "a server's TCP port");
  auto* path = app.add_option("--unix", options.server.unix_path, "a server's UNIX socket");
  app.add_option("--batch", options.batch, "different keys read from a server in one go")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  auto* describe = app.add_flag("--describe", options.describe, "only tell the trace's length and its keys");
  app.add_flag("!--no-exact", options.exact, "leave the exact policies out");
  app.add_flag("--json", options.json, "print JSON");
  CLI::Option* const targets[] = {items, percent, memory, port, path, describe};
  for (CLI::Option* target : targets) {
    for (CLI::Option* other : targets) {
      if (target != other) target->excludes(other);
    }
  }
}

struct Row {
  std::string name;
  std::uint64_t hits = 0;
};

struct Report {
  std::size_t accesses = 0, keys = 0, key_bytes = 0;
  ReplayResult result;
  std::vector<Row> rows;
  double percent(std::uint64_t hits) const {
    return 100.0 * static_cast<double>(hits) / static_cast<double>(accesses);
  }
};

void print(const Report& report) {
  std::printf("%zu accesses to %zu keys of %.1f bytes\n", report.accesses, report.keys,
              static_cast<double>(report.key_bytes) / static_cast<double>(report.keys));
  if (report.rows.empty()) return;
  std::printf("%llu items in the cache at the end, %llu sets refused\n",
              static_cast<unsigned long long>(report.result.items),
              static_cast<unsigned long long>(report.result.refused));
  for (const Row& row : report.rows)
    std::printf("%-12s %7.3f %% hits\n", row.name.c_str(), report.percent(row.hits));
}

void print_json(const Report& report) {
  std::printf(
      "{\"accesses\": %zu, \"keys\": %zu, \"key_bytes\": %zu, \"items\": %llu, \"refused\": %llu, \"hits\": "
      "{",
      report.accesses, report.keys, report.key_bytes, static_cast<unsigned long long>(report.result.items),
      static_cast<unsigned long long>(report.result.refused));
  const char* separator = "";
  for (const Row& row : report.rows) {
    std::printf("%s\"%s\": %llu", separator, row.name.c_str(), static_cast<unsigned long long>(row.hits));
    separator = ", ";
  }
  std::printf("}}\n");
}

Result<ReplayResult> replay(const KeyTrace& trace, const Options& options, bool to_server) {
  if (to_server) return replay_to_server(trace, options.server, options.sizes, options.batch);
  if (options.memory_mb != 0) return replay_in_store(trace, options.memory_mb << 20, options.sizes);
  const auto share =
      static_cast<std::size_t>(options.items_percent / 100 * static_cast<double>(trace.keys.size()));
  return replay_in_store_of(trace, options.items != 0 ? options.items : std::max<std::size_t>(share, 1));
}

int fail(const Status& status) {
  std::fprintf(stderr, "trace_replay: %s\n", status.message().c_str());
  return 1;
}

int run(int argc, char** argv) {
  CLI::App app("Replays a trace of keys and prints hit ratios.");
  Options options;
  declare(app, options);
  try {
    app.parse(argc, argv);
    if (!parse_sizes(options.value_bytes, options.sizes)) {
      throw CLI::ValidationError("--value-bytes", "N or MIN-MAX is wanted");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  const bool to_server = app.count("--port") != 0 || app.count("--unix") != 0;
  if (!to_server && !options.describe && options.items == 0 && options.items_percent == 0 &&
      options.memory_mb == 0) {
    return fail({StatusCode::kInvalidArgument,
                 "what to measure? --items, --items-percent, -m, --port, --unix or --describe"});
  }
  const Result<KeyTrace> read = read_key_trace(options.path);
  if (!read) return fail(read.status());
  const KeyTrace trace = multiply(read.value(), options.copies, options.accesses_max);
  Report report{trace.accesses.size(), trace.keys.size(), 0, {}, {}};
  for (const std::string& key : trace.keys) report.key_bytes += key.size();
  if (!options.describe) {
    const Result<ReplayResult> result = replay(trace, options, to_server);
    if (!result) return fail(result.status());
    report.result = result.value();
    report.rows.push_back({to_server ? "server" : "ringcached", report.result.hits});
    for (const Policy policy : kPolicies) {
      if (!options.exact || report.result.items == 0) break;
      report.rows.push_back({std::string(policy_name(policy)),
                             hits_of(policy, trace.accesses, trace.keys.size(), report.result.items)});
    }
  }
  options.json ? print_json(report) : print(report);
  return 0;
}

}  // namespace
}  // namespace ringcached::bench

int main(int argc, char** argv) {
  return ringcached::bench::run(argc, argv);
}
