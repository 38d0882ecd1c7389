// Which class of an arena would make more of a page, and which can do without one.
//
// What a page is worth to the class that has it: how many of its items are used within a while. That is
// sampled: a look at a page clears the use counters of a few of its items, and the next look, some windows
// later, counts those that were used since. What one more page would be worth to a class that evicts: as many
// items as a page holds, times the share of its new items that had been evicted shortly before (the ghost
// knows them).
#include <algorithm>
#include <mutex>

#include "store/arena_impl.h"

namespace ringcached::store {
namespace {

// A window is at least so many pages' worth of memory gained; a page is looked at again after so many
// windows.
constexpr double kWindowPagesMin = 4;
constexpr std::uint32_t kWindowsBetweenLooks = 2;
// A class that evicts looks at pages of others each time it has evicted this much.
constexpr std::int64_t kLookBytes = kPageBytes / 4;
constexpr unsigned kPagesPerLook = 8;
constexpr std::uint32_t kItemsSampled = 32;
// Worths apart by more than kFarApart: pages are taken as fast as they are filled. By more than kApart: one
// for each page's worth that the class has evicted itself. Less may be chance, and a page taken in error
// costs the hits of its items once: one for several.
constexpr double kFarApart = 4, kApart = 2;
constexpr std::uint64_t kEvictedWhenNear = 4 * kPageBytes;
// Both worths are estimates by samples, and a move in error loses items that are used. Taking them at their
// word cost 0.8 point of hits where sizes do not change at all (docs/performance.md).
constexpr double kCaution = 0.4;
constexpr std::size_t kPagesToSpare = 3;
constexpr double kUnusedShare = 0.1;
// The share of returning keys that is taken for granted: a class with hardly any memory has a short ghost,
// and one in LRU order has none.
constexpr float kReturnsMin = 0.05F, kReturnsLru = 0.25F;

}  // namespace

void Arena::Impl::note_gain(std::size_t bytes) {
  gained_bytes.store(gained_bytes.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
  gained_in_window += bytes;
  const unsigned percent = options.balance == nullptr
                               ? BalanceSettings::kWindowPercent
                               : options.balance->window_percent.load(std::memory_order_relaxed);
  const double window_pages = std::max(kWindowPagesMin, static_cast<double>(page_count) * percent / 100);
  if (static_cast<double>(gained_in_window) < window_pages * kPageBytes) return;
  gained_in_window = 0;
  ++window;
}

// The page that came last has become one of class `to`. One that was the pool's until then has not moved.
void Arena::Impl::note_move(unsigned to) {
  if (page_came_from == kToPool) return note_gain(kPageBytes);
  ++moves.moved;
  moves.last_from = page_came_from;
  moves.last_to = to;
  note_gain(kPageBytes);
}

void Arena::Impl::note_shortage(std::size_t bytes) {
  short_bytes += bytes;
  if (short_bytes < kPageBytes && !in_hurry.load(std::memory_order_relaxed)) return;
  short_bytes = 0;
  is_short.store(true, std::memory_order_relaxed);
}

// The share of the items in the page that have been used since their counters were cleared.
float Arena::Impl::sample_page(const Lane& lane, std::uint32_t slot, bool clear) {
  const LanePage& page = lane.page_at(slot);
  const std::uint32_t step = std::max(lane.chunks_per_page() / kItemsSampled, 4U);
  unsigned items = 0, used = 0;
  for (std::uint32_t i = page.first; i < page.fresh; i += step) {
    const ChunkAddress chunk = lane.address_of({slot, i});
    const std::uint32_t state = chunk_state(pool.chunk_pointer(chunk)).load(std::memory_order_relaxed);
    if (!is_linked(chunk_kind(state))) continue;
    if (owner.was_used(chunk, clear)) ++used;
    ++items;
  }
  return items == 0 ? 0 : static_cast<float>(used) / static_cast<float>(items);
}

double Arena::Impl::page_worth(const LanePage& page) {
  return page.used * static_cast<double>(page.used_share);
}

// Looks at those of the next few pages of the class that it is time for.
void Arena::Impl::look_at_class(SlabClass& slab_class) {
  double sum = 0;
  unsigned known = 0;
  for (unsigned i = 0; i < slab_class.lane_count; ++i) {
    Lane& lane = *slab_class.lanes[i];
    for (std::size_t n = 0; n < std::min<std::size_t>(kPagesPerLook, lane.pages()); ++n) {
      const std::uint32_t slot = lane.next_victim(1);
      if (slot == ~0U) break;
      LanePage& page = lane.page_at(slot);
      const bool before = page.looked_at != 0;
      if (!before || window >= page.looked_at + kWindowsBetweenLooks) {
        const float share = sample_page(lane, slot, true);
        // The better of two: what is in a page is not to be lost because of one poor sample.
        page.used_share = std::max(share, page.last_share);
        page.last_share = share;
        page.use_known = before;
        page.looked_at = window;
      }
      if (!page.use_known) continue;
      sum += page_worth(page);
      ++known;
    }
  }
  if (known == 0) {
    slab_class.mean_worth = -1;
    return;
  }
  const double mean = sum / known;
  slab_class.mean_worth = slab_class.mean_worth < 0 ? mean : (slab_class.mean_worth + mean) / 2;
}

// Of the next few pages in turn the one that is worth least; of equals the emptiest. ~0: the lane has no
// page, or with `worth_max` none that has been found to be worth no more: what has just been given to a class
// has to show its worth first.
std::uint32_t Arena::Impl::least_used_page(Lane& lane, const double* worth_max) {
  constexpr double kUnused = 0.1;  // an item that is not used is of some worth, too
  std::uint32_t best = ~0U;
  double least = 0;
  for (std::size_t n = 0; n < std::min<std::size_t>(kPagesPerLook, lane.pages()); ++n) {
    const std::uint32_t slot = lane.next_victim(1);
    if (slot == ~0U || lane.page_at(slot).used == 0) return slot;
    const LanePage& page = lane.page_at(slot);
    if (worth_max != nullptr && (!page.use_known || page_worth(page) > *worth_max)) continue;
    const double share = page.use_known ? page.used_share : sample_page(lane, slot, false);
    const double worth = page.used * (share + kUnused);
    if (best != ~0U && worth >= least) continue;
    least = worth;
    best = slot;
  }
  return best;
}

// The class with the page that is worth least, as far as is known; 0: nothing is.
unsigned Arena::Impl::giver_for(unsigned taker) const {
  unsigned giver = 0;
  for (unsigned number = 1; number <= classes.count(); ++number) {
    const SlabClass& each = per_class[number];
    if (number == taker || each.mean_worth < 0) continue;
    if (giver == 0 || each.mean_worth < per_class[giver].mean_worth) giver = number;
  }
  return giver;
}

// Each look goes on to the next class in turn, so that what is known of them does not grow old.
void Arena::Impl::look_at_next_class() {
  for (unsigned i = 0; i < classes.count(); ++i) {
    class_looked_at = class_looked_at % classes.count() + 1;
    if (per_class[class_looked_at].pages() == 0) continue;
    look_at_class(per_class[class_looked_at]);
    return;
  }
}

// The chunks of a page of `from` to be emptied per allocation in `to`: it is ready before a page's worth of
// these was evicted, but no allocation takes long.
unsigned Arena::Impl::emptying_step(unsigned from, unsigned to) const {
  constexpr unsigned kFaster = 4, kStepMin = 32, kStepMax = 128;
  return std::clamp(kFaster * classes.chunks_per_page(from) / classes.chunks_per_page(to), kStepMin,
                    kStepMax);
}

unsigned Arena::Impl::take_credit(unsigned chunks) {
  const unsigned left = credit.load(std::memory_order_relaxed);
  const unsigned taken = std::min(left, chunks);
  credit.store(left - taken, std::memory_order_relaxed);
  return taken;
}

unsigned Arena::take_credit(unsigned chunks) {
  return impl_->take_credit(chunks);
}

void Arena::end_turn() {
  impl_->turns.store(impl_->turns.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  impl_->credit.store(kChunksPerTurn, std::memory_order_relaxed);
}

std::uint32_t Arena::turns() const {
  return impl_->turns.load(std::memory_order_relaxed);
}

// Makes a page of another class leave for this one, or goes on with it.
void Arena::Impl::take_less_used_page(unsigned number, Leaving& leaving) {
  const BalanceSettings* const balance = options.balance;
  if (departure.lane != nullptr) {
    if (departure.to == number) step_leaving(take_credit(emptying_step(departure.from, number)), leaving);
    return;
  }
  if (balance == nullptr || !options.evict || !balance->on.load(std::memory_order_relaxed)) return;
  SlabClass& taker = per_class[number];
  if (taker.bytes_to_look > 0) return;
  taker.bytes_to_look = kLookBytes;
  if (taker.pages() == page_count) return;
  look_at_next_class();
  const unsigned giver = giver_for(number);
  if (giver == 0) return;
  look_at_class(per_class[giver]);
  const float returns = options.lru ? kReturnsLru : std::max(taker.returning_share, kReturnsMin);
  // A page is much of what a class of few pages has: such a class gives only what is not used at all.
  const double share = per_class[giver].pages() < kPagesToSpare ? kUnusedShare : 1;
  const double wanted = share * kCaution * balance->ratio.load(std::memory_order_relaxed) *
                        classes.chunks_per_page(number) * returns;
  const double worth = per_class[giver].mean_worth;
  const bool far_apart = worth >= 0 && worth * kFarApart < wanted;
  const std::uint64_t evicted_min = far_apart ? 0 : worth * kApart < wanted ? kPageBytes : kEvictedWhenNear;
  if (worth < 0 || worth >= wanted || taker.evicted_since_page < evicted_min) return;
  if (prepare_attach(number) == nullptr || !begin_leaving_of(giver, number, &wanted)) return;
  departure.by_itself = true;
  departure.far_apart = far_apart;
  step_leaving(take_credit(kEmptyingStep), leaving);
}

std::uint64_t Arena::bytes_gained() const {
  return impl_->gained_bytes.load(std::memory_order_relaxed);
}

std::size_t Arena::pages_held() const {
  return impl_->pages_held.load(std::memory_order_relaxed);
}

bool Arena::take_shortage() {
  return impl_->is_short.load(std::memory_order_relaxed) &&
         impl_->is_short.exchange(false, std::memory_order_relaxed);
}

void Arena::hurry(bool on) {
  impl_->in_hurry.store(on, std::memory_order_relaxed);
}

PageMoveStats Arena::move_stats() {
  const std::lock_guard guard(impl_->lock);
  return impl_->moves;
}

}  // namespace ringcached::store
