#include "store/balancer.h"

#include <algorithm>
#include <utility>

#include "store/store_core.h"

namespace ringcached::store {
namespace {

// Items of the giving class must have been left alone this many times as long as those that the taking class
// evicts, and at least so many seconds longer.
constexpr std::uint32_t kIdleRatio = 2;
constexpr std::uint32_t kIdleSecondsMin = 5;
// A class with so many pages' worth of free chunks gives one up whatever its items do.
constexpr std::uint64_t kFreePagesMin = 2;
// Evictions since the last step that make a class hungry.
constexpr std::uint64_t kEvictionsMin = 16;
// Pages looked at to find one of the wanted class.
constexpr std::size_t kSamplePages = 64;
// Pages of another arena in a second, so that emptying them costs a few percent of a core.
constexpr std::uint64_t kTakesMax = 128;

}  // namespace

struct Balancer::Sample {
  StoreCore& core;
  CacheTime now;
  std::uint64_t idle_seconds = 0, items = 0;

  static void on_item(void* context, ChunkAddress chunk, std::uint32_t /*state*/) {
    auto& sample = *static_cast<Sample*>(context);
    const std::uint32_t access = shared_load32(sample.core.item(chunk) + kAccessOffset);
    sample.idle_seconds += store::idle_seconds(access, sample.now);
    ++sample.items;
  }
};

// The class that has evicted most since the last step; 0 if none did.
unsigned Balancer::hungriest(ThreadState& thread) {
  unsigned hungry = 0;
  std::uint64_t most = kEvictionsMin - 1;
  for (unsigned slab_class = 1; slab_class <= thread.core->classes.count(); ++slab_class) {
    const ArenaClassStats stats = thread.arena->class_stats(slab_class);
    evicted_now_[slab_class] = stats.evicted - evicted_before_[slab_class];
    evicted_before_[slab_class] = stats.evicted;
    eviction_age_[slab_class] = stats.last_eviction_age_seconds;
    if (evicted_now_[slab_class] <= most) continue;
    most = evicted_now_[slab_class];
    hungry = slab_class;
  }
  return hungry;
}

// The mean over one page; 0 if none was found.
std::uint32_t Balancer::sampled_idle_seconds(ThreadState& thread, unsigned slab_class, CacheTime now) {
  const std::size_t pages = thread.arena->pages();
  for (std::size_t i = 0; i < std::min(pages, kSamplePages); ++i) {
    const std::size_t at = sample_page_++ % pages;
    const PageId page = thread.arena->page_at(at);
    if (page == kNoPage ||
        thread.core->pool->info(page).slab_class.load(std::memory_order_relaxed) != slab_class) {
      continue;
    }
    Sample sample{*thread.core, now};
    thread.arena->visit_page(at, &Sample::on_item, &sample);
    return sample.items == 0 ? kAccessMask : static_cast<std::uint32_t>(sample.idle_seconds / sample.items);
  }
  return 0;
}

// The class that can best do without a page; 0 if none is clearly better off than the hungry one.
unsigned Balancer::idlest(ThreadState& thread, CacheTime now, unsigned hungry) {
  const std::uint32_t age = eviction_age_[hungry];
  std::uint32_t longest = std::max(age * kIdleRatio, age + kIdleSecondsMin);
  unsigned best = 0;
  for (unsigned slab_class = 1; slab_class <= thread.core->classes.count(); ++slab_class) {
    if (slab_class == hungry || evicted_now_[slab_class] >= evicted_now_[hungry]) continue;
    const ArenaClassStats stats = thread.arena->class_stats(slab_class);
    if (stats.pages == 0) continue;
    if (stats.chunks_free >= kFreePagesMin * thread.core->classes.chunks_per_page(slab_class))
      return slab_class;
    if (stats.pages < kFreePagesMin) continue;
    const std::uint32_t idle = sampled_idle_seconds(thread, slab_class, now);
    if (idle < longest) continue;
    longest = idle;
    best = slab_class;
  }
  return best;
}

// What the last step saw evicted, in pages.
std::uint64_t Balancer::pages_evicted(const ThreadState& thread) const {
  std::uint64_t pages = 0;
  for (unsigned slab_class = 1; slab_class <= thread.core->classes.count(); ++slab_class) {
    pages += evicted_now_[slab_class] / thread.core->classes.chunks_per_page(slab_class);
  }
  return pages;
}

bool Balancer::step(ThreadState& thread, CacheTime now) {
  StoreCore& core = *thread.core;
  if (core.pool->pages_free() > 0) return false;
  if (now == last_step_) return takes_left_ > 0 && take_from_richer(thread);
  last_step_ = now;
  takes_left_ = 0;
  const std::uint64_t steals = thread.ledger.counters.page_steals.get();
  const bool has_stolen = std::exchange(steals_before_, steals) != steals;
  hungry_ = hungriest(thread);
  if (hungry_ == 0 && !has_stolen) return false;
  if (const unsigned giver = hungry_ != 0 ? idlest(thread, now, hungry_) : 0; giver != 0) {
    if (!thread.arena->give_page(giver)) return false;
    thread.ledger.counters.pages_moved.add();
    thread.last_page_move = {giver, hungry_};
    return true;
  }
  takes_left_ = std::clamp<std::uint64_t>(pages_evicted(thread), 1, kTakesMax);
  return take_from_richer(thread);
}

bool Balancer::take_from_richer(ThreadState& thread) {
  StoreCore& core = *thread.core;
  const std::size_t own = thread.arena->pages();
  Arena* richest = nullptr;
  std::size_t most = own * 2 + 1;
  for (unsigned id = 0; id < core.attached.load(std::memory_order_acquire); ++id) {
    const std::size_t pages = core.arenas[id]->pages();
    if (id == thread.id || pages < most) continue;
    most = pages;
    richest = core.arenas[id].get();
  }
  if (richest == nullptr || !richest->give_page(Arena::kAnyClass)) {
    takes_left_ = 0;
    return false;
  }
  --takes_left_;
  // Not left in the pool, where it would hold the next step up; if others were faster, so be it.
  if (hungry_ != 0) static_cast<void>(thread.arena->add_page(hungry_));
  thread.ledger.counters.pages_moved.add();
  thread.last_page_move = {0, hungry_};
  return true;
}

}  // namespace ringcached::store
