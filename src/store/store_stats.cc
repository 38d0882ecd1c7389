#include <algorithm>
#include <bit>

#include "store/store_core.h"

namespace ringcached::store {
namespace {

void add(StoreStats& sum, const StoreCounters& counters) {
  sum.items += counters.items_linked.get() - counters.items_unlinked.get();
  sum.bytes += counters.bytes_linked.get() - counters.bytes_unlinked.get();
  sum.total_items += counters.total_items.get();
  sum.evictions += counters.evictions.get();
  sum.evicted_unfetched += counters.evicted_unfetched.get();
  sum.evicted_active += counters.evicted_active.get();
  sum.expired_unfetched += counters.expired_unfetched.get();
  sum.reclaimed += counters.reclaimed.get();
  sum.reaper_checked += counters.reaper_checked.get();
  sum.reaper_reclaimed += counters.reaper_reclaimed.get();
  sum.read_retries += counters.read_retries.get();
  sum.read_locked += counters.read_locked.get();
  sum.found_expired += counters.found_expired.get();
  sum.found_flushed += counters.found_flushed.get();
  sum.in_place_overwrites += counters.in_place_overwrites.get();
  sum.pages_moved += counters.pages_moved.get();
  sum.page_steals += counters.page_steals.get();
  sum.out_of_memory += counters.out_of_memory.get();
}

void add(ArenaClassStats& sum, const ArenaClassStats& stats) {
  sum.pages += stats.pages;
  sum.chunks_used += stats.chunks_used;
  sum.chunks_free += stats.chunks_free;
  sum.small_entries += stats.small_entries;
  sum.main_entries += stats.main_entries;
  sum.ghost_entries += stats.ghost_entries;
  sum.evicted += stats.evicted;
  sum.evicted_nonzero += stats.evicted_nonzero;
  sum.evicted_unfetched += stats.evicted_unfetched;
  sum.evicted_active += stats.evicted_active;
  sum.reclaimed += stats.reclaimed;
  sum.out_of_memory += stats.out_of_memory;
  sum.promoted += stats.promoted;
  sum.ghost_hits += stats.ghost_hits;
  if (stats.evicted > 0) sum.last_eviction_age_seconds = stats.last_eviction_age_seconds;
}

// An item linked by one thread and unlinked by another leaves both cells off by one; read at different
// moments, a sum may even be below zero for an instant.
std::uint64_t not_negative(std::uint64_t sum) {
  return static_cast<std::int64_t>(sum) < 0 ? 0 : sum;
}

}  // namespace

StoreStats Store::stats() const {
  const StoreCore& core = *impl_;
  StoreStats sum;
  for (unsigned id = 0; id < core.attached.load(std::memory_order_acquire); ++id) {
    add(sum, core.states[id]->ledger.counters);
    add(sum, core.owners[id]->ledger().counters);
    const PageMoveStats moves = core.arenas[id]->move_stats();
    sum.pages_moved += moves.moved;
    sum.moved_reclaimed += moves.reclaimed;
    sum.moved_evicted += moves.evicted;
    sum.moved_busy += moves.busy;
    sum.queue_bytes += core.arenas[id]->overhead_bytes();
  }
  sum.items = not_negative(sum.items);
  sum.bytes = not_negative(sum.bytes);
  sum.limit_bytes = core.pool->limit_bytes();
  sum.page_bytes_used = core.pool->pages_used() * kPageBytes;
  sum.page_bytes_resident = core.pool->pages_resident() * kPageBytes;
  sum.pages_free = core.pool->pages_free();
  constexpr unsigned kSlotsPower = 3;
  sum.index_power = static_cast<unsigned>(std::bit_width(core.index->bucket_count())) - 1 + kSlotsPower;
  sum.index_bytes = core.index->bytes_used();
  sum.index_growing = core.index->wants_growth();
  return sum;
}

std::vector<Store::NodeStats> Store::node_stats() const {
  const StoreCore& core = *impl_;
  const unsigned attached = core.attached.load(std::memory_order_acquire);
  std::vector<NodeStats> shares(core.pool->part_count());
  for (unsigned part = 0; part < shares.size(); ++part) {
    static_cast<PoolNodeStats&>(shares[part]) = core.pool->part_stats(part);
    core.pool->for_each_known_page(part, [&](PageId page) {
      const PageInfo& info = core.pool->info(page);
      const unsigned arena = info.arena.load(std::memory_order_relaxed);
      if (info.slab_class.load(std::memory_order_relaxed) == PageInfo::kNoClass || arena >= attached) return;
      ++(core.arenas[arena]->part() == part ? shares[part].pages_used_here : shares[part].pages_used_away);
    });
  }
  for (unsigned id = 0; id < attached; ++id) {
    NodeStats& share = shares[core.arenas[id]->part()];
    ++share.threads;
    for (unsigned slab_class = 1; slab_class <= core.classes.count(); ++slab_class) {
      share.chunks_used += core.arenas[id]->class_stats(slab_class).chunks_used;
    }
    share.total_items += core.states[id]->ledger.counters.total_items.get();
    share.page_steals += core.states[id]->ledger.counters.page_steals.get();
    share.evictions += core.owners[id]->ledger().counters.evictions.get();
  }
  return shares;
}

unsigned Store::class_count() const {
  return impl_->classes.count();
}

namespace {

// Seconds since the last use of the item that is next in the queue; the longest of several arenas.
struct OldestUse {
  const StoreCore& core;
  CacheTime now;
  std::uint32_t seconds = 0;

  static void on_item(void* context, ChunkAddress chunk, std::uint32_t /*state*/) {
    auto& oldest = *static_cast<OldestUse*>(context);
    const std::uint32_t access = shared_load32(oldest.core.item(chunk) + kAccessOffset);
    oldest.seconds = std::max(oldest.seconds, idle_seconds(access, oldest.now));
  }
};

}  // namespace

Store::ClassStats Store::class_stats(unsigned slab_class) const {
  const StoreCore& core = *impl_;
  ClassStats sum;
  if (slab_class == 0 || slab_class > core.classes.count()) return sum;
  sum.chunk_bytes = core.classes.chunk_bytes(slab_class);
  sum.chunks_per_page = core.classes.chunks_per_page(slab_class);
  const CacheTime now = core.latest_now.load(std::memory_order_relaxed);
  OldestUse small{core, now}, main{core, now};
  for (unsigned id = 0; id < core.attached.load(std::memory_order_acquire); ++id) {
    add(sum, core.arenas[id]->class_stats(slab_class));
    core.arenas[id]->visit_oldest(slab_class, Queue::kSmall, &OldestUse::on_item, &small);
    core.arenas[id]->visit_oldest(slab_class, Queue::kMain, &OldestUse::on_item, &main);
    const Ledger* const ledgers[] = {&core.states[id]->ledger, &core.owners[id]->ledger()};
    for (const Ledger* ledger : ledgers) {
      const Ledger::ClassCells& cells = ledger->classes[slab_class];
      sum.items += cells.items.get();
      sum.bytes_requested += cells.bytes.get();
      sum.expired_unfetched += cells.expired_unfetched.get();
      sum.reaper_checked += cells.reaper_checked.get();
      sum.reaper_reclaimed += cells.reaper_reclaimed.get();
    }
  }
  sum.small_age_seconds = small.seconds;
  sum.main_age_seconds = main.seconds;
  sum.items = not_negative(sum.items);
  sum.bytes_requested = not_negative(sum.bytes_requested);
  return sum;
}

}  // namespace ringcached::store
