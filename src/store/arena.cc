#include "store/arena.h"

#include <mutex>
#include <new>

#include "base/assert.h"
#include "store/arena_impl.h"

namespace ringcached::store {
namespace {

// Chunks taken from the remote list per allocation; the rest waits for the next ones.
constexpr unsigned kRemoteBatch = 128;
constexpr unsigned kLimboBatch = 2;
// A page that has become empty goes back to the pool when its lane has this many pages' worth of free chunks
// besides.
constexpr std::size_t kSparePages = 1;

}  // namespace

Lane* Arena::Impl::lane_with_room(unsigned number) {
  SlabClass& slab_class = per_class[number];
  for (unsigned i = 0; i < slab_class.lane_count; ++i) {
    if (!slab_class.lanes[i]->full()) return slab_class.lanes[i].get();
  }
  if (slab_class.lane_count == kLanesMax) return nullptr;
  const Lane::Config config{.arena = options.id,
                            .slab_class = number,
                            .number = slab_class.lane_count,
                            .chunk_bytes = classes.chunk_bytes(number),
                            .slots_max = options.lane_pages_max,
                            .policy = {.small_percent = options.small_percent, .lru = options.lru}};
  std::unique_ptr<Lane> lane(new (std::nothrow) Lane(config, pool, blocks));
  if (lane == nullptr) return nullptr;
  return (slab_class.lanes[slab_class.lane_count++] = std::move(lane)).get();
}

Lane& Arena::Impl::lane_of(ChunkAddress chunk) {
  const PageInfo& info = pool.info(pool.page_of(chunk));
  RC_CHECK(info.arena.load(std::memory_order_relaxed) == options.id);
  SlabClass& slab_class = per_class[info.slab_class.load(std::memory_order_relaxed)];
  const unsigned number = info.lane.load(std::memory_order_relaxed);
  RC_CHECK(number < slab_class.lane_count);
  return *slab_class.lanes[number];
}

Chunk Arena::Impl::take(unsigned slab_class) {
  SlabClass& from = per_class[slab_class];
  for (unsigned i = 0; i < from.lane_count; ++i) {
    if (const Chunk chunk = from.lanes[i]->take()) return chunk;
  }
  return {};
}

Lane* Arena::Impl::prepare_attach(unsigned slab_class) {
  Lane* const lane = lane_with_room(slab_class);
  if (lane == nullptr || !pages.reserve(page_count + 1) || !lane->prepare()) return nullptr;
  return lane;
}

bool Arena::Impl::attach(unsigned slab_class, PageId page) {
  Lane* const lane = prepare_attach(slab_class);
  if (lane == nullptr || !lane->attach(page, static_cast<std::uint32_t>(page_count))) return false;
  pages[page_count++] = page;
  pages_held.store(page_count, std::memory_order_relaxed);
  return true;
}

PageId Arena::Impl::detach(Lane& lane, std::uint32_t slot) {
  if (departure.lane == &lane && departure.slot == slot) departure.lane = nullptr;
  const std::uint32_t index = lane.page_at(slot).index;
  owner.await_writers(ChunkAddress{lane.page_at(slot).page} * (kPageBytes / kGranuleBytes));
  const PageId page = lane.detach(slot);
  const PageId moved = pages[--page_count];
  pages_held.store(page_count, std::memory_order_relaxed);
  if (moved != page) {
    const PageInfo& info = pool.info(moved);
    Lane& other = *per_class[info.slab_class.load(std::memory_order_relaxed)]
                       .lanes[info.lane.load(std::memory_order_relaxed)];
    other.page_at(info.slot.load(std::memory_order_relaxed)).index = index;
    pages[index] = moved;
  }
  return page;
}

// The chunk is free again, or in limbo until its pins are gone. True when its page is empty.
bool Arena::Impl::give_back(Lane& lane, ChunkAddress chunk) {
  if (lane.chunk_bytes() >= PagePool::kPinGrainBytes &&
      pool.pins(chunk).load(std::memory_order_seq_cst) != 0) {
    std::byte* const memory = pool.chunk_pointer(chunk);
    const std::uint32_t state = chunk_state(memory).load(std::memory_order_relaxed);
    chunk_state(memory).store((state & ~7U) | static_cast<std::uint32_t>(ChunkKind::kLimbo),
                              std::memory_order_relaxed);
    chunk_link(memory).store(kNoChunk, std::memory_order_relaxed);
    if (limbo_last == kNoChunk) {
      limbo_first = chunk;
    } else {
      chunk_link(pool.chunk_pointer(limbo_last)).store(chunk, std::memory_order_relaxed);
    }
    limbo_last = chunk;
    return false;
  }
  const bool empty = lane.put(chunk);
  if (!emptying) lane.compact_if_due();
  return empty;
}

// `leaving` = nullptr: a page that becomes empty stays.
void Arena::Impl::free_local(ChunkAddress chunk, Leaving* leaving) {
  Lane& lane = lane_of(chunk);
  const bool empty = give_back(lane, chunk);
  if (!empty || leaving == nullptr) return;
  if (lane.chunks_free() < (kSparePages + 1) * lane.chunks_per_page()) return;
  leaving->add(detach(lane, lane.place_of(chunk).slot));
}

// Returns how many came back.
unsigned Arena::Impl::drain_remote(unsigned chunks_max, Leaving* leaving) {
  for (unsigned i = 0; i < chunks_max; ++i) {
    ChunkAddress chunk = remote_taken.load(std::memory_order_relaxed);
    if (chunk == kNoChunk) {
      if (remote.load(std::memory_order_relaxed) == kNoChunk) return i;
      chunk = remote.exchange(kNoChunk, std::memory_order_acquire);
    }
    remote_taken.store(chunk_link(pool.chunk_pointer(chunk)).load(std::memory_order_relaxed),
                       std::memory_order_relaxed);
    free_local(chunk, leaving);
  }
  return chunks_max;
}

void Arena::Impl::recheck_limbo(Leaving* leaving) {
  for (unsigned i = 0; i < kLimboBatch && limbo_first != kNoChunk; ++i) {
    const ChunkAddress chunk = limbo_first;
    limbo_first = chunk_link(pool.chunk_pointer(chunk)).load(std::memory_order_relaxed);
    if (limbo_first == kNoChunk) limbo_last = kNoChunk;
    free_local(chunk, leaving);
  }
}

Arena::Arena(const Options& options, PagePool& pool, const SlabClasses& classes, ItemOwner& owner)
    : impl_(std::make_unique<Impl>(options, pool, classes, owner)) {}

Arena::~Arena() = default;

unsigned Arena::id() const {
  return impl_->options.id;
}

unsigned Arena::part() const {
  return impl_->options.part;
}

Chunk Arena::allocate(unsigned slab_class, Effort effort) {
  Impl& impl = *impl_;
  RC_CHECK(slab_class >= 1 && slab_class <= impl.classes.count());
  Impl::Leaving leaving(impl.pool);
  std::unique_lock guard(impl.lock);
  impl.drain_remote(kRemoteBatch, &leaving);
  impl.recheck_limbo(&leaving);
  if (const Chunk chunk = impl.take(slab_class)) return chunk;
  if (impl.pool.pages_free() != 0) {
    const bool for_reserve = impl.wants_free_page();
    guard.unlock();
    const PageId page = impl.pool.acquire(impl.options.part);
    const PageId spare = for_reserve ? impl.pool.acquire(impl.options.part) : kNoPage;
    guard.lock();
    if (spare != kNoPage) impl.keep_in_reserve(spare, leaving);
    if (page != kNoPage) {
      if (impl.attach(slab_class, page)) {
        impl.note_gain(kPageBytes);
      } else {
        leaving.add(page);
      }
    }
    // Tried without a page too: another thread may have given something back meanwhile.
    if (const Chunk chunk = impl.take(slab_class)) return chunk;
  }
  const Chunk chunk = impl.allocate_under_pressure(slab_class, effort, leaving);
  impl.note_page_work();
  if (!chunk) {
    if (effort == Effort::kFull) ++impl.per_class[slab_class].stats.out_of_memory;
    impl.note_shortage(kPageBytes);
  }
  return chunk;
}

void Arena::publish(Chunk chunk, unsigned slab_class, std::uint32_t fingerprint) {
  Impl& impl = *impl_;
  if (!impl.options.evict) return;
  const std::lock_guard guard(impl.lock);
  const PageInfo& info = impl.pool.info(impl.pool.page_of(chunk.address));
  // The item may be gone already, and its page with it: another arena may be taking that page into use now.
  if (info.slab_class.load(std::memory_order_acquire) != slab_class ||
      info.arena.load(std::memory_order_relaxed) != impl.options.id) {
    return;
  }
  Lane& lane = impl.lane_of(chunk.address);
  const bool returning = lane.publish(chunk, fingerprint).ghost_hit;
  Impl::SlabClass& of_class = impl.per_class[slab_class];
  if (returning) ++of_class.stats.ghost_hits;
  constexpr float kSmoothing = 1.0F / 64;
  of_class.returning_share += ((returning ? 1.0F : 0.0F) - of_class.returning_share) * kSmoothing;
  lane.compact_if_due();
}

void Arena::free_chunk(ChunkAddress chunk) {
  Impl::Leaving leaving(impl_->pool);
  const std::lock_guard guard(impl_->lock);
  impl_->free_local(chunk, &leaving);
}

void Arena::free_remote(ChunkAddress chunk) {
  std::atomic<std::uint64_t>& link = chunk_link(impl_->pool.chunk_pointer(chunk));
  ChunkAddress first = impl_->remote.load(std::memory_order_relaxed);
  do {
    link.store(first, std::memory_order_relaxed);
  } while (!impl_->remote.compare_exchange_weak(first, chunk, std::memory_order_release,
                                                std::memory_order_relaxed));
}

bool Arena::Impl::has_returned() const {
  return remote_taken.load(std::memory_order_relaxed) != kNoChunk ||
         remote.load(std::memory_order_relaxed) != kNoChunk;
}

bool Arena::take_returned(unsigned chunks_max) {
  if (!impl_->has_returned()) return false;
  Impl::Leaving leaving(impl_->pool);
  const std::lock_guard guard(impl_->lock);
  impl_->drain_remote(chunks_max, &leaving);
  return impl_->has_returned();
}

Arena::PageStep Arena::give_page(unsigned slab_class, unsigned chunks_max) {
  Impl::Leaving to_pool(impl_->pool);
  const std::lock_guard guard(impl_->lock);
  const PageStep step = impl_->give_page(slab_class, kToPool, chunks_max, to_pool);
  impl_->note_page_work();
  return step;
}

Arena::PageStep Arena::ask_for_page() {
  Impl::Leaving to_pool(impl_->pool);
  // The owner may be emptying a page, and be interrupted in that.
  const std::unique_lock guard(impl_->lock, std::try_to_lock);
  if (guard && impl_->give_reserved(impl_->reserve_kept(), to_pool)) {
    impl_->note_page_work();
    return PageStep::kGone;
  }
  return impl_->page_asked.exchange(true, std::memory_order_relaxed) ? PageStep::kUnderWay : PageStep::kGone;
}

Arena::PageStep Arena::move_page(unsigned from, unsigned to) {
  Impl::Leaving to_pool(impl_->pool);
  const std::lock_guard guard(impl_->lock);
  if (impl_->departure.lane != nullptr) return PageStep::kBusy;
  const PageStep step = impl_->give_page(from, to, kEmptyingStep, to_pool);
  impl_->note_page_work();
  return step;
}

bool Arena::step_page() {
  Impl::Leaving to_pool(impl_->pool);
  const std::lock_guard guard(impl_->lock);
  impl_->step_page(to_pool);
  impl_->note_page_work();
  return wants_page_step();
}

bool Arena::wants_page_step() const {
  return impl_->page_work.load(std::memory_order_relaxed) ||
         impl_->page_asked.load(std::memory_order_relaxed);
}

bool Arena::add_page(unsigned slab_class) {
  Impl::Leaving leaving(impl_->pool);
  const PageId page = impl_->pool.acquire(impl_->options.part);
  if (page == kNoPage) return false;
  const std::lock_guard guard(impl_->lock);
  const bool attached = impl_->attach(slab_class, page);
  if (!attached) leaving.add(page);
  return attached;
}

void Arena::visit_oldest(unsigned slab_class, Queue queue, Visitor visit, void* context) {
  Impl& impl = *impl_;
  const std::lock_guard guard(impl.lock);
  const Impl::SlabClass& from = impl.per_class[slab_class];
  for (unsigned i = 0; i < from.lane_count; ++i) {
    const ChunkAddress chunk = from.lanes[i]->oldest(queue);
    if (chunk == kNoChunk) continue;
    visit(context, chunk, chunk_state(impl.pool.chunk_pointer(chunk)).load(std::memory_order_relaxed));
  }
}

std::size_t Arena::visit_page(std::size_t page, Visitor visit, void* context) {
  Impl& impl = *impl_;
  const std::lock_guard guard(impl.lock);
  if (page >= impl.page_count) return 0;
  const ChunkAddress start = ChunkAddress{impl.pages[page]} * (kPageBytes / kGranuleBytes);
  Lane& lane = impl.lane_of(start);
  const std::uint32_t slot = lane.place_of(start).slot;
  const LanePage& visited = lane.page_at(slot);
  if (visited.used == 0) return 0;
  for (std::uint32_t i = visited.first; i < visited.fresh; ++i) {
    const ChunkAddress chunk = lane.address_of({slot, i});
    const std::uint32_t state = chunk_state(impl.pool.chunk_pointer(chunk)).load(std::memory_order_relaxed);
    const ChunkKind kind = chunk_kind(state);
    if (is_linked(kind) || kind == ChunkKind::kLinking) visit(context, chunk, state);
  }
  return visited.fresh - visited.first;
}

PageId Arena::page_at(std::size_t page) {
  const std::lock_guard guard(impl_->lock);
  return page < impl_->page_count ? impl_->pages[page] : kNoPage;
}

std::size_t Arena::pages() {
  const std::lock_guard guard(impl_->lock);
  return impl_->page_count;
}

ArenaClassStats Arena::class_stats(unsigned slab_class) {
  const std::lock_guard guard(impl_->lock);
  const Impl::SlabClass& from = impl_->per_class[slab_class];
  ArenaClassStats stats = from.stats;
  for (unsigned i = 0; i < from.lane_count; ++i) {
    const Lane& lane = *from.lanes[i];
    stats.pages += lane.pages();
    stats.chunks_used += lane.chunks_used();
    stats.chunks_free += lane.chunks_free();
    stats.small_entries += lane.policy().small().size();
    stats.main_entries += lane.policy().main().size();
    stats.ghost_entries += lane.policy().ghost().entries();
  }
  return stats;
}

std::size_t Arena::overhead_bytes() {
  const std::lock_guard guard(impl_->lock);
  std::size_t bytes = impl_->blocks.bytes();
  for (const Impl::SlabClass& slab_class : impl_->per_class) {
    for (unsigned i = 0; i < slab_class.lane_count; ++i) bytes += slab_class.lanes[i]->overhead_bytes();
  }
  return bytes;
}

void Arena::set_queue_blocks_max(std::size_t blocks) {
  const std::lock_guard guard(impl_->lock);
  impl_->blocks.set_blocks_max(blocks);
}

}  // namespace ringcached::store
