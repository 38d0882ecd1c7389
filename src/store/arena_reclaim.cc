#include <algorithm>
#include <array>

#include "store/arena_impl.h"

namespace ringcached::store {
namespace {

// Candidates evicted whatever their counters say, when kEvictionTries were all in use: some may be busy.
constexpr unsigned kForcedTries = 8;
// Items evicted for one chunk: some may be in the page that is leaving.
constexpr unsigned kEvictionsMax = 8;

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
    const auto expect = [&](ChunkAddress chunk) { owner.expect_eviction(chunk); };
    for (unsigned tries = 0; !freed && tries < tries_max;) {
      const S3Fifo::Eviction eviction = lane.evict(tries_max - tries, decide, expect);
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

// The pool is used up. `leaving` takes a page that could not be made one of this class for want of heap.
Chunk Arena::Impl::allocate_under_pressure(unsigned slab_class, Effort effort, Leaving& leaving) {
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
  want_reserve();
  take_less_used_page(slab_class, leaving);
  if (const Chunk chunk = take(slab_class)) return chunk;
  // A chunk of a page that is leaving comes back to nobody.
  for (unsigned tries = 0; tries < kEvictionsMax && options.evict && evict_in(slab_class); ++tries) {
    if (const Chunk chunk = take(slab_class)) return chunk;
  }
  const bool attachable = prepare_attach(slab_class) != nullptr;
  // Without eviction, too: another class may have a page without items.
  do {
    const PageId page = attachable ? page_at_once(effort) : kNoPage;
    if (page != kNoPage && !attach(slab_class, page)) {
      leaving.add(page);
    } else if (page != kNoPage) {
      note_move(slab_class);
      want_reserve();
    }
    // Emptying pages may also have freed chunks of this class without freeing a page.
    if (const Chunk chunk = take(slab_class)) return chunk;
    // Before it fails, all that others have given back.
  } while (drain_remote(kReturnedStep, nullptr) != 0);
  return take_parked();
}

}  // namespace ringcached::store
