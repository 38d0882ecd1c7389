#include "bench/load_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <map>
#include <string_view>

#include "bench/dialects.h"
#include "bench/item_pattern.h"

namespace ringcached::bench {
namespace {

// The texts of options that are parsed further.
struct Texts {
  std::string ratio = "0:1";
  std::string value_bytes = "32";
};

// "a<separator>b", or "a" for both when `single_allowed`.
template <class Integer>
bool parse_pair(std::string_view text, char separator, bool single_allowed, Integer& first, Integer& second) {
  const char* end = text.data() + text.size();
  const auto left = std::from_chars(text.data(), end, first);
  if (left.ec != std::errc()) return false;
  if (left.ptr == end) {
    second = first;
    return single_allowed;
  }
  if (*left.ptr != separator) return false;
  const auto right = std::from_chars(left.ptr + 1, end, second);
  return right.ec == std::errc() && right.ptr == end;
}

void declare_target(CLI::App& app, LoadOptions& options) {
  app.add_option("--host", options.host, "IPv4 address of the server")->capture_default_str();
  app.add_option("-p,--port", options.port, "TCP port")->capture_default_str();
  app.add_option("--unix", options.unix_path, "UNIX socket path, instead of TCP");
  app.add_option("--dialect", options.dialect, "protocol to speak")
      ->check(CLI::IsMember(dialect_names()))
      ->capture_default_str();
  app.add_option("--server-pid", options.server_pid, "process whose CPU time per operation is reported");
}

void declare_load(CLI::App& app, LoadOptions& options, Texts& texts) {
  static const std::map<std::string, Distribution> kDistributions = {
      {"uniform", Distribution::kUniform},
      {"zipf", Distribution::kZipf},
      {"sequential", Distribution::kSequential}};
  app.add_option("-c,--connections", options.connections)->check(CLI::Range(1, 60000))->capture_default_str();
  app.add_option("-d,--pipeline", options.pipeline, "requests of a connection in flight")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--keys-per-get", options.keys_per_get, "in one request, which counts as one operation")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_option("--ratio", texts.ratio, "sets:gets")->capture_default_str();
  app.add_option("--keys", options.keys, "different keys")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--key-bytes", options.key_bytes)
      ->check(CLI::Range(ItemPattern::kKeyBytesMin, ItemPattern::kKeyBytesMax))
      ->capture_default_str();
  app.add_option("--value-bytes", texts.value_bytes, "N, or MIN-MAX spread evenly over the keys")
      ->capture_default_str();
  app.add_option("--distribution", options.distribution, "uniform, zipf or sequential")
      ->transform(CLI::CheckedTransformer(kDistributions));
  app.add_option("--zipf-theta", options.zipf_theta)->check(CLI::Range(0.01, 10.0))->capture_default_str();
  app.add_option("--seed", options.seed, "of keys drawn and of values")->capture_default_str();
  app.add_flag("--preload", options.preload, "set every key once before measuring");
  app.add_flag("--preload-only", options.preload_only, "set every key once and leave");
  app.add_flag("--verify", options.verify, "check every value returned");
  app.add_flag("--fill-misses", options.fill_misses, "set a key that was missed");
}

void declare_run(CLI::App& app, LoadOptions& options) {
  app.add_option("--warmup", options.warmup_seconds)->check(CLI::Range(0.0, 3600.0))->capture_default_str();
  app.add_option("-t,--seconds", options.seconds)->check(CLI::Range(0.01, 86400.0))->capture_default_str();
  app.add_option("-n,--operations", options.operations, "ends the run instead of --seconds");
  app.add_option("--rate", options.rate, "operations per second sent whatever comes back (open loop)")
      ->check(CLI::Range(0.0, 1e8));
  app.add_flag("--poisson", options.poisson, "with --rate: random instead of equal gaps");
  app.add_flag("--line-round-trip", options.line_round_trip,
               "only say how many ns a cache line takes between the first two cores and back");
  app.add_option("--idle", options.idle_connections,
                 "open N connections, one get each; hold until stdin ends")
      ->check(CLI::Range(1, 60000));
  app.add_option("--core", options.core, "core to be pinned to; -1 for any")->capture_default_str();
  app.add_flag("--busy", options.busy, "poll instead of sleeping");
  app.add_option("--json", options.json_path, "write the result as JSON to a file, - for stdout");
}

std::string check_together(const LoadOptions& options) {
  if (options.sets + options.gets == 0) return "--ratio: at least one share must not be 0";
  if (options.value_bytes_min > options.value_bytes_max) return "--value-bytes: MIN is greater than MAX";
  if (options.keys_per_get != 1 && options.dialect != "classic")
    return "--keys-per-get: only of the classic dialect";
  if (options.keys_per_get != 1 && options.verify) return "--keys-per-get and --verify exclude each other";
  if (options.value_bytes_max > (std::size_t{1} << 30)) return "--value-bytes: at most 1 GiB";
  return {};
}

}  // namespace

bool parse_load_options(int argc, char** argv, LoadOptions& options, int& exit_status) {
  CLI::App app("Loads a memcached-compatible server over few or many connections and measures it.");
  Texts texts;
  declare_target(app, options);
  declare_load(app, options, texts);
  declare_run(app, options);
  try {
    app.parse(argc, argv);
    if (!parse_pair(texts.ratio, ':', false, options.sets, options.gets)) {
      throw CLI::ValidationError("--ratio", "two numbers are wanted, as in 1:10");
    }
    if (!parse_pair(texts.value_bytes, '-', true, options.value_bytes_min, options.value_bytes_max)) {
      throw CLI::ValidationError("--value-bytes", "N or MIN-MAX is wanted");
    }
    const std::string complaint = check_together(options);
    if (!complaint.empty()) throw CLI::ValidationError(complaint);
  } catch (const CLI::ParseError& error) {
    exit_status = app.exit(error);
    return false;
  }
  return true;
}

}  // namespace ringcached::bench
