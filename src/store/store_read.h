// What of Store is worked out where it is called: asking for memory ahead, reads. Include it where those are
// called.
//
// A read without a lock: (1) ticket: the bucket's version, even; (2) find the key; (3) copy the header; (4)
// the version has not changed, so header and key belong together and the lengths in it are those of the item;
// (5) ask `place` where the value goes and copy it, at most as many bytes as the header said; (6) neither the
// version nor the item's CAS id have changed, so the bytes belong to the header. A writer makes the version
// odd before and greater after, in that order; or it overwrites the item in place, under a lock in the item's
// state word, writes the id first and that word, unlocked, last (item_lock.h). The header is read in the same
// order, id first, so (3) either finds the item locked, or what belongs to its id but what a later writer has
// changed, which has changed the id before. What (4) sees may be torn by such a writer in all but the
// lengths.
#pragma once

#include "base/hash.h"
#include "store/store_core.h"

namespace ringcached::store {

// Times a reader starts again before it takes the lock of the bucket.
inline constexpr unsigned kReadTriesMax = 8;
// A repeated hit refreshes the access time only if it is this old: hits of hot items write nothing.
inline constexpr std::uint32_t kAccessRefreshSeconds = 60;
// Overflow buckets of a chain that are searched ahead: while an index grows it has two in one of some
// hundred.
inline constexpr unsigned kLinksAheadMax = 4;

namespace detail {

enum class Try : std::uint8_t { kAnswered, kAgain, kLock };

struct ReadContext {
  StoreCore& core;
  ThreadState& thread;
  const Key& key;
  CacheTime now;
  const ReadOptions& options;
  Lookup answer = Lookup::kMiss;
  ChunkAddress pinned = kNoChunk;
};

// The item may be recached by whoever reads it now.
inline bool wins_token(const ItemHeader& header, const ReadOptions& options, CacheTime expiry) {
  if (!options.claim || (header.state & kTokenSent) != 0) return false;
  return (header.state & kStale) != 0 || (expiry != kNeverExpires && expiry < options.recache_before);
}

// The header, and all that was read of the item behind it, are of one moment: nobody has held the lock of the
// bucket to change it, nor overwritten the item in place.
inline bool still_valid(const StoreCore& core, const HashIndex::Ticket& ticket, const std::byte* item,
                        const ItemHeader& header) {
  return core.index->still_valid(ticket) && shared_load64(item + kCasOffset) == header.cas;
}

// False when a writer interfered.
inline bool copy_value(const StoreCore& core, const HashIndex::Ticket& ticket, const std::byte* item,
                       const ItemHeader& header, char* to) {
  const std::size_t head_bytes = header.head_value_bytes();
  copy_from_shared(to, item + header.value_offset(), head_bytes);
  if (!header.chained()) return true;
  to += head_bytes;
  std::size_t left = header.value_bytes - head_bytes;
  ChunkAddress part = shared_load64(item + kChainNextOffset);
  while (left > 0) {
    if (!core.index->still_valid(ticket)) return false;  // else `part` is the address of a part of this item
    const std::byte* chunk = core.item(part);
    const std::size_t used = shared_load32(chunk + kPartUsedOffset);
    part = shared_load64(chunk + kPartNextOffset);
    if (!core.index->still_valid(ticket)) return false;
    copy_from_shared(to, chunk + kPartHeaderBytes, used);
    to += used;
    left -= used;
  }
  return true;
}

// A hit writes two bits at most, and nothing once the counter is full. Losing the race loses one count.
inline void mark_hit(StoreCore& core, const Key& key, CacheTime now, const HashIndex::Match& match,
                     std::uint32_t access) {
  constexpr std::uint64_t kFull = kSlotFrequencyMask | kSlotFetched;
  if ((match.slot & kFull) != kFull) {
    std::uint64_t expected = match.slot;
    const std::uint64_t marked = with_frequency(match.slot, slot_frequency(match.slot) + 1) | kSlotFetched;
    match.slot_word->compare_exchange_weak(expected, marked, std::memory_order_relaxed);
  }
  if ((match.slot & kSlotFetched) != 0 && idle_seconds(access, now) >= kAccessRefreshSeconds) [[unlikely]] {
    core.refresh_access(key, match.address, now);
  }
}

template <typename Place>
Try read_unlocked(ReadContext& read, Place& place) {
  StoreCore& core = read.core;
  HashIndex::Ticket ticket;
  if (!core.index->ticket(read.key.hash, ticket)) return Try::kAgain;
  HashIndex::Match match = core.index->probe(ticket, read.key.hash, read.key.bytes);
  if (match.probe == HashIndex::Probe::kMissing) {
    read.answer = Lookup::kMiss;
    return Try::kAnswered;
  }
  if (match.probe == HashIndex::Probe::kInterfered) return Try::kAgain;
  const std::byte* item = core.item(match.address);
  const ItemHeader header = read_header(item, match.address);
  if (!core.index->still_valid(ticket)) return Try::kAgain;
  // Behind the header: who overwrites an item changes the slot before.
  match.slot = match.slot_word->load(std::memory_order_relaxed);

  if (!core.can_be_read(header, read.now)) {
    if (chunk_kind(header.state) == ChunkKind::kWriting) {
      StoreCore::wait_a_little(item);
      return Try::kAgain;
    }
    read.answer = core.remove_dead(read.thread, read.key, read.now);
    return read.answer == Lookup::kHit ? Try::kAgain : Try::kAnswered;
  }
  if (wins_token(header, read.options, header.expiry)) return Try::kLock;
  const ItemInfo info = core.describe(header, match.slot, read.now);
  const ReadTarget target = place(info);
  if (target.copy_to != nullptr && !copy_value(core, ticket, item, header, target.copy_to))
    return Try::kAgain;
  const bool pin = target.pin && header.value_bytes >= kPinBytesMin;
  if (pin) core.pool->pins(match.address).fetch_add(1, std::memory_order_acq_rel);
  if (!still_valid(core, ticket, item, header)) {
    if (pin) core.unpin(match.address);
    return Try::kAgain;
  }
  if (pin) read.pinned = match.address;
  if (!read.options.quiet) mark_hit(core, read.key, read.now, match, header.access);
  read.thread.last_class = info.slab_class;
  read.answer = Lookup::kHit;
  return Try::kAnswered;
}

// What a locked hit changes: the expiry, the token, the access bits and time.
inline void change_on_hit(ReadContext& read, const Existing& existing, bool won) {
  std::byte* item = read.core.item(existing.address);
  if (read.options.touch) shared_store32(item + kExpiryOffset, read.options.expiry);
  if (won) chunk_state(item).store(existing.header.state | kTokenSent, std::memory_order_release);
  if (read.options.quiet) return;
  const std::uint64_t slot = existing.slot->load(std::memory_order_relaxed);
  if ((slot & kSlotFetched) != 0) {
    shared_store32(item + kAccessOffset, access_word(read.now, existing.header.key_bytes()));
  }
  existing.slot->store(with_frequency(slot, slot_frequency(slot) + 1) | kSlotFetched,
                       std::memory_order_relaxed);
}

// Under the lock nothing interferes. False: the item is dead.
template <typename Place>
bool read_locked(ReadContext& read, Place& place) {
  StoreCore& core = read.core;
  LockedBucket bucket(*core.index, read.key.hash);
  const Existing existing = core.examine(bucket, read.key.bytes, read.now);
  if (existing.slot == nullptr) return true;
  if (!existing.alive()) return false;
  const ItemHeader& header = existing.header;
  ItemInfo info = core.describe(header, existing.slot->load(std::memory_order_relaxed), read.now);
  const bool touched_first = read.options.touch && read.options.recache_after_touch;
  info.won = wins_token(header, read.options, touched_first ? read.options.expiry : header.expiry);
  const ReadTarget target = place(info);
  const std::byte* item = core.item(existing.address);
  if (target.copy_to != nullptr) {
    char* to = target.copy_to;
    visit_value(core, item, header, [&to](std::span<const char> piece) {
      copy_from_shared(to, reinterpret_cast<const std::byte*>(piece.data()), piece.size());
      to += piece.size();
    });
  }
  if (target.pin && header.value_bytes >= kPinBytesMin) {
    core.pool->pins(existing.address).fetch_add(1, std::memory_order_acq_rel);
    read.pinned = existing.address;
  }
  change_on_hit(read, existing, info.won);
  bucket.unlock();
  if (read.options.touch) core.note_expiry(existing.address, read.options.expiry);
  read.thread.last_class = info.slab_class;
  read.answer = Lookup::kHit;
  return true;
}

template <typename Place>
void read_any(ReadContext& read, Place& place) {
  Counter& retries = read.thread.ledger.counters.read_retries;
  Try outcome = read.options.touch ? Try::kLock : Try::kAgain;
  for (unsigned tries = 0; outcome == Try::kAgain && tries < kReadTriesMax; ++tries) {
    if (tries > 0) retries.add();
    outcome = read_unlocked(read, place);
  }
  if (outcome == Try::kAnswered) return;
  if (outcome == Try::kAgain) read.thread.ledger.counters.read_locked.add();
  while (!read_locked(read, place)) {
    read.answer = read.core.remove_dead(read.thread, read.key, read.now);
    if (read.answer != Lookup::kHit) return;
    read.answer = Lookup::kMiss;
  }
}

}  // namespace detail

inline void Store::prefetch(std::string_view bytes, Key& key, Access access) const {
  key.bytes = bytes;
  key.hash = hash_key(bytes, impl_->seed);
  impl_->index->prefetch(key.hash, key.seen, access);
}

template <typename KeyOf>
void Store::prefetch_items(std::size_t count, KeyOf&& key_of) const {
  const HashIndex& index = *impl_->index;
  std::uint64_t chained = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Key& key = key_of(i);
    chained |= std::uint64_t{index.prefetch_item(key.hash, key.seen)} << i;
  }
  for (unsigned link = 0; chained != 0 && link < kLinksAheadMax; ++link) {
    for (std::uint64_t left = chained; left != 0; left &= left - 1) {
      Key& key = key_of(static_cast<std::size_t>(std::countr_zero(left)));
      if (!index.prefetch_chained_item(key.hash, key.seen)) chained &= ~(left & -left);
    }
  }
  // The first tells what the others are like: looking at each costs small ones more than it can bring.
  if (count == 0 || !index.prefetch_value(key_of(0).seen)) return;
  for (std::size_t i = 1; i < count; ++i) index.prefetch_value(key_of(i).seen);
}

template <typename Place>
bool Store::read_plain(StoreThread& thread, const Key& key, CacheTime now, Place&& place) {
  StoreCore& core = *impl_;
  HashIndex::Ticket ticket;
  HashIndex::Match match = core.index->glance(ticket, key.hash, key.bytes, key.seen);
  if (match.probe != HashIndex::Probe::kFound) return false;
  const std::byte* item = core.item(match.address);
  const ItemHeader header = read_header(item, match.address);
  if (header.chained() || header.value_bytes >= kPinBytesMin || !core.index->still_valid(ticket) ||
      !core.can_be_read(header, now)) {
    return false;
  }
  match.slot = match.slot_word->load(std::memory_order_relaxed);  // behind the header, see read_unlocked()
  const ItemInfo info = core.describe(header, match.slot, now);
  char* const to = place(info);
  if (to == nullptr) return false;
  copy_from_shared(to, item + header.value_offset(), header.value_bytes);
  if (!detail::still_valid(core, ticket, item, header)) return false;
  detail::mark_hit(core, key, now, match, header.access);
  thread.impl_->last_class = info.slab_class;
  return true;
}

template <typename Place>
Lookup Store::read(StoreThread& thread, const Key& key, CacheTime now, const ReadOptions& options,
                   Place&& place, Pin* pin) {
  detail::ReadContext read{*impl_, *thread.impl_, key, now, options};
  detail::read_any(read, place);
  if (read.pinned != kNoChunk) {
    if (pin != nullptr) {
      pin->release();
      pin->store_ = this;
      pin->head_ = read.pinned;
    } else {
      impl_->unpin(read.pinned);
    }
  }
  return read.answer;
}

template <typename Visit>
void Store::for_each_piece(const Pin& pin, Visit&& visit) const {
  const std::byte* head = impl_->item(pin.head_);
  visit_value(*impl_, head, read_header(head, pin.head_), visit);
}

}  // namespace ringcached::store
