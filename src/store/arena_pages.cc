// Pages that leave their class: emptied in steps of a bounded number of chunks, so that a page of thousands
// of items makes nobody's turn long, and one kept in reserve for who needs a page at once.
#include <algorithm>
#include <array>
#include <utility>

#include "store/arena_impl.h"

namespace ringcached::store {
namespace {

// Taking a page: classes tried, pages tried in each.
constexpr unsigned kVictimClasses = 3;
constexpr unsigned kVictimPages = 4;
// Items of a page that is emptied are asked for so many at a time: their buckets lie anywhere in the index.
constexpr std::uint32_t kEmptyingBatch = 32;
// One page of so many is kept in reserve, and of a few as well; of fewer it would be too much.
constexpr std::size_t kPagesPerReserved = 64, kPagesForReserve = 32;
// So many free pages of the pool are no page on its way from one arena to another: memory is no longer short.
constexpr std::size_t kFreeAgain = 16;

// The state word of a chunk that may be another arena's and change hands at this moment.
#if defined(__clang__) || defined(__GNUC__)
__attribute__((no_sanitize("address")))
#endif
std::uint32_t
racy_state(const std::byte* chunk) {
  return __atomic_load_n(reinterpret_cast<const std::uint32_t*>(chunk + kStateOffset), __ATOMIC_RELAXED);
}

}  // namespace

// Evicts the chain that `part` belongs to; its parts of this arena come back through the remote list.
bool Arena::Impl::empty_part(ChunkAddress part) {
  const ChunkAddress head = owner.head_of(part);
  if (head == kNoChunk) return false;
  const std::uint32_t generation = chunk_generation(racy_state(pool.chunk_pointer(head)));
  if (ask_owner(head, generation, Queue::kMain, true).verdict != Verdict::kEvicted) return false;
  if (pool.info(pool.page_of(head)).arena.load(std::memory_order_relaxed) == options.id) {
    give_back(lane_of(head), head);
  } else {
    owner.free_elsewhere(head);
  }
  return true;
}

// A look without consequences: such a page would be emptied in vain.
bool Arena::Impl::blocked_page(const Lane& lane, std::uint32_t slot) const {
  const LanePage& page = lane.page_at(slot);
  if (!options.evict) return page.used != 0;
  const bool pinnable = lane.chunk_bytes() >= PagePool::kPinGrainBytes;
  for (std::uint32_t i = page.first; i < page.fresh && page.used != 0; ++i) {
    const ChunkAddress chunk = lane.address_of({slot, i});
    const ChunkKind kind = chunk_kind(chunk_state(pool.chunk_pointer(chunk)).load(std::memory_order_relaxed));
    if (kind == ChunkKind::kFilling || kind == ChunkKind::kLinking || kind == ChunkKind::kLimbo) return true;
    if (kind != ChunkKind::kFree && pinnable && pool.pins(chunk).load(std::memory_order_seq_cst) != 0)
      return true;
  }
  return false;
}

// The batch of chunks of the page that begins with `first`.
void Arena::Impl::expect_evictions(const Lane& lane, std::uint32_t slot, std::uint32_t first) {
  const std::uint32_t end = std::min(first + kEmptyingBatch, lane.page_at(slot).fresh);
  for (std::uint32_t i = first; i < end; ++i) {
    const ChunkAddress chunk = lane.address_of({slot, i});
    const std::uint32_t state = chunk_state(pool.chunk_pointer(chunk)).load(std::memory_order_relaxed);
    if (is_linked(chunk_kind(state))) owner.expect_eviction(chunk);
  }
}

bool Arena::Impl::empty_chunks(Lane& lane, std::uint32_t slot, std::uint32_t& first,
                               std::uint32_t chunks_max) {
  const LanePage& page = lane.page_at(slot);
  const std::uint32_t end = first + std::min(chunks_max, page.fresh - first);
  const std::uint32_t start = first;
  const unsigned returned_max = chunks_max == kAtOnce ? ~0U : kReturnedStep;
  unsigned returned = 0;
  bool possible = true;
  emptying = true;
  for (; possible && first < end && page.used != 0; ++first) {
    if ((first - start) % kEmptyingBatch == 0) expect_evictions(lane, slot, first);
    const ChunkAddress chunk = lane.address_of({slot, first});
    const std::uint32_t state = chunk_state(pool.chunk_pointer(chunk)).load(std::memory_order_relaxed);
    if (is_linked(chunk_kind(state))) {
      const ItemOwner::Decision decision = ask_owner(chunk, chunk_generation(state), Queue::kMain, true);
      possible = decision.verdict == Verdict::kEvicted;
      if (!possible) break;
      ++(decision.expired ? moves.reclaimed : moves.evicted);
      give_back(lane, chunk);
      returned += drain_remote(returned_max - returned, nullptr);  // its parts, which may lie here, too
    } else if (chunk_kind(state) == ChunkKind::kPart) {
      possible = empty_part(chunk);
      returned += drain_remote(returned_max - returned, nullptr);
    }
  }
  emptying = false;
  return possible;
}

// --- In steps.

bool Arena::Impl::begin_leaving_of(unsigned number, unsigned to, const double* worth_max) {
  SlabClass& slab_class = per_class[number];
  for (unsigned i = 0; i < slab_class.lane_count; ++i) {
    Lane& lane = *slab_class.lanes[i];
    for (unsigned tried = 0; tried < kVictimPages; ++tried) {
      const std::uint32_t slot = least_used_page(lane, worth_max);
      if (slot == ~0U) break;
      if (blocked_page(lane, slot)) {
        ++moves.busy;
        continue;
      }
      lane.set_leaving(slot, true);
      departure = {.lane = &lane, .slot = slot, .next = lane.page_at(slot).first, .from = number, .to = to};
      return true;
    }
  }
  return false;
}

bool Arena::Impl::begin_leaving(unsigned number, unsigned to) {
  drain_remote(kReturnedStep, nullptr);
  if (number != kAnyClass) return number <= classes.count() && begin_leaving_of(number, to);
  std::array<bool, SlabClasses::kClassesMax + 1> excluded{};
  for (unsigned tried = 0; tried < kVictimClasses; ++tried) {
    const unsigned victim = victim_class(excluded, false);
    if (victim == kAnyClass) return false;
    if (begin_leaving_of(victim, to)) return true;
    excluded[victim] = true;
  }
  return false;
}

// A page that has left for what it left for.
void Arena::Impl::arrive(const Departure& departed, PageId page, Leaving& to_pool) {
  // A class that takes pages by itself may be what uses the reserve up: what it must keep comes first.
  const bool missing = departed.by_itself && reserve_count < reserve_kept();
  if ((missing || departed.to == kToReserve) && reserve_count < kReserveMax) {
    reserve[reserve_count++] = {page, departed.from};
    want_reserve();
    if (missing) per_class[departed.to].bytes_to_look = 0;
    return;
  }
  if (departed.to == kToPool || departed.to == kToReserve || !attach(departed.to, page)) {
    to_pool.add(page);
    return;
  }
  if (!departed.by_itself) return;
  page_came_from = departed.from;
  note_move(departed.to);
  SlabClass& taker = per_class[departed.to];
  taker.evicted_since_page = 0;
  if (departed.far_apart) taker.bytes_to_look = 0;
}

Arena::PageStep Arena::Impl::step_leaving(unsigned chunks_max, Leaving& to_pool) {
  const Departure current = departure;
  Lane& lane = *current.lane;
  const LanePage& page = lane.page_at(current.slot);
  drain_remote(kReturnedStep, nullptr);
  const bool possible = empty_chunks(lane, current.slot, departure.next, chunks_max);
  if (page.used == 0) {
    arrive(current, detach(lane, current.slot), to_pool);
    return PageStep::kGone;
  }
  if (possible && departure.next < page.fresh) return PageStep::kUnderWay;
  // What is missing may be among what others have freed.
  if (possible && has_returned() && ++departure.waits < kReturnWaits) return PageStep::kUnderWay;
  abandon_leaving();
  return PageStep::kNone;
}

void Arena::Impl::abandon_leaving() {
  departure.lane->set_leaving(departure.slot, false);
  departure.lane = nullptr;
  ++moves.busy;
}

Arena::PageStep Arena::Impl::give_page(unsigned from, unsigned to, unsigned chunks_max, Leaving& to_pool) {
  const bool from_reserve = to == kToPool && from == kAnyClass;
  if (from_reserve && give_reserved(reserve_kept(), to_pool)) return PageStep::kGone;
  if (departure.lane != nullptr) return step_leaving(chunks_max, to_pool);
  // A page that stays after all has lost what could be evicted: the next attempt meets another.
  for (unsigned tried = 0; tried < kDepartureTries; ++tried) {
    if (!begin_leaving(from, to)) break;
    const PageStep step = step_leaving(chunks_max, to_pool);
    if (step != PageStep::kNone) return step;
  }
  return from_reserve && give_reserved(0, to_pool) ? PageStep::kGone : PageStep::kNone;
}

// Not the last `kept`.
bool Arena::Impl::give_reserved(std::size_t kept, Leaving& to_pool) {
  if (reserve_count <= kept) return false;
  to_pool.add(reserve[--reserve_count].page);
  want_reserve();
  return true;
}

// What is due between turns.
void Arena::Impl::step_page(Leaving& to_pool) {
  const std::size_t free = pool.pages_free();
  while (reserve_count != 0 && free > kFreeAgain) to_pool.add(reserve[--reserve_count].page);
  if (departure.lane != nullptr) {
    step_leaving(kEmptyingStep, to_pool);
    return;
  }
  if (page_asked.exchange(false, std::memory_order_relaxed)) {
    give_page(kAnyClass, kToPool, kEmptyingStep, to_pool);
    want_reserve();
    return;
  }
  if (!std::exchange(reserve_wanted, false) || reserve_count >= reserve_size() || free != 0) return;
  const bool begun = begin_leaving(kAnyClass, kToReserve);
  if (begun && step_leaving(kEmptyingStep, to_pool) != PageStep::kNone) return;
  reserve_not_before = gained_bytes.load(std::memory_order_relaxed) + kPageBytes;
}

std::size_t Arena::Impl::reserve_of(std::size_t held) {
  if (held < kPagesForReserve) return 0;
  return std::clamp(held / kPagesPerReserved, std::size_t{1}, kReserveMax);
}

std::size_t Arena::Impl::reserve_size() const {
  return reserve_of(page_count + reserve_count);
}

// What others do not get, so that a class of this arena that needs a page at once finds one.
std::size_t Arena::Impl::reserve_kept() const {
  return (reserve_size() + 1) / 2;
}

// There soon will be pressure: with each of the last free pages that it takes, an arena takes one for its
// reserve. The free ones, too, are counted as those of arenas.
bool Arena::Impl::wants_free_page() const {
  const std::size_t free = pool.pages_free();
  if (!options.evict || free > kFreeAgain) return false;
  return reserve_count < reserve_of(page_count + reserve_count + free);
}

void Arena::Impl::keep_in_reserve(PageId page, Leaving& to_pool) {
  if (reserve_count == kReserveMax) {
    to_pool.add(page);
  } else {
    reserve[reserve_count++] = {page, kToPool};
  }
}

// There is pressure.
void Arena::Impl::want_reserve() {
  if (!options.evict || reserve_count >= reserve_size()) return;
  if (gained_bytes.load(std::memory_order_relaxed) >= reserve_not_before) reserve_wanted = true;
}

void Arena::Impl::note_page_work() {
  const bool work = departure.lane != nullptr || reserve_wanted;
  if (page_work.load(std::memory_order_relaxed) != work) page_work.store(work, std::memory_order_relaxed);
}

// --- At once.

// Evicts what is in the page. False when something in it cannot be evicted now; what could is gone then.
bool Arena::Impl::empty_page(Lane& lane, std::uint32_t slot) {
  if (blocked_page(lane, slot)) {
    ++moves.busy;
    return false;
  }
  std::uint32_t first = lane.page_at(slot).first;
  empty_chunks(lane, slot, first, kAtOnce);
  return lane.page_at(slot).used == 0;
}

// Not an excluded class; kAnyClass when there is nothing to take. `at_once`: one whose pages are soon
// emptied.
unsigned Arena::Impl::victim_class(const std::array<bool, SlabClasses::kClassesMax + 1>& excluded,
                                   bool at_once) const {
  unsigned best = kAnyClass;
  double best_score = 0;
  for (unsigned number = 1; number <= classes.count(); ++number) {
    const SlabClass& slab_class = per_class[number];
    const std::size_t count = slab_class.pages();
    if (count == 0 || excluded[number]) continue;
    const std::size_t free_pages =
        slab_class.chunks_used() == 0 ? count : slab_class.chunks_free() / classes.chunks_per_page(number);
    // Free memory first; then what is worth least; the only page of a class last.
    constexpr double kFreeFirst = 1e12, kOnlyPage = 1e-6;
    double score = static_cast<double>(count) / (1 + std::max(slab_class.mean_worth, 0.0));
    if (count == 1) score *= kOnlyPage;
    if (at_once) score /= 1 + static_cast<double>(classes.chunks_per_page(number)) / kEmptyingStep;
    if (free_pages != 0) score = kFreeFirst * static_cast<double>(free_pages);
    if (score <= best_score) continue;
    best = number;
    best_score = score;
  }
  return best;
}

// Of no more than `items_max`.
PageId Arena::Impl::take_page_of(unsigned number, std::uint32_t items_max) {
  SlabClass& slab_class = per_class[number];
  for (unsigned i = 0; i < slab_class.lane_count; ++i) {
    Lane& lane = *slab_class.lanes[i];
    for (unsigned tried = 0; tried < kVictimPages; ++tried) {
      const std::uint32_t slot = least_used_page(lane, nullptr);
      if (slot == ~0U) break;
      if (lane.page_at(slot).used > items_max || !empty_page(lane, slot)) continue;
      page_came_from = number;
      return detach(lane, slot);
    }
  }
  return kNoPage;
}

PageId Arena::Impl::take_page(std::uint32_t items_max) {
  std::array<bool, SlabClasses::kClassesMax + 1> excluded{};
  for (unsigned tried = 0; tried < kVictimClasses; ++tried) {
    const unsigned victim = victim_class(excluded, true);
    if (victim == kAnyClass) return kNoPage;
    const PageId page = take_page_of(victim, items_max);
    if (page != kNoPage) return page;
    excluded[victim] = true;
  }
  return kNoPage;
}

// The page that is leaving, whatever for, if there are no more than `items_max` left in it; kNoPage if it
// stays.
PageId Arena::Impl::finish_leaving(std::uint32_t items_max) {
  Lane& lane = *departure.lane;
  const std::uint32_t slot = departure.slot;
  if (lane.page_at(slot).used > items_max) return kNoPage;
  empty_chunks(lane, slot, departure.next, kAtOnce);
  if (lane.page_at(slot).used != 0) {
    abandon_leaving();
    return kNoPage;
  }
  page_came_from = departure.from;
  return detach(lane, slot);
}

// A class has nothing that it could evict, and needs a page.
PageId Arena::Impl::page_at_once(Effort effort) {
  const std::uint32_t items_max = effort == Effort::kFull ? ~std::uint32_t{0} : kEmptyingStep;
  drain_remote(kReturnedStep, nullptr);
  PageId page = kNoPage;
  if (reserve_count != 0) {
    const Emptied& emptied = reserve[--reserve_count];
    page_came_from = emptied.from;
    page = emptied.page;
  } else if (departure.lane != nullptr) {
    page = finish_leaving(items_max);
  }
  return page != kNoPage ? page : take_page(items_max);
}

}  // namespace ringcached::store
