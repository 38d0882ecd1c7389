// A worker's share of the store's background work, in steps far below a millisecond between its turns:
// reaping expired items, crawls somebody asked for, giving pages back, growing the index.
#pragma once

#include <cstddef>
#include <cstdint>

#include "server/context.h"
#include "server/reporting.h"

namespace ringcached::server {

class Upkeep {
 public:
  void on_tick();
  // Once per turn. True if more is waiting that should not wait for the next tick.
  bool on_turn(WorkerContext& worker);

 private:
  void join_crawl(WorkerContext& worker);

  std::size_t credit_ = 0;  // chunks that may still be looked at before the next tick
  bool waiting_ = false;
  bool ticked_ = false;
  bool crawling_ = false;
  std::uint32_t crawl_pass_ = 0;
  BackgroundFigures pass_began_;  // the background work that is told to watchers when it is through
  CacheTime pass_began_at_ = 0;
  std::uint64_t page_moves_told_ = 0;
};

}  // namespace ringcached::server
