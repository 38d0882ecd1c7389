// The result of a run for people and for programs.
#pragma once

#include <string>

#include "bench/load_options.h"
#include "bench/load_stats.h"

namespace ringcached::bench {

std::string table_report(const LoadOptions& options, const LoadStats& stats);
// One JSON object, ending in a newline. Latencies in microseconds.
std::string json_report(const LoadOptions& options, const LoadStats& stats);

}  // namespace ringcached::bench
