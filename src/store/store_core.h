// What Store and StoreThread are made of. For the store's own files and the templates in store_read.h.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/counter.h"
#include "base/spin_lock.h"
#include "store/arena.h"
#include "store/balancer.h"
#include "store/hash_index.h"
#include "store/item.h"
#include "store/memory_ahead.h"
#include "store/page_guard.h"
#include "store/page_pool.h"
#include "store/reaper.h"
#include "store/slab_classes.h"
#include "store/store.h"

namespace ringcached::store {

class StoreCore;
struct Existing;

// A book of counters with one writer at a time: a thread for its own calls, an arena (under its lock) for
// evictions.
struct Ledger {
  struct ClassCells {
    Counter items,
        bytes;  // linked minus unlinked; single cells may be negative (modulo 2^64), the sums are not
    Counter expired_unfetched, reaper_checked, reaper_reclaimed;
  };
  StoreCounters counters;
  std::array<ClassCells, SlabClasses::kClassesMax + 1> classes;
  Counter writes;  // items stamped with the flush epoch
  HashIndex::Share index;
};

// The store as its arena sees it. One per arena; everything happens under that arena's lock.
class alignas(64) ArenaOwner final : public ItemOwner {
 public:
  ArenaOwner(StoreCore& core, unsigned arena) : core_(core), arena_(arena) {}
  Decision try_evict(ChunkAddress chunk, std::uint32_t generation, Queue queue, bool force) override;
  void expect_eviction(ChunkAddress chunk) override;
  ChunkAddress head_of(ChunkAddress part) override;
  void free_elsewhere(ChunkAddress chunk) override;
  bool was_used(ChunkAddress chunk, bool clear) override;
  void await_writers(ChunkAddress page) override;
  const Ledger& ledger() const { return ledger_; }

 private:
  void report(const Existing& existing, const Decision& decision, CacheTime now) const;

  StoreCore& core_;
  unsigned arena_;
  Ledger ledger_;
};

struct alignas(64) ThreadState {
  StoreCore* core = nullptr;
  unsigned id = 0;
  Arena* arena = nullptr;
  Ledger ledger;
  std::uint64_t cas_last = 0;
  unsigned last_class = 0;
  Lookup seen = Lookup::kMiss;  // StoreThread::last_seen(); the rest only of a hit
  std::uint32_t seen_value_bytes = 0;
  std::size_t seen_chunk_bytes = 0;
  StoreThread::PageMove last_page_move;
  WriteInfo last_write;
  Reaper reaper;
  Balancer balancer;
  bool purged_in_turn = false;  // see prepare_flush()
};

// Thread ids are the last digits of the CAS ids.
inline constexpr unsigned kThreadsMax = 1024;
static_assert(kThreadsMax <= 1U << kValueBytesBits);  // writing_word()

// An item that was filled and is not linked yet.
struct Draft {
  Chunk chunk;
  unsigned slab_class = 0;
  std::uint32_t client_flags = 0;
  std::uint32_t value_bytes = 0;
  bool chained = false;
};

// The item that a key has, seen under the lock of its bucket.
struct Existing {
  std::atomic<std::uint64_t>* slot = nullptr;  // null: none
  ChunkAddress address = kNoChunk;
  ItemHeader header;
  Lookup vitality = Lookup::kMiss;
  // The flush epoch in which the key was looked at. What is written on the strength of that look belongs to
  // it: to give it a later one would save from the flush in between what that has flushed.
  std::uint32_t epoch = 0;
  bool alive() const { return vitality == Lookup::kHit; }
};

// One certain version of an item, as it was seen under the lock of its bucket, to be replaced later if it is
// still there. Its id alone does not say so, for clients choose ids too (meta E) and choose one twice. So a
// large value is pinned, which keeps its chunk from becoming any other version, and a small one is copied.
class HeldVersion {
 public:
  explicit HeldVersion(StoreCore& held_by) : core_(held_by) {}
  ~HeldVersion() { release(); }
  HeldVersion(const HeldVersion&) = delete;
  HeldVersion& operator=(const HeldVersion&) = delete;

  // Under the lock. Replaces what was held before.
  void hold(const Existing& existing);
  void release();
  // Under the lock: whether the item that the key has now is the one held. It is let go in any case, so that
  // whoever replaces it can free it.
  bool release_if(const Existing& existing);
  // Of the version held; also without the lock: visit(std::span<const char>).
  template <typename Visit>
  void visit(Visit&& visit) const;

 private:
  bool is(const Existing& existing) const;
  bool pinned() const { return existing_.header.value_bytes >= kPinBytesMin; }

  StoreCore& core_;
  Existing existing_;
  char value_[kPinBytesMin];
};

// How a successor is stamped.
enum class Inherit : std::uint8_t { kNothing, kExpiry };

// Marks and times a new item is linked with.
struct Stamp {
  CacheTime expiry = 0;
  std::uint32_t marks = 0;
  std::uint64_t cas_explicit = 0;
  bool fetched = false;  // if it is a new item
};

class StoreCore {
 public:
  explicit StoreCore(const Options& wanted)
      : options(wanted),
        classes(
            SlabClasses::steps_for(wanted.memory_limit_bytes / kPageBytes / std::max(wanted.threads, 1U))) {}
  Status open();
  void open_arena(unsigned id, unsigned node);

  // --- Facts.
  std::byte* item(ChunkAddress address) const { return base + address * kGranuleBytes; }
  std::uint32_t current_epoch() const {
    return static_cast<std::uint32_t>(epoch.load(std::memory_order_acquire) & ((1U << kEpochBits) - 1));
  }
  static Lookup vitality(const ItemHeader& header, CacheTime now, std::uint32_t in_epoch) {
    if (is_expired(header.expiry, now)) return Lookup::kExpired;
    return state_epoch(header.state) == in_epoch ? Lookup::kHit : Lookup::kFlushed;
  }
  Lookup vitality(const ItemHeader& header, CacheTime now) const {
    return vitality(header, now, current_epoch());
  }
  // Alive, and nobody is overwriting it in place.
  bool can_be_read(const ItemHeader& header, CacheTime now) const {
    constexpr std::uint32_t kCompared = ((1U << kEpochBits) - 1) << kEpochShift | 7;
    const std::uint32_t wanted =
        current_epoch() << kEpochShift | static_cast<std::uint32_t>(ChunkKind::kItem);
    return (header.state & kCompared) == wanted && !is_expired(header.expiry, now);
  }
  unsigned class_of(const ItemHeader& header) const { return classes.class_for(header.chunk_bytes()); }
  std::size_t charged_bytes(const ItemHeader& header) const {
    return item_bytes(header.key_bytes(), header.value_bytes, header.client_flags, options.cas);
  }
  bool exceeds_limit(const StoreRequest& request, std::size_t value_bytes) const {
    return value_bytes > options.item_bytes_max ||
           item_bytes(request.key.bytes.size(), value_bytes, request.client_flags, options.cas) >
               options.item_bytes_max;
  }
  static void note_seen(ThreadState& thread, const Existing& existing) {
    thread.seen = existing.vitality;
    thread.seen_value_bytes = existing.header.value_bytes;
    thread.seen_chunk_bytes = existing.header.chunk_bytes();
  }
  // A command came upon this item: once a command.
  static void count_dead(ThreadState& thread, const Existing& existing) {
    StoreCounters& counters = thread.ledger.counters;
    if (existing.vitality == Lookup::kExpired) counters.found_expired.add();
    if (existing.vitality == Lookup::kFlushed) counters.found_flushed.add();
  }
  ItemInfo describe(const ItemHeader& header, std::uint64_t slot, CacheTime now) const;

  // --- Under the lock of the key's bucket.
  Existing examine(const LockedBucket& bucket, std::string_view key, CacheTime now) const;
  Existing examine_at(std::atomic<std::uint64_t>* slot, CacheTime now) const;
  // The state word, once whoever overwrites the item in place is done. A lock of the bucket that was taken
  // before keeps others from beginning: they look at its version behind theirs of the item.
  static std::uint32_t settled_state(const std::byte* head) {
    fence_behind_lock();
    std::uint32_t state = shared_load32(head + kStateOffset);
    if (chunk_kind(state) == ChunkKind::kWriting) [[unlikely]]
      state = wait_for_writer(head);
    read_fence();
    return state;
  }
  static std::uint32_t wait_for_writer(const std::byte* head);
  // The same without the lock, and for a bounded time only.
  static void wait_a_little(const std::byte* head);
  // Takes the item out of the index; afterwards, with the lock given up, its memory goes to retire().
  void unlink(Ledger& ledger, LockedBucket& bucket, const Existing& existing);
  void account_unlinked(Ledger& ledger, const Existing& existing);

  // --- Memory. No bucket lock may be held.
  Chunk allocate(ThreadState& thread, unsigned slab_class);
  // `thread`: whose call this is, or null.
  void free_chunk(ThreadState* thread, ChunkAddress chunk);
  // Of an unlinked item: now, or when its last pin goes.
  void retire(ThreadState& thread, const Existing& existing);
  // The same without the head, which is the caller's if this says true. `thread` null: the arena's lock may
  // be held, everything goes the lock-free way.
  bool release_parts(const Existing& existing, ThreadState* thread = nullptr);
  // Frees those of the chains in limbo whose pins have gone. Looks at a bounded number, and goes on where the
  // last step of any thread has stopped.
  struct LimboStep {
    bool freed = false;
    bool more = false;  // not yet looked at since somebody began at the first
  };
  LimboStep step_limbo(ThreadState& thread);
  unsigned free_parts(ThreadState* thread, ChunkAddress first);  // how many
  void unpin(ChunkAddress head);
  void note_expiry(ChunkAddress address, CacheTime expiry);
  // Never back: a thread may have taken its time before another saw the next second, and slept since.
  void see_time(CacheTime time) {
    CacheTime latest = latest_now.load(std::memory_order_relaxed);
    while (latest < time && !latest_now.compare_exchange_weak(latest, time, std::memory_order_relaxed)) {
    }
  }
  // An item was linked (+1) or unlinked (-1) by this thread; lets the index grow.
  void count_item(ThreadState& thread, int change) {
    if (index->count(change, thread.ledger.index)) index->grow(kSplitsPerBatch);
  }

  // --- Reading, apart from the optimistic path in store_read.h.
  // Removes the item of `key` if it is dead: what it died of, or kHit when it is alive now (look again), or
  // kMiss.
  Lookup remove_dead(ThreadState& thread, const Key& key, CacheTime now);
  void refresh_access(const Key& key, ChunkAddress address, CacheTime now);

  // --- Writing.
  std::uint64_t next_cas(ThreadState& thread, std::uint64_t old, std::uint64_t wanted);
  // What the mode says about the item there is; kStored: go ahead, with `stamp`. Not for appending.
  StoreResult judge(const StoreRequest& request, const Existing& existing, Stamp& stamp) const;
  StoreResult reject(ThreadState& thread, const StoreRequest& request, StoreResult why, CacheTime time);
  void drop(ThreadState& thread, const Key& key, CacheTime time);
  // A whole value.
  StoreResult put_new(ThreadState& thread, const StoreRequest& request, unsigned slab_class,
                      std::string_view value, CacheTime time);
  StoreResult put_chained(ThreadState& thread, const StoreRequest& request, std::string_view value,
                          CacheTime time);
  bool put_in_place(ThreadState& thread, const StoreRequest& request, unsigned slab_class,
                    std::string_view value, CacheTime time, StoreResult& verdict);
  // A value in place of another in its chunk, under the lock of the item, or of its bucket.
  enum class Overwrite : std::uint8_t { kDone, kAgain, kOtherwise };
  bool put_over(ThreadState& thread, const StoreRequest& request, unsigned slab_class, std::string_view value,
                CacheTime time);
  Overwrite overwrite_item(ThreadState& thread, const StoreRequest& request, unsigned slab_class,
                           std::string_view value, CacheTime time);
  bool fits_in_place(std::uint32_t state, std::size_t value_offset, const StoreRequest& request,
                     unsigned slab_class) const;
  void write_over(ThreadState& thread, const Existing& old, unsigned slab_class, const StoreRequest& request,
                  std::uint64_t cas, const Stamp& stamp, std::string_view value, CacheTime time);
  bool overwrite(ThreadState& thread, LockedBucket& bucket, const Existing& old, unsigned slab_class,
                 const StoreRequest& request, const Stamp& stamp, std::string_view value, CacheTime time);
  void write_head(const Draft& draft, std::string_view key);
  // Precedes the lock of the bucket under which a draft is linked. A pass over its arena that has not seen
  // the mark, and so may call epochs clean that the draft is going to be stamped with, began after an epoch
  // that the look under the lock sees.
  void announce(const Draft& draft);
  // Makes the draft the item of its key, or gives it back.
  StoreResult link(ThreadState& thread, const StoreRequest& request, const Draft& draft, CacheTime time);
  void note_refused(ThreadState& thread, const Key& key, const Existing& existing, CacheTime time);
  // Only if `is_expected(item there is)`, with the expiry that the item has then if that is to be inherited;
  // false (and nothing done, draft given back) otherwise.
  template <typename IsExpected>
  bool succeed(ThreadState& thread, const Key& key, const Draft& draft, Stamp stamp, Inherit inherit,
               CacheTime time, IsExpected is_expected);
  void discard(ThreadState& thread, const Draft& draft);
  void stamp_item(ThreadState& thread, const Draft& draft, std::size_t key_bytes, std::uint64_t cas,
                  const Stamp& stamp, const Existing& old, CacheTime time);
  void account_resized(Ledger& ledger, const Existing& old, const Draft& draft);
  // Append and prepend, of a value in pieces.
  StoreResult join(ThreadState& thread, const StoreRequest& request, std::span<const std::string_view> added,
                   CacheTime time);
  // A value in pieces.
  StoreResult begin(ThreadState& thread, const StoreRequest& request, std::size_t value_bytes, CacheTime time,
                    PendingStore& pending);
  StoreResult commit(ThreadState& thread, const StoreRequest& request, PendingStore& pending, CacheTime time);
  static Draft draft_of(const PendingStore& pending);
  bool fits_memory(std::size_t unchained_bytes) const;
  DeleteResult remove(ThreadState& thread, const Key& key, const Removal& removal, CacheTime time);
  bool touch(ThreadState& thread, const Key& key, CacheTime expiry, CacheTime time);
  ArithmeticResult arithmetic(ThreadState& thread, const Key& key, const Arithmetic& wanted, CacheTime time,
                              std::uint64_t& value);

  // --- Flush, expiry, eviction.
  void flush(ThreadState& thread);
  // The hash of the key of whatever lies there; any number if it is no item (any more).
  std::uint64_t hash_at(ChunkAddress address) const;
  // Unlinks and frees the item if it is (still) there and dead: its class, else 0.
  unsigned reap(ThreadState& thread, ChunkAddress address, CacheTime time);
  bool prepare_flush(ThreadState& thread);
  // Flush epochs that would have a meaning if the next began: at most kEpochs, since they are numbered modulo
  // that.
  std::uint64_t epochs_in_use() const;
  static constexpr std::uint64_t kEpochs = std::uint64_t{1} << kEpochBits;

  static constexpr std::size_t kSplitsPerBatch = 16;

  const Options options;
  BalanceSettings balance;
  const SlabClasses classes;
  std::unique_ptr<PagePool> pool;
  std::byte* base = nullptr;
  std::unique_ptr<HashIndex> index;
  std::optional<MemoryAhead> memory_ahead;
  std::optional<PageGuard> page_guard;
  std::uint64_t seed = 0;
  // Flushes so far; its lowest bits are in every item. Items of other epochs are dead.
  std::atomic<std::uint64_t> epoch{0};
  EvictionObserver* eviction_observer = nullptr;
  std::atomic<CacheTime> latest_now{
      0};  // the latest that any writer brought, for decisions without a caller's time
  std::vector<std::unique_ptr<ArenaOwner>> owners;
  std::vector<std::unique_ptr<Arena>> arenas;
  std::vector<std::unique_ptr<StoreThread>> threads;
  std::vector<ThreadState*> states;
  std::atomic<unsigned> attached{0};
  SpinLock attach_lock;

 private:
  void finish_link(ThreadState& thread, const Key& key, const Draft& draft, const Stamp& stamp,
                   const Existing& old);
  void exchange(ThreadState& thread, LockedBucket& bucket, const Existing& old, const Key& key,
                const Draft& draft, const Stamp& stamp, CacheTime time);
  void account_linked(Ledger& ledger, const Draft& draft, std::size_t key_bytes);
  DeleteResult invalidate(ThreadState& thread, LockedBucket& bucket, const Existing& existing,
                          const Removal& removal, CacheTime time);
  bool clear_value(ThreadState& thread, const Key& key, const Existing& existing, const Removal& removal,
                   CacheTime time);
  enum class JoinStep : std::uint8_t { kDone, kRebuild, kCreate };
  struct Joining;
  JoinStep join_locked(Joining& joining);
  bool join_in_place(Joining& joining, LockedBucket& bucket);
  bool join_rebuilt(Joining& joining);
  bool join_created(Joining& joining);
  struct Counting;
  bool count_locked(Counting& counting);
  bool count_in_place(Counting& counting, LockedBucket& bucket);
  bool count_rebuilt(Counting& counting);
  void push_limbo(ChunkAddress head);
  Chunk allocate_elsewhere(ThreadState& thread, unsigned slab_class, Arena::Effort effort);
  Chunk allocate_anywhere(ThreadState& thread, unsigned slab_class);
  std::atomic<ChunkAddress> limbo_{kNoChunk};
  std::atomic<ChunkAddress> limbo_left_{kNoChunk};  // of those that were taken to be looked at
  SpinLock limbo_lock_;                             // of whoever looks at them
  SpinLock flush_lock_;
  std::uint64_t writes_at_flush_ = 0;
  EpochPurge purge_;  // under flush_lock_
};

inline Existing StoreCore::examine_at(std::atomic<std::uint64_t>* slot, CacheTime time) const {
  Existing existing;
  if (slot == nullptr) {
    existing.epoch = current_epoch();
    return existing;
  }
  existing.address = slot_address(slot->load(std::memory_order_relaxed));
  const std::byte* const head = item(existing.address);
  const std::uint32_t state = settled_state(head);
  existing.epoch = current_epoch();
  existing.slot = slot;
  existing.header = read_header(head, existing.address, shared_load64(head + kCasOffset), state);
  existing.vitality = vitality(existing.header, time, existing.epoch);
  return existing;
}

inline Existing StoreCore::examine(const LockedBucket& bucket, std::string_view key, CacheTime time) const {
  return examine_at(bucket.find(key), time);
}

inline ItemInfo StoreCore::describe(const ItemHeader& header, std::uint64_t slot, CacheTime time) const {
  ItemInfo info;
  info.cas = options.cas ? header.cas : 0;
  info.client_flags = header.client_flags;
  info.value_bytes = header.value_bytes;
  info.expiry = header.expiry;
  info.last_access = time - idle_seconds(header.access, time);
  info.fetched = (slot & kSlotFetched) != 0;
  info.stale = (header.state & kStale) != 0;
  info.token_sent = (header.state & kTokenSent) != 0;
  info.binary_key = (header.state & kBinaryKey) != 0;
  info.slab_class = class_of(header);
  return info;
}

struct Store::Impl : StoreCore {
  using StoreCore::StoreCore;
};

struct StoreThread::Impl : ThreadState {};

// The parts of a chain, one after the other. Each is known only from the one before, whose line is seldom at
// hand, so those some steps on are asked for.
class PartWalk {
 public:
  PartWalk(const StoreCore& core, ChunkAddress first) : core_(core), part_(first) {}
  // kNoChunk behind the last. The part may be given back before the next call.
  ChunkAddress next() {
    const ChunkAddress part = part_;
    if (part == kNoChunk) return part;
    const std::byte* const chunk = core_.item(part);
    part_ = shared_load64(chunk + kPartNextOffset);
    __builtin_prefetch(core_.item(shared_load64(chunk + kPartAheadOffset)));
    return part;
  }

 private:
  const StoreCore& core_;
  ChunkAddress part_;
};

// Visits the pieces of a value that cannot change: pinned, or under the lock, or not linked yet.
template <typename Visit>
void visit_value(const StoreCore& core, const std::byte* head, const ItemHeader& header, Visit&& visit) {
  const auto span = [](const std::byte* at, std::size_t bytes) {
    return std::span<const char>(reinterpret_cast<const char*>(at), bytes);
  };
  visit(span(head + header.value_offset(), header.head_value_bytes()));
  if (!header.chained()) return;
  PartWalk parts(core, shared_load64(head + kChainNextOffset));
  for (ChunkAddress part = parts.next(); part != kNoChunk; part = parts.next()) {
    const std::byte* chunk = core.item(part);
    visit(span(chunk + kPartHeaderBytes, shared_load32(chunk + kPartUsedOffset)));
  }
}

template <typename Visit>
void HeldVersion::visit(Visit&& visit) const {
  if (pinned()) return visit_value(core_, core_.item(existing_.address), existing_.header, visit);
  visit(std::span<const char>(value_, existing_.header.value_bytes));
}

template <typename IsExpected>
bool StoreCore::succeed(ThreadState& thread, const Key& key, const Draft& draft, Stamp stamp, Inherit inherit,
                        CacheTime time, IsExpected is_expected) {
  Existing old;
  bool same;
  announce(draft);
  {
    LockedBucket bucket(*index, key.hash);
    old = examine(bucket, key.bytes, time);
    same = old.alive() && is_expected(old);
    // It may have been touched since it was seen.
    if (inherit == Inherit::kExpiry) stamp.expiry = old.header.expiry;
    if (same) exchange(thread, bucket, old, key, draft, stamp, time);
  }
  if (same) {
    finish_link(thread, key, draft, stamp, old);
  } else {
    discard(thread, draft);
  }
  return same;
}

}  // namespace ringcached::store
