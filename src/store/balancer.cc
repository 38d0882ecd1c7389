#include "store/balancer.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "store/store_core.h"

namespace ringcached::store {
namespace {

// As in arena_balance.cc; for all arenas together.
constexpr double kWindowPagesMin = 8;
constexpr double kFarApart = 4;
constexpr double kNothing = 1e-9;
// Of a page of another arena that is emptied for this one.
constexpr unsigned kChunksPerAllocation = 128;
// Allocations after which a thread that has not ended its turn is taken to sleep.
constexpr unsigned kAsksPerTurn = 64;

}  // namespace

// What the arenas have gained since the last look.
void Balancer::look(ThreadState& thread, unsigned arenas) {
  const StoreCore& core = *thread.core;
  RC_DCHECK(arenas <= seen_.size());
  std::size_t pages = 0;
  for (unsigned id = 0; id < arenas; ++id) {
    const std::uint64_t gained_bytes = core.arenas[id]->bytes_gained();
    const double gained =
        static_cast<double>(gained_bytes - seen_[id].gained_bytes) / static_cast<double>(kPageBytes);
    seen_[id].gained_bytes = gained_bytes;
    seen_[id].gained_pages += gained;
    gained_in_period_ += gained;
    pages += core.arenas[id]->pages_held();
  }
  const double window =
      static_cast<double>(pages) * core.balance.window_percent.load(std::memory_order_relaxed) / 100;
  if (gained_in_period_ < std::max(window, kWindowPagesMin)) return;
  gained_in_period_ = 0;
  for (Seen& each : seen_) each.gained_pages /= 2;
}

double Balancer::age_of(const ThreadState& thread, unsigned arena) const {
  return static_cast<double>(thread.core->arenas[arena]->pages_held()) /
         std::max(seen_[arena].gained_pages, kNothing);
}

// A thread that is at work empties its pages itself: its allocations need not wait for us then. Not one that
// sleeps.
Arena::PageStep Balancer::take_page_of(ThreadState& thread, Arena& giver) {
  Seen& seen = seen_[giver.id()];
  const std::uint32_t turns = giver.turns();
  if (turns != std::exchange(seen.turns, turns)) seen.asked_in_turn = 0;
  if (++seen.asked_in_turn <= kAsksPerTurn) return giver.ask_for_page();
  const unsigned chunks = thread.arena->take_credit(kChunksPerAllocation);
  if (chunks == 0) return Arena::PageStep::kUnderWay;
  return giver.give_page(Arena::kAnyClass, chunks);
}

void Balancer::before_allocation(ThreadState& thread) {
  if (!thread.arena->take_shortage()) [[likely]]
    return;
  StoreCore& core = *thread.core;
  if (!core.options.evict || !core.balance.on.load(std::memory_order_relaxed)) return;
  const unsigned arenas = core.attached.load(std::memory_order_acquire);
  look(thread, arenas);
  if (arenas < 2 || core.pool->pages_free() != 0) return;
  unsigned oldest = thread.id;
  double age_max = 0;
  for (unsigned id = 0; id < arenas; ++id) {
    const double age = age_of(thread, id);
    if (id == thread.id || age <= age_max) continue;
    age_max = age;
    oldest = id;
  }
  const double age = age_of(thread, thread.id);
  const double wanted = age_max * core.balance.ratio.load(std::memory_order_relaxed);
  Arena::PageStep step = Arena::PageStep::kNone;
  if (age < wanted) step = take_page_of(thread, *core.arenas[oldest]);
  if (step == Arena::PageStep::kGone) thread.ledger.counters.pages_moved.add();
  thread.arena->hurry(step == Arena::PageStep::kUnderWay ||
                      (step == Arena::PageStep::kGone && age * kFarApart < wanted));
}

}  // namespace ringcached::store
