#include <algorithm>
#include <array>

#include "store/arena_impl.h"

namespace ringcached::store {
namespace {

// Candidates evicted whatever their counters say, when kEvictionTries were all in use: some may be busy.
constexpr unsigned kForcedTries = 8;
// Taking a page: classes tried, pages tried in each.
constexpr unsigned kVictimClasses = 3;
constexpr unsigned kVictimPages = 4;

// The state word of a chunk that may be another arena's and change hands at this moment.
#if defined(__clang__) || defined(__GNUC__)
__attribute__((no_sanitize("address")))
#endif
std::uint32_t
racy_state(const std::byte* chunk) {
  return __atomic_load_n(reinterpret_cast<const std::uint32_t*>(chunk + kStateOffset), __ATOMIC_RELAXED);
}

}  // namespace

// In proportion to what the lanes hold, so that their items live equally long.
Lane& Arena::Impl::lane_to_evict_from(SlabClass& slab_class) {
  if (slab_class.lane_count == 1) return *slab_class.lanes[0];
  std::size_t entries = 0;
  for (unsigned i = 0; i < slab_class.lane_count; ++i) entries += slab_class.lanes[i]->policy().size();
  constexpr std::uint64_t kGoldenRatio = 0x9E3779B97F4A7C15;  // a Weyl sequence: spread evenly over 64 bits,
  constexpr unsigned kBits = 24;                              // of which these times the entries fit into 64
  lane_choice += kGoldenRatio;
  std::size_t at = (lane_choice >> (64 - kBits)) * entries >> kBits;
  unsigned i = 0;
  while (i + 1 < slab_class.lane_count && at >= slab_class.lanes[i]->policy().size()) {
    at -= slab_class.lanes[i++]->policy().size();
  }
  return *slab_class.lanes[i];
}

ItemOwner::Decision Arena::Impl::ask_owner(ChunkAddress chunk, std::uint32_t generation, Queue queue,
                                           bool force) {
  const ItemOwner::Decision decision = owner.try_evict(chunk, generation, queue, force);
  if (decision.verdict == Verdict::kEvicted) {
    const unsigned number = pool.info(pool.page_of(chunk)).slab_class.load(std::memory_order_relaxed);
    if (number <= classes.count()) count_eviction(per_class[number], decision);
  }
  return decision;
}

void Arena::Impl::count_eviction(SlabClass& slab_class, const ItemOwner::Decision& decision) {
  ArenaClassStats& stats = slab_class.stats;
  if (decision.expired) {
    ++stats.reclaimed;
    return;
  }
  ++stats.evicted;
  if (decision.has_expiry) ++stats.evicted_nonzero;
  if (!decision.fetched) ++stats.evicted_unfetched;
  if (decision.active) ++stats.evicted_active;
  stats.last_eviction_age_seconds = decision.idle_seconds;
}

bool Arena::Impl::evict_in(unsigned number) {
  SlabClass& slab_class = per_class[number];
  if (slab_class.lane_count == 0) return false;
  Lane& lane = lane_to_evict_from(slab_class);
  bool freed = false;
  const auto round = [&](unsigned tries_max, bool force) {
    ChunkAddress evicted = kNoChunk;
    const auto decide = [&](ChunkAddress chunk, std::uint32_t generation, Queue queue) -> S3Fifo::Candidate {
      const ItemOwner::Decision decision = ask_owner(chunk, generation, queue, force);
      evicted = chunk;
      return {.verdict = decision.verdict, .fingerprint = decision.fingerprint, .ghost = !decision.expired};
    };
    for (unsigned tries = 0; !freed && tries < tries_max;) {
      const S3Fifo::Eviction eviction = lane.evict(tries_max - tries, decide);
      tries += eviction.tries;
      slab_class.stats.promoted += eviction.promoted;
      if (!eviction.evicted) return;
      const std::size_t used = lane.chunks_used();
      give_back(lane, evicted);
      freed = lane.chunks_used() < used;  // else it is pinned
    }
  };
  round(kEvictionTries, false);
  if (!freed) round(kForcedTries, true);
  if (freed) {
    const std::size_t bytes = classes.chunk_bytes(number);
    note_gain(bytes);
    note_shortage(bytes);
    slab_class.bytes_to_look -= static_cast<std::int64_t>(bytes);
    slab_class.evicted_since_page += bytes;
  }
  return freed;
}

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
    if (kind == ChunkKind::kFilling || kind == ChunkKind::kLimbo) return true;
    if (kind != ChunkKind::kFree && pinnable && pool.pins(chunk).load(std::memory_order_seq_cst) != 0)
      return true;
  }
  return false;
}

// Evicts what is in the page. False when something in it cannot be evicted now; what could is gone then.
bool Arena::Impl::empty_page(Lane& lane, std::uint32_t slot) {
  if (blocked_page(lane, slot)) {
    ++moves.busy;
    return false;
  }
  const LanePage& page = lane.page_at(slot);
  bool possible = true;
  emptying = true;
  for (std::uint32_t i = page.first; possible && i < page.fresh && page.used != 0; ++i) {
    const ChunkAddress chunk = lane.address_of({slot, i});
    const std::uint32_t state = chunk_state(pool.chunk_pointer(chunk)).load(std::memory_order_relaxed);
    if (chunk_kind(state) == ChunkKind::kItem) {
      const ItemOwner::Decision decision = ask_owner(chunk, chunk_generation(state), Queue::kMain, true);
      possible = decision.verdict == Verdict::kEvicted;
      if (possible) {
        ++(decision.expired ? moves.reclaimed : moves.evicted);
        give_back(lane, chunk);
      }
    } else if (chunk_kind(state) == ChunkKind::kPart) {
      possible = empty_part(chunk);
      drain_remote(~0U, nullptr);
    }
  }
  emptying = false;
  return page.used == 0;
}

// Without an excluded class: kAnyClass when there is nothing to take.
unsigned Arena::Impl::victim_class(const std::array<bool, SlabClasses::kClassesMax + 1>& excluded) const {
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
    if (free_pages != 0) score = kFreeFirst * static_cast<double>(free_pages);
    if (score <= best_score) continue;
    best = number;
    best_score = score;
  }
  return best;
}

PageId Arena::Impl::take_page_of(unsigned number, const double* worth_max) {
  SlabClass& slab_class = per_class[number];
  for (unsigned i = 0; i < slab_class.lane_count; ++i) {
    Lane& lane = *slab_class.lanes[i];
    for (unsigned tried = 0; tried < kVictimPages; ++tried) {
      const std::uint32_t slot = least_used_page(lane, worth_max);
      if (slot == ~0U) break;
      if (!empty_page(lane, slot)) continue;
      page_came_from = number;
      return detach(lane, slot);
    }
  }
  return kNoPage;
}

PageId Arena::Impl::take_page(unsigned slab_class) {
  drain_remote(~0U, nullptr);
  if (slab_class != kAnyClass) return slab_class <= classes.count() ? take_page_of(slab_class) : kNoPage;
  std::array<bool, SlabClasses::kClassesMax + 1> excluded{};
  for (unsigned tried = 0; tried < kVictimClasses; ++tried) {
    const unsigned victim = victim_class(excluded);
    if (victim == kAnyClass) return kNoPage;
    const PageId page = take_page_of(victim);
    if (page != kNoPage) return page;
    excluded[victim] = true;
  }
  return kNoPage;
}

// The pool is used up. `leaving` takes a page that could not be made one of this class for want of heap.
Chunk Arena::Impl::allocate_under_pressure(unsigned slab_class, Leaving& leaving) {
  // First what costs nobody an item: chunks set aside until the queues have forgotten them. A page given to a
  // class again can consist of these alone.
  SlabClass& wanted = per_class[slab_class];
  const auto take_parked = [&]() -> Chunk {
    for (unsigned i = 0; i < wanted.lane_count; ++i) {
      if (wanted.lanes[i]->unpark()) return wanted.lanes[i]->take();
    }
    return {};
  };
  if (const Chunk chunk = take_parked()) return chunk;
  if (take_less_used_page(slab_class, leaving)) {
    if (const Chunk chunk = take(slab_class)) return chunk;
  }
  if (options.evict && evict_in(slab_class)) {
    if (const Chunk chunk = take(slab_class)) return chunk;
  }
  // Without eviction, too: another class may have a page without items.
  const PageId page = take_page(kAnyClass);
  if (page != kNoPage && !attach(slab_class, page)) {
    leaving.add(page);
  } else if (page != kNoPage) {
    note_move(slab_class);
  }
  // Emptying pages may also have freed chunks of this class without freeing a page.
  if (const Chunk chunk = take(slab_class)) return chunk;
  return take_parked();
}

}  // namespace ringcached::store
