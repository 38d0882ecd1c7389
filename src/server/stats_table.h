// The general statistics: one table of names, in memcached's order, with where each figure comes from
// (spec 9.1).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "server/context.h"
#include "server/stat_sink.h"

namespace ringcached::server {

// All figures of one moment, gathered once per `stats`.
struct StatsSnapshot {
  std::array<std::uint64_t, kCounts> commands{};
  NetworkStats network;
  store::StoreStats store;
  EventFigures events;
  std::uint64_t log_lines_dropped = 0;
  CacheTime now = 0;
  std::int64_t wall_seconds = 0;
  unsigned threads = 0;
  bool crawler_on = false, crawler_running = false;
  std::uint64_t crawler_starts = 0;
  const config::Config* config = nullptr;
};
StatsSnapshot take_snapshot(ServerContext& server);

// The figures of `stats`; since the last reset where the table says so.
void general_stats(ServerContext& server, StatSink& sink);
void reset_stats(ServerContext& server);

}  // namespace ringcached::server
