#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "bench/cores.h"
#include "bench/load_engine.h"
#include "bench/load_options.h"
#include "bench/load_report.h"

namespace ringcached::bench {
namespace {

constexpr double kSecondNs = 1e9;
// Bytes of sets in flight per connection while preloading.
constexpr std::size_t kPreloadBatchBytes = 32 * 1024;

void prepare_process(const LoadOptions& options) {
  rlimit descriptors{};
  if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);
  }
  prctl(PR_SET_TIMERSLACK, 1UL);  // an open loop must not sleep longer than it asked for
  if (options.core < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(options.core), &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) {
    std::fprintf(stderr, "load_generator: cannot be pinned to core %d, goes on unpinned\n", options.core);
  }
}

Workload preload_workload(const LoadOptions& options) {
  Workload workload;
  workload.sets = 1;
  workload.gets = 0;
  workload.pipeline = static_cast<unsigned>(
      std::clamp<std::size_t>(kPreloadBatchBytes / (options.value_bytes_max + 1), 1, 64));
  workload.distribution = Distribution::kSequential;
  workload.operations = options.keys;
  return workload;
}

Workload measured_workload(const LoadOptions& options) {
  Workload workload;
  workload.sets = options.sets;
  workload.gets = options.gets;
  workload.pipeline = options.pipeline;
  workload.distribution = options.distribution;
  workload.operations = options.operations;
  workload.warmup_ns = static_cast<std::uint64_t>(options.warmup_seconds * kSecondNs);
  workload.measured_ns = static_cast<std::uint64_t>(options.seconds * kSecondNs);
  workload.rate = options.rate;
  workload.fill_misses = options.fill_misses;
  return workload;
}

int fail(const Status& status) {
  std::fprintf(stderr, "load_generator: %s\n", status.message().c_str());
  return 1;
}

int report(const LoadOptions& options, const LoadStats& stats) {
  if (options.json_path != "-") std::fputs(table_report(options, stats).c_str(), stdout);
  if (!options.json_path.empty()) {
    std::FILE* file = options.json_path == "-" ? stdout : std::fopen(options.json_path.c_str(), "w");
    if (file == nullptr) {
      return fail({StatusCode::kInvalidArgument, "cannot write " + options.json_path});
    }
    std::fputs(json_report(options, stats).c_str(), file);
    if (file != stdout) std::fclose(file);
  }
  return stats.corrupt == 0 ? 0 : 1;
}

// One get on each connection, then silence until whoever started us closes our input.
int hold_idle(LoadEngine& engine, const LoadOptions& options) {
  Workload workload;
  workload.operations = options.idle_connections;
  const Result<LoadStats> stats = engine.run(workload);
  if (!stats) return fail(stats.status());
  std::printf("%u idle connections, each has done a get: %llu hits, %llu misses, %llu errors\n",
              options.idle_connections, static_cast<unsigned long long>(stats.value().hits),
              static_cast<unsigned long long>(stats.value().misses),
              static_cast<unsigned long long>(stats.value().errors));
  std::fflush(stdout);
  char byte = 0;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  return 0;
}

int run(int argc, char** argv) {
  LoadOptions options;
  int exit_status = 0;
  if (!parse_load_options(argc, argv, options, exit_status)) return exit_status;
  if (options.line_round_trip) {
    std::printf("%.0f\n", line_round_trip_ns());
    return 0;
  }
  prepare_process(options);
  LoadEngine engine(options);
  const Status status = engine.open();
  if (!status) return fail(status);
  if (options.preload || options.preload_only) {
    const Result<LoadStats> preload = engine.run(preload_workload(options));
    if (!preload) return fail(preload.status());
    if (preload.value().stored != options.keys) {
      return fail({StatusCode::kUnavailable, "preload: only " + std::to_string(preload.value().stored) +
                                                 " of " + std::to_string(options.keys) +
                                                 " keys were stored"});
    }
    if (options.preload_only) return report(options, preload.value());
  }
  if (options.idle_connections != 0) return hold_idle(engine, options);
  const Result<LoadStats> stats = engine.run(measured_workload(options));
  return stats ? report(options, stats.value()) : fail(stats.status());
}

}  // namespace
}  // namespace ringcached::bench

int main(int argc, char** argv) {
  return ringcached::bench::run(argc, argv);
}
