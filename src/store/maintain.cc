// Upkeep in small steps: what StoreThread::maintain does besides reaping.
#include <algorithm>

#include "store/store_core.h"

namespace ringcached::store {
namespace {

// A split moves about six items.
constexpr std::size_t kChunksPerSplit = 8;

// Above a lowered limit pages go back to the pool, one per step, from whoever is asked.
bool shrink(StoreCore& core, ThreadState& thread) {
  if (core.pool->pages_over_limit() == 0) return false;
  if (!thread.arena->give_page(Arena::kAnyClass)) return false;  // nothing to give now: others may
  thread.ledger.counters.pages_moved.add();
  thread.last_page_move = {};
  return core.pool->pages_over_limit() > 0;
}

}  // namespace

bool StoreThread::maintain(CacheTime now, std::size_t chunks_max, bool reap) {
  ThreadState& thread = *impl_;
  StoreCore& core = *thread.core;
  core.see_time(now);
  core.free_limbo(thread);
  bool more = shrink(core, thread);
  more = core.index->grow(std::max<std::size_t>(chunks_max / kChunksPerSplit, 1)) || more;
  if (reap) more = thread.reaper.step(thread, now, std::max<std::size_t>(chunks_max, 1)) || more;
  return more;
}

void StoreThread::crawl(const SlabClassSet& classes) {
  impl_->reaper.begin_crawl(*impl_, classes);
}
bool StoreThread::crawling() const {
  return impl_->reaper.crawling();
}

}  // namespace ringcached::store
