// Storing a value that is at hand, linking drafts, removing, touching.
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "store/item_lock.h"
#include "store/store_core.h"

namespace ringcached::store {
namespace {

std::uint32_t marks_of(const StoreRequest& request) {
  return (request.binary_key ? kBinaryKey : 0) | (request.token_sent ? kTokenSent : 0);
}

// Ids above this were chosen by clients; counting on from them would soon wrap.
constexpr std::uint64_t kCasFollowedMax = std::uint64_t{1} << 62;

}  // namespace

// The smallest id above both the thread's last and the item's that ends in the thread's number.
std::uint64_t StoreCore::next_cas(ThreadState& thread, std::uint64_t old, std::uint64_t wanted) {
  if (wanted != 0) return wanted;
  const std::uint64_t above = old > thread.cas_last && old < kCasFollowedMax ? old : thread.cas_last;
  std::uint64_t id = above - above % kThreadsMax + thread.id;
  if (id <= above) id += kThreadsMax;
  thread.cas_last = id;
  return id;
}

StoreResult StoreCore::judge(const StoreRequest& request, const Existing& existing, Stamp& stamp) const {
  stamp = {request.expiry, marks_of(request), request.cas_explicit, request.fetched};
  switch (request.mode) {
    case StoreMode::kAdd:
      return existing.alive() ? StoreResult::kNotStored : StoreResult::kStored;
    case StoreMode::kReplace:
      return existing.alive() ? StoreResult::kStored : StoreResult::kNotStored;
    case StoreMode::kCas:
      break;
    default:
      return StoreResult::kStored;
  }
  if (!existing.alive()) return StoreResult::kNotFound;
  if (!options.cas || request.cas_compare == 0) return StoreResult::kExists;
  if (request.cas_compare == existing.header.cas) return StoreResult::kStored;
  if (!request.invalidate || request.cas_compare > existing.header.cas) return StoreResult::kExists;
  stamp.expiry = existing.header.expiry;
  stamp.marks |= kStale | (existing.header.state & kTokenSent);
  return StoreResult::kStored;
}

// A store that found no room. For a set, serving the old value on would be wrong.
[[gnu::noinline]] StoreResult StoreCore::reject(ThreadState& thread, const StoreRequest& request,
                                                StoreResult why, CacheTime time) {
  if (request.mode == StoreMode::kSet || request.remove_when_refused) drop(thread, request.key, time);
  return why;
}

void StoreCore::drop(ThreadState& thread, const Key& key, CacheTime time) {
  Existing existing;
  {
    LockedBucket bucket(*index, key.hash);
    existing = examine(bucket, key.bytes, time);
    note_seen(thread, existing);
    if (existing.slot == nullptr) return;
    count_dead(thread, existing);
    unlink(thread.ledger, bucket, existing);
  }
  count_item(thread, -1);
  retire(thread, existing);
}

// What precedes the value, except for what stamp_item() writes. The chunk is not linked yet.
void StoreCore::write_head(const Draft& draft, std::string_view key) {
  std::byte* chunk = item(draft.chunk.address);
  std::size_t offset = draft.chained ? kChainHeaderBytes : kItemHeaderBytes;
  if (draft.chained) {
    shared_store32(chunk + kChainBytesOffset, draft.value_bytes);
    shared_store64(chunk + kChainNextOffset, kNoChunk);
  }
  if (draft.client_flags != 0) {
    shared_store32(chunk + offset, draft.client_flags);
    offset += kClientFlagsBytes;
  }
  copy_to_shared(chunk + offset, key.data(), key.size());
}

void StoreCore::announce(const Draft& draft) {
  chunk_state(item(draft.chunk.address))
      .store(static_cast<std::uint32_t>(ChunkKind::kLinking) | draft.chunk.generation << kGenerationShift,
             std::memory_order_release);
  fence_before_lock();
}

// Makes the chunk an item of the moment in which `old` was looked at. Under the lock of the bucket since
// then.
void StoreCore::stamp_item(ThreadState& thread, const Draft& draft, std::size_t key_bytes, std::uint64_t cas,
                           const Stamp& stamp, const Existing& old, CacheTime time) {
  std::byte* chunk = item(draft.chunk.address);
  shared_store64(chunk + kCasOffset, cas);
  shared_store32(chunk + kExpiryOffset, stamp.expiry);
  shared_store32(chunk + kAccessOffset, access_word(time, key_bytes));
  const std::uint32_t state = static_cast<std::uint32_t>(ChunkKind::kItem) |
                              draft.chunk.generation << kGenerationShift | old.epoch << kEpochShift |
                              stamp.marks | (draft.client_flags != 0 ? kHasFlags : 0) |
                              (draft.chained ? kChained : draft.value_bytes << kValueBytesShift);
  chunk_state(chunk).store(state, std::memory_order_release);
  thread.last_write = {.cas = options.cas ? cas : 0,
                       .client_flags = draft.client_flags,
                       .value_bytes = draft.value_bytes,
                       .expiry = stamp.expiry};
  thread.last_class = draft.slab_class;
  thread.ledger.writes.add();
}

void StoreCore::account_linked(Ledger& ledger, const Draft& draft, std::size_t key_bytes) {
  const std::size_t bytes = item_bytes(key_bytes, draft.value_bytes, draft.client_flags, options.cas);
  ledger.counters.items_linked.add();
  ledger.counters.bytes_linked.add(bytes);
  ledger.classes[draft.slab_class].items.add();
  ledger.classes[draft.slab_class].bytes.add(bytes);
}

// Puts the draft where the old item was, or into a free slot. The old item's use counts for the new one.
void StoreCore::exchange(ThreadState& thread, LockedBucket& bucket, const Existing& old, const Key& key,
                         const Draft& draft, const Stamp& stamp, CacheTime time) {
  bucket.will_change();
  const std::uint64_t cas = next_cas(thread, old.slot != nullptr ? old.header.cas : 0, stamp.cas_explicit);
  stamp_item(thread, draft, key.bytes.size(), cas, stamp, old, time);
  std::uint64_t slot = make_slot(key.hash, draft.chunk.address);
  if (!old.alive() && stamp.fetched) slot |= kSlotFetched;
  if (old.slot == nullptr) {
    bucket.insert(slot, thread.ledger.index);
  } else {
    if (old.alive()) {
      slot = with_frequency(slot, slot_frequency(old.slot->load(std::memory_order_relaxed)) + 1);
    } else {
      count_dead(thread, old);
    }
    account_unlinked(thread.ledger, old);
    bucket.replace(*old.slot, slot);
  }
  account_linked(thread.ledger, draft, key.bytes.size());
}

// What remains to be done once the bucket is unlocked.
void StoreCore::finish_link(ThreadState& thread, const Key& key, const Draft& draft, const Stamp& stamp,
                            const Existing& old) {
  thread.ledger.counters.total_items.add();
  note_expiry(draft.chunk.address, stamp.expiry);
  if (old.slot == nullptr) {
    count_item(thread, 1);
  } else {
    retire(thread, old);
  }
  const unsigned owner = pool->info(pool->page_of(draft.chunk.address)).arena.load(std::memory_order_relaxed);
  arenas[owner]->publish(draft.chunk, draft.slab_class, fingerprint_of(key.hash));
}

// The mode did not agree with the item there was; what is dead goes.
[[gnu::noinline]] void StoreCore::note_refused(ThreadState& thread, const Key& key, const Existing& existing,
                                               CacheTime time) {
  if (existing.slot == nullptr) return;
  thread.last_class = class_of(existing.header);
  if (existing.alive()) return;
  count_dead(thread, existing);
  remove_dead(thread, key, time);
}

StoreResult StoreCore::link(ThreadState& thread, const StoreRequest& request, const Draft& draft,
                            CacheTime time) {
  Existing old;
  Stamp stamp;
  StoreResult verdict;
  announce(draft);
  {
    LockedBucket bucket(*index, request.key.hash);
    old = examine(bucket, request.key.bytes, time);
    note_seen(thread, old);
    verdict = judge(request, old, stamp);
    if (verdict == StoreResult::kStored) exchange(thread, bucket, old, request.key, draft, stamp, time);
  }
  if (verdict == StoreResult::kStored) {
    finish_link(thread, request.key, draft, stamp, old);
  } else {
    note_refused(thread, request.key, old, time);
    discard(thread, draft);
  }
  return verdict;
}

// The chunk may lie among those that another arena has not taken back yet: nobody shall wait for it there.
void StoreCore::discard(ThreadState& thread, const Draft& draft) {
  std::atomic<std::uint32_t>& state = chunk_state(item(draft.chunk.address));
  state.store(with_kind(state.load(std::memory_order_relaxed), ChunkKind::kFilling),
              std::memory_order_release);
  if (draft.chained) {
    free_parts(&thread, shared_load64(item(draft.chunk.address) + kChainNextOffset));
  }
  free_chunk(&thread, draft.chunk.address);
}

// Same class and layout, and nobody reads it in place.
inline bool StoreCore::fits_in_place(std::uint32_t state, std::size_t value_offset,
                                     const StoreRequest& request, unsigned slab_class) const {
  const std::size_t value_bytes = state >> kValueBytesShift;
  return (state & kChained) == 0 && ((state & kHasFlags) != 0) == (request.client_flags != 0) &&
         value_bytes < kPinBytesMin && classes.class_for(value_offset + value_bytes) == slab_class;
}

// The value and all that belongs to it; the state word is the last.
inline void StoreCore::write_over(ThreadState& thread, const Existing& old, unsigned slab_class,
                                  const StoreRequest& request, std::uint64_t cas, const Stamp& stamp,
                                  std::string_view value, CacheTime time) {
  const ItemHeader& header = old.header;
  const Draft draft{{old.address, chunk_generation(header.state)},
                    slab_class,
                    request.client_flags,
                    static_cast<std::uint32_t>(value.size()),
                    false};
  std::byte* const chunk = item(old.address);
  if (request.client_flags != 0) shared_store32(chunk + kItemHeaderBytes, request.client_flags);
  copy_to_shared(chunk + header.value_offset(), value.data(), value.size());
  stamp_item(thread, draft, header.key_bytes(), cas, stamp, old, time);
  account_resized(thread.ledger, old, draft);
}

// The same class, nobody reads it in place, and the key stays where it is in the chunk.
bool StoreCore::overwrite(ThreadState& thread, LockedBucket& bucket, const Existing& old, unsigned slab_class,
                          const StoreRequest& request, const Stamp& stamp, std::string_view value,
                          CacheTime time) {
  const ItemHeader& header = old.header;
  if (!fits_in_place(header.state, header.value_offset(), request, slab_class)) return false;

  bucket.will_change();
  write_over(thread, old, slab_class, request, next_cas(thread, header.cas, stamp.cas_explicit), stamp, value,
             time);
  const std::uint64_t slot = old.slot->load(std::memory_order_relaxed) & ~kSlotFetched;
  std::uint64_t frequency = 0;
  if (old.alive()) {
    frequency = slot_frequency(slot) + 1;
  } else {
    count_dead(thread, old);
  }
  old.slot->store(with_frequency(slot, frequency), std::memory_order_relaxed);
  return true;
}

// The item stays in its chunk with another value.
void StoreCore::account_resized(Ledger& ledger, const Existing& old, const Draft& draft) {
  ledger.counters.total_items.add();
  ledger.counters.in_place_overwrites.add();
  // The flags take as much room as they did, or it would not have been overwritten.
  if (old.header.value_bytes == draft.value_bytes) return;
  const std::size_t before = charged_bytes(old.header);
  const std::size_t after =
      item_bytes(old.header.key_bytes(), draft.value_bytes, draft.client_flags, options.cas);
  ledger.counters.bytes_linked.add(after);
  ledger.counters.bytes_unlinked.add(before);
  ledger.classes[draft.slab_class].bytes.add(after - before);
}

namespace {

// The bits of the item that is being overwritten, for the value that comes: unfetched, used once more. False:
// the slot is elsewhere by now.
bool renew_slot(std::atomic<std::uint64_t>& slot, ChunkAddress address) {
  std::uint64_t word = slot.load(std::memory_order_relaxed);
  for (;;) {
    if (slot_address(word) != address) return false;
    const std::uint64_t renewed = with_frequency(word & ~kSlotFetched, slot_frequency(word) + 1);
    if (renewed == word || slot.compare_exchange_weak(word, renewed, std::memory_order_relaxed)) return true;
  }
}

}  // namespace

// The common case of a set: the item is alive and stays in its chunk. Locks the item alone (item_lock.h).
inline StoreCore::Overwrite StoreCore::overwrite_item(ThreadState& thread, const StoreRequest& request,
                                                      unsigned slab_class, std::string_view value,
                                                      CacheTime time) {
  HashIndex::Ticket ticket;
  const HashIndex::Match match = index->glance(ticket, request.key.hash, request.key.bytes, request.key.seen);
  if (match.probe != HashIndex::Probe::kFound) return Overwrite::kOtherwise;
  std::byte* const chunk = item(match.address);
  const std::uint32_t state = shared_load32(chunk + kStateOffset);
  if (chunk_kind(state) == ChunkKind::kWriting) [[unlikely]] {
    wait_a_little(chunk);
    return Overwrite::kAgain;
  }
  const std::size_t offset = key_offset(state) + request.key.bytes.size();
  if (chunk_kind(state) != ChunkKind::kItem || !fits_in_place(state, offset, request, slab_class))
    return Overwrite::kOtherwise;
  const PageGuard::Inside inside = page_guard->enter(thread.id, match.address);
  if (!index->still_valid(ticket)) return Overwrite::kOtherwise;
  ItemLock lock(chunk, state, thread.id);
  if (!lock) return Overwrite::kAgain;
  if (!index->still_valid(ticket)) return Overwrite::kOtherwise;

  Existing old;
  old.epoch = current_epoch();
  old.slot = match.slot_word;
  old.address = match.address;
  old.header = read_header(chunk, match.address, shared_load64(chunk + kCasOffset), state);
  old.vitality = vitality(old.header, time, old.epoch);
  Stamp stamp;
  if (!old.alive() || judge(request, old, stamp) != StoreResult::kStored) return Overwrite::kOtherwise;
  if (!renew_slot(*old.slot, old.address)) return Overwrite::kOtherwise;
  const std::uint64_t cas = next_cas(thread, old.header.cas, 0);
  shared_store64(chunk + kCasOffset, cas);
  write_fence();
  write_over(thread, old, slab_class, request, cas, stamp, value, time);
  lock.passed_on();
  note_seen(thread, old);
  note_expiry(old.address, stamp.expiry);
  return Overwrite::kDone;
}

// Whether that is what the request needs; where another thread is at it, when that has ended.
inline bool StoreCore::put_over(ThreadState& thread, const StoreRequest& request, unsigned slab_class,
                                std::string_view value, CacheTime time) {
  constexpr unsigned kTriesMax = 4;
  if (request.mode == StoreMode::kAdd || request.cas_explicit != 0) return false;
  HashIndex::prefetch_again(request.key.seen);
  for (unsigned tries = 0; tries < kTriesMax; ++tries) {
    const Overwrite outcome = overwrite_item(thread, request, slab_class, value, time);
    if (outcome != Overwrite::kAgain) [[likely]]
      return outcome == Overwrite::kDone;
  }
  return false;
}

// What put() does without memory of its own: refuses, or writes over the old item. False: neither.
[[gnu::noinline]] bool StoreCore::put_in_place(ThreadState& thread, const StoreRequest& request,
                                               unsigned slab_class, std::string_view value, CacheTime time,
                                               StoreResult& verdict) {
  LockedBucket bucket(*index, request.key.hash);
  const Existing existing = examine_at(bucket.find(request.key.bytes, request.key.seen), time);
  note_seen(thread, existing);
  Stamp stamp;
  verdict = judge(request, existing, stamp);
  if (verdict != StoreResult::kStored) {
    bucket.unlock();
    note_refused(thread, request.key, existing, time);
    return true;
  }
  if (existing.slot == nullptr ||
      !overwrite(thread, bucket, existing, slab_class, request, stamp, value, time)) {
    return false;
  }
  bucket.unlock();
  note_expiry(existing.address, stamp.expiry);
  return true;
}

// An item of its own for a value that fits a chunk of `slab_class`.
[[gnu::noinline]] StoreResult StoreCore::put_new(ThreadState& thread, const StoreRequest& request,
                                                 unsigned slab_class, std::string_view value,
                                                 CacheTime time) {
  const std::string_view key = request.key.bytes;
  Draft draft{{}, slab_class, request.client_flags, static_cast<std::uint32_t>(value.size()), false};
  draft.chunk = allocate(thread, slab_class);
  if (!draft.chunk) return reject(thread, request, StoreResult::kNoMemory, time);
  write_head(draft, key);
  const std::size_t offset = key_offset(request.client_flags != 0 ? kHasFlags : 0) + key.size();
  copy_to_shared(item(draft.chunk.address) + offset, value.data(), value.size());
  return link(thread, request, draft, time);
}

// A value that needs several chunks.
[[gnu::noinline]] StoreResult StoreCore::put_chained(ThreadState& thread, const StoreRequest& request,
                                                     std::string_view value, CacheTime time) {
  PendingStore pending;
  const StoreResult begun = begin(thread, request, value.size(), time, pending);
  if (begun != StoreResult::kStored) return begun;
  if (!pending.write(value)) return reject(thread, request, StoreResult::kNoMemory, time);
  return commit(thread, request, pending, time);
}

// All of an overwrite in place in one piece, as most sets end there; what else there is, is called.
[[gnu::flatten, gnu::noinline]] StoreResult Store::put(StoreThread& thread, const StoreRequest& request,
                                                       std::string_view value, CacheTime now) {
  RC_DCHECK(!request.key.bytes.empty() && request.key.bytes.size() <= kKeyBytesMax);
  StoreCore& core = *impl_;
  ThreadState& state = *thread.impl_;
  core.see_time(now);
  state.last_class = 0;
  state.seen = Lookup::kMiss;
  const std::size_t bytes = unchained_bytes(request.key.bytes.size(), value.size(), request.client_flags);
  const bool joins = request.mode == StoreMode::kAppend || request.mode == StoreMode::kPrepend;
  if (!joins && bytes > kChunkBytesMax) [[unlikely]]
    return core.put_chained(state, request, value, now);
  // Of what is joined this is what begin() would say of the same value in pieces; that the joined value is
  // too large is another case.
  if (core.exceeds_limit(request, value.size())) [[unlikely]]
    return core.reject(state, request, StoreResult::kTooLarge, now);
  if (joins) [[unlikely]]
    return core.join(state, request, {&value, 1}, now);
  const unsigned slab_class = core.classes.class_for(bytes);
  if (core.put_over(state, request, slab_class, value, now)) return StoreResult::kStored;
  StoreResult verdict{};
  if (core.put_in_place(state, request, slab_class, value, now, verdict)) return verdict;
  return core.put_new(state, request, slab_class, value, now);
}

// --- Removing and touching.

DeleteResult StoreCore::invalidate(ThreadState& thread, LockedBucket& bucket, const Existing& existing,
                                   const Removal& removal, CacheTime time) {
  bucket.will_change();
  const ItemHeader& header = existing.header;
  std::byte* chunk = item(existing.address);
  const std::uint64_t cas = next_cas(thread, header.cas, removal.cas_explicit);
  const CacheTime expiry = removal.set_expiry ? removal.expiry : header.expiry;
  shared_store64(chunk + kCasOffset, cas);
  shared_store32(chunk + kExpiryOffset, expiry);
  chunk_state(chunk).store((header.state & ~kTokenSent) | kStale, std::memory_order_release);
  thread.last_write = {.cas = options.cas ? cas : 0,
                       .client_flags = header.client_flags,
                       .value_bytes = header.value_bytes,
                       .expiry = expiry};
  bucket.unlock();
  note_expiry(existing.address, expiry);
  see_time(time);
  return DeleteResult::kDeleted;
}

DeleteResult StoreCore::remove(ThreadState& thread, const Key& key, const Removal& removal, CacheTime time) {
  see_time(time);
  thread.last_class = 0;
  for (;;) {
    Existing existing;
    {
      LockedBucket bucket(*index, key.hash);
      existing = examine(bucket, key.bytes, time);
      note_seen(thread, existing);
      if (existing.slot == nullptr) return DeleteResult::kNotFound;
      if (existing.alive()) {
        thread.last_class = class_of(existing.header);
        const bool compares = removal.compare || removal.cas_compare != 0;
        const bool differs =
            !options.cas || removal.cas_compare == 0 || existing.header.cas != removal.cas_compare;
        if (compares && differs) return DeleteResult::kExists;
        if (removal.invalidate && !removal.clear) return invalidate(thread, bucket, existing, removal, time);
      }
      if (!existing.alive()) count_dead(thread, existing);
      if (!existing.alive() || !removal.clear) unlink(thread.ledger, bucket, existing);
    }
    if (!existing.alive() || !removal.clear) {
      count_item(thread, -1);
      retire(thread, existing);
      return existing.alive() ? DeleteResult::kDeleted : DeleteResult::kNotFound;
    }
    if (clear_value(thread, key, existing, removal, time)) return DeleteResult::kDeleted;
  }
}

// The item with an empty value in its place. False: it has changed meanwhile, look again. Without memory it
// is removed.
bool StoreCore::clear_value(ThreadState& thread, const Key& key, const Existing& existing,
                            const Removal& removal, CacheTime time) {
  Draft draft{{}, 0, removal.client_flags, 0, false};
  draft.slab_class = classes.class_for(unchained_bytes(key.bytes.size(), 0, removal.client_flags));
  draft.chunk = allocate(thread, draft.slab_class);
  if (!draft.chunk) {
    drop(thread, key, time);
    return true;
  }
  write_head(draft, key.bytes);
  const bool keeps_id = removal.cas_explicit == 0 && !removal.invalidate;
  const Stamp stamp{removal.expiry, (existing.header.state & kBinaryKey) | (removal.invalidate ? kStale : 0),
                    keeps_id ? existing.header.cas : removal.cas_explicit};
  return succeed(thread, key, draft, stamp, Inherit::kNothing, time, [&](const Existing& now) {
    return now.address == existing.address && now.header.cas == existing.header.cas;
  });
}

DeleteResult Store::remove(StoreThread& thread, const Key& key, const Removal& removal, CacheTime now) {
  return impl_->remove(*thread.impl_, key, removal, now);
}

bool StoreCore::touch(ThreadState& thread, const Key& key, CacheTime expiry, CacheTime time) {
  see_time(time);
  Existing existing;
  {
    LockedBucket bucket(*index, key.hash);
    existing = examine(bucket, key.bytes, time);
    note_seen(thread, existing);
    if (existing.alive()) {
      shared_store32(item(existing.address) + kExpiryOffset, expiry);
      shared_store32(item(existing.address) + kAccessOffset, access_word(time, existing.header.key_bytes()));
      const std::uint64_t slot = existing.slot->load(std::memory_order_relaxed);
      existing.slot->store(with_frequency(slot, slot_frequency(slot) + 1) | kSlotFetched,
                           std::memory_order_relaxed);
    }
  }
  thread.last_class = existing.slot == nullptr ? 0 : class_of(existing.header);
  if (existing.alive()) {
    note_expiry(existing.address, expiry);
  } else if (existing.slot != nullptr) {
    count_dead(thread, existing);
    remove_dead(thread, key, time);
  }
  return existing.alive();
}

bool Store::touch(StoreThread& thread, const Key& key, CacheTime expiry, CacheTime now) {
  return impl_->touch(*thread.impl_, key, expiry, now);
}

}  // namespace ringcached::store
