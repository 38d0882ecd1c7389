#include "store/store.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/assert.h"
#include "base/hash.h"
#include "store/store_core.h"

namespace ringcached::store {
namespace {

// A 1 GiB item is the largest that -I allows, and value lengths are 32 bits wide.
constexpr std::size_t kItemBytesLimit = std::size_t{1} << 30;
constexpr unsigned kSlotsPowerPerBucket = 3;  // a bucket counts as 8 of memcached's hash slots
constexpr unsigned kIndexPowerMin = 4, kIndexPowerMax = 40;

Status check(const Options& options) {
  const auto wrong = [](const char* message) { return Status(StatusCode::kInvalidArgument, message); };
  if (options.threads < 1 || options.threads > kThreadsMax) return wrong("threads must be 1 to 1024");
  if (options.item_bytes_max < kKeyBytesMax || options.item_bytes_max > kItemBytesLimit) {
    return wrong("the largest item must be between 250 bytes and 1 GiB");
  }
  if (options.index_power_initial < kIndexPowerMin || options.index_power_initial > kIndexPowerMax) {
    return wrong("the index power must be between 4 and 40");
  }
  return Status::ok();
}

}  // namespace

// --- StoreCore: facts and memory.

Status StoreCore::open() {
  if (Status status = check(options); !status) return status;
  RC_CHECK(classes.chunk_bytes(classes.count()) ==
           kChunkBytesMax);  // heads and parts of chains fill such chunks
  PagePoolOptions pool_options;
  pool_options.limit_bytes = options.memory_limit_bytes;
  pool_options.reserve_bytes = options.memory_reserve_bytes;
  pool_options.nodes = options.nodes;
  pool_options.large_pages = options.large_pages;
  auto created_pool = PagePool::create(pool_options);
  if (!created_pool) return created_pool.status();
  pool = std::move(created_pool.value());
  base = pool->base();
  seed = options.hash_seed != 0 ? options.hash_seed : random_seed();

  HashIndexOptions index_options;
  index_options.seed = seed;
  index_options.items_max = std::size_t{pool->page_count()} * (kPageBytes / kChunkBytesMin);
  index_options.buckets_initial = std::size_t{1} << (options.index_power_initial - kSlotsPowerPerBucket);
  index_options.growth = options.index_growth;
  index_options.large_pages = options.large_pages >= LargePages::kTransparent;
  index_options.huge_pages_at_start = options.large_pages == LargePages::kAhead;
  index_options.nodes = options.nodes;
  index_options.writers = 2 * std::size_t{options.threads};  // a thread, and its arena
  auto created_index = HashIndex::create(index_options, base);
  if (!created_index) return created_index.status();
  index = std::move(created_index.value());
  if (options.memory_ahead) {
    const MemoryAhead::HugePages huge_pages{
        .wanted = options.large_pages == LargePages::kAhead,
        .large_class = classes.class_for(PagePool::kPinGrainBytes),
    };
    memory_ahead.emplace(*pool, *index, huge_pages).start();
  }

  page_guard.emplace(options.threads);
  states.resize(options.threads);
  balance.on.store(options.slab_reassign && options.slab_automove, std::memory_order_relaxed);
  balance.ratio.store(options.slab_automove_ratio, std::memory_order_relaxed);
  balance.window_percent.store(options.slab_automove_window, std::memory_order_relaxed);

  owners.resize(options.threads);
  arenas.resize(options.threads);
  threads.reserve(options.threads);
  purge_.open();
  return Status::ok();
}

// Before `id` is counted as attached: nobody else looks at its place yet.
void StoreCore::open_arena(unsigned id, unsigned node) {
  Arena::Options arena_options;
  arena_options.id = id;
  arena_options.part = pool->part_of_node(node);
  arena_options.evict = options.evict;
  arena_options.lru = options.lru;
  arena_options.balance = &balance;
  owners[id] = std::make_unique<ArenaOwner>(*this, id);
  arenas[id] = std::make_unique<Arena>(arena_options, *pool, classes, *owners[id]);
}

[[gnu::noinline]] std::uint32_t StoreCore::wait_for_writer(const std::byte* head) {
  Backoff backoff;
  for (;;) {
    const std::uint32_t state = shared_load32(head + kStateOffset);
    if (chunk_kind(state) != ChunkKind::kWriting) return state;
    backoff.pause();
  }
}

[[gnu::noinline]] void StoreCore::wait_a_little(const std::byte* head) {
  constexpr unsigned kSpinsMax = 256;
  for (unsigned spin = 0; spin < kSpinsMax; ++spin) {
    if (chunk_kind(shared_load32(head + kStateOffset)) != ChunkKind::kWriting) return;
    cpu_relax();
  }
}

// The chunk belongs to the unlinker from here on.
void StoreCore::account_unlinked(Ledger& ledger, const Existing& existing) {
  const ItemHeader& header = existing.header;
  chunk_state(item(existing.address))
      .store(with_kind(header.state, ChunkKind::kFilling), std::memory_order_release);
  const std::size_t bytes = charged_bytes(header);
  ledger.counters.items_unlinked.add();
  ledger.counters.bytes_unlinked.add(bytes);
  Ledger::ClassCells& cells = ledger.classes[class_of(header)];
  cells.items.subtract();
  cells.bytes.subtract(bytes);
}

void StoreCore::unlink(Ledger& ledger, LockedBucket& bucket, const Existing& existing) {
  const bool fetched = (existing.slot->load(std::memory_order_relaxed) & kSlotFetched) != 0;
  if (existing.vitality == Lookup::kExpired && !fetched) {
    ledger.counters.expired_unfetched.add();
    ledger.classes[class_of(existing.header)].expired_unfetched.add();
  }
  account_unlinked(ledger, existing);
  bucket.erase(*existing.slot, ledger.index);
}

// Of the same node if possible.
Chunk StoreCore::allocate_elsewhere(ThreadState& thread, unsigned slab_class, Arena::Effort effort) {
  for (const bool same_part : {true, false}) {
    for (unsigned id = 0; id < attached.load(std::memory_order_acquire); ++id) {
      if (id == thread.id || (arenas[id]->part() == thread.arena->part()) != same_part) continue;
      if (Chunk chunk = arenas[id]->allocate(slab_class, effort)) {
        thread.ledger.counters.page_steals.add();
        return chunk;
      }
    }
  }
  return {};
}

// Own memory first; before giving up, anybody's. A page of thousands of items is emptied at once only when no
// arena has anything to be had for less.
Chunk StoreCore::allocate_anywhere(ThreadState& thread, unsigned slab_class) {
  using Effort = Arena::Effort;
  if (attached.load(std::memory_order_acquire) > 1) {
    if (Chunk chunk = thread.arena->allocate(slab_class, Effort::kShort)) return chunk;
    if (Chunk chunk = allocate_elsewhere(thread, slab_class, Effort::kShort)) return chunk;
  }
  if (Chunk chunk = thread.arena->allocate(slab_class, Effort::kFull)) return chunk;
  return allocate_elsewhere(thread, slab_class, Effort::kFull);
}

Chunk StoreCore::allocate(ThreadState& thread, unsigned slab_class) {
  thread.balancer.before_allocation(thread);
  Chunk chunk = allocate_anywhere(thread, slab_class);
  if (!chunk && step_limbo(thread).freed) chunk = allocate_anywhere(thread, slab_class);
  if (!chunk) thread.ledger.counters.out_of_memory.add();
  return chunk;
}

void StoreCore::free_chunk(ThreadState* thread, ChunkAddress chunk) {
  const unsigned owner = pool->info(pool->page_of(chunk)).arena.load(std::memory_order_relaxed);
  if (thread != nullptr && owner == thread->id) {
    thread->arena->free_chunk(chunk);
  } else {
    arenas[owner]->free_remote(chunk);
  }
}

unsigned StoreCore::free_parts(ThreadState* thread, ChunkAddress first) {
  PartWalk parts(*this, first);
  unsigned count = 0;
  for (ChunkAddress part = parts.next(); part != kNoChunk; part = parts.next(), ++count) {
    free_chunk(thread, part);
  }
  return count;
}

void StoreCore::note_expiry(ChunkAddress address, CacheTime expiry) {
  if (expiry == kNeverExpires) return;
  std::atomic<std::uint32_t>& earliest = pool->info(pool->page_of(address)).earliest_expiry;
  // Always a read-modify-write: the reaper resets the word and then looks at the page, so either it sees the
  // item, or this sees the reset.
  std::uint32_t known = earliest.fetch_or(0, std::memory_order_acq_rel);
  while (expiry < known && !earliest.compare_exchange_weak(known, expiry, std::memory_order_acq_rel)) {
  }
}

// --- Reading, slow paths.

Lookup StoreCore::remove_dead(ThreadState& thread, const Key& key, CacheTime time) {
  Existing existing;
  {
    LockedBucket bucket(*index, key.hash);
    existing = examine(bucket, key.bytes, time);
    if (existing.slot == nullptr || existing.alive()) return existing.vitality;
    unlink(thread.ledger, bucket, existing);
  }
  count_item(thread, -1);
  retire(thread, existing);
  return existing.vitality;
}

[[gnu::noinline]] void StoreCore::refresh_access(const Key& key, ChunkAddress address, CacheTime time) {
  LockedBucket bucket(*index, key.hash);
  if (bucket.find_address(address) == nullptr) return;
  std::byte* chunk = item(address);
  const std::size_t key_bytes = shared_load32(chunk + kAccessOffset) & 0xff;
  shared_store32(chunk + kAccessOffset, access_word(time, key_bytes));
}

// --- Store and StoreThread.

Store::Store() = default;
Store::~Store() = default;
StoreThread::StoreThread() = default;
StoreThread::~StoreThread() = default;

Result<std::unique_ptr<Store>> Store::create(const Options& options) {
  std::unique_ptr<Store> store(new Store);
  store->impl_ = std::make_unique<Impl>(options);
  if (Status status = store->impl_->open(); !status) return status;
  return store;
}

std::vector<Status> Store::refusals() const {
  std::vector<Status> all = impl_->pool->refusals();
  if (!impl_->index->spread()) all.push_back(impl_->index->spread());
  return all;
}

StoreThread& Store::attach(unsigned node) {
  const std::lock_guard guard(impl_->attach_lock);
  const unsigned id = impl_->attached.load(std::memory_order_relaxed);
  RC_CHECK(id < impl_->options.threads);
  std::unique_ptr<StoreThread> thread(new StoreThread);
  thread->impl_ = std::make_unique<StoreThread::Impl>();
  thread->impl_->core = impl_.get();
  thread->impl_->id = id;
  thread->impl_->balancer.open(impl_->options.threads);
  thread->impl_->reaper.open();
  impl_->open_arena(id, node);
  // Nothing throws from here on: who finds no memory may try again.
  thread->impl_->arena = impl_->arenas[id].get();
  impl_->states[id] = thread->impl_.get();
  impl_->threads.push_back(std::move(thread));
  impl_->attached.store(id + 1, std::memory_order_release);
  return *impl_->threads.back();
}

unsigned StoreThread::id() const {
  return impl_->id;
}
const StoreCounters& StoreThread::counters() const {
  return impl_->ledger.counters;
}
unsigned StoreThread::last_class() const {
  return impl_->last_class;
}
const WriteInfo& StoreThread::last_write() const {
  return impl_->last_write;
}

ItemSeen StoreThread::last_seen() const {
  if (impl_->seen != Lookup::kHit) return {.lookup = impl_->seen};
  return {impl_->seen, impl_->seen_value_bytes, impl_->core->classes.class_for(impl_->seen_chunk_bytes)};
}
StoreThread::PageMove StoreThread::last_page_move() const {
  return impl_->last_page_move;
}

StoreThread::PageMoves StoreThread::own_page_moves() const {
  const PageMoveStats moves = impl_->arena->move_stats();
  return {moves.moved, {moves.last_from, moves.last_to}};
}

Key Store::key(std::string_view bytes) const {
  return {bytes, hash_key(bytes, impl_->seed)};
}
std::size_t Store::item_bytes_max() const {
  return impl_->options.item_bytes_max;
}

unsigned Store::threads_max() const {
  return impl_->options.threads;
}
void Store::observe_evictions(EvictionObserver* observer) {
  impl_->eviction_observer = observer;
}

void Store::flush(StoreThread& thread) {
  impl_->flush(*thread.impl_);
}
bool Store::prepare_flush(StoreThread& thread) {
  return impl_->prepare_flush(*thread.impl_);
}

bool Store::set_memory_limit(std::size_t bytes) {
  if (bytes < kPageBytes || bytes / kPageBytes > impl_->pool->page_count()) return false;
  impl_->pool->set_limit(bytes);
  return true;
}

}  // namespace ringcached::store
