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
  const Arena::PageStep step = thread.arena->give_page(Arena::kAnyClass);
  if (step == Arena::PageStep::kNone) return false;  // nothing to give now: others may
  if (step == Arena::PageStep::kUnderWay) return true;
  thread.ledger.counters.pages_moved.add();
  thread.last_page_move = {};
  return core.pool->pages_over_limit() > 0;
}

// Does one part of the work, and tells `observer` how long it took.
template <typename Work>
bool part(Maintenance which, MaintenanceObserver* observer, Work work) {
  if (observer == nullptr) return work();
  observer->on_begin();
  const bool more = work();
  observer->on_end(which);
  return more;
}

void note_turn(ThreadState& thread) {
  thread.arena->end_turn();
  thread.purged_in_turn = false;
  if (thread.core->memory_ahead) thread.core->memory_ahead->look();
}

bool move_pages(StoreCore& core, ThreadState& thread) {
  const bool pinned = core.step_limbo(thread).more;
  const bool returning = thread.arena->take_returned();
  const bool leaving = thread.arena->step_page();
  return leaving || shrink(core, thread) || returning || pinned;
}

}  // namespace

bool StoreThread::maintain(CacheTime now, std::size_t chunks_max, bool reap, MaintenanceObserver* observer) {
  ThreadState& thread = *impl_;
  StoreCore& core = *thread.core;
  core.see_time(now);
  note_turn(thread);
  bool more = part(Maintenance::kPages, observer, [&] { return move_pages(core, thread); });
  const bool grows = core.index->wants_growth();
  more = (grows &&
          part(Maintenance::kIndex, observer,
               [&] { return core.index->grow(std::max<std::size_t>(chunks_max / kChunksPerSplit, 1)); })) ||
         more;
  if (!reap) return more;
  return part(Maintenance::kReaper, observer,
              [&] { return thread.reaper.step(thread, now, std::max<std::size_t>(chunks_max, 1)); }) ||
         more;
}

bool StoreThread::end_turn(MaintenanceObserver* observer) {
  Arena& arena = *impl_->arena;
  note_turn(*impl_);
  return arena.wants_page_step() && part(Maintenance::kPages, observer, [&] { return arena.step_page(); });
}

void StoreThread::crawl(const SlabClassSet& classes) {
  impl_->reaper.begin_crawl(*impl_, classes);
}
bool StoreThread::crawling() const {
  return impl_->reaper.crawling();
}

}  // namespace ringcached::store
