// The index: hash -> address of the item's chunk, for all threads.
//
// A bucket is one cache line: a word of (version 32 | overflow bucket 32) and seven slots. Full buckets are
// continued by overflow buckets of three slots, half a line, from an array of their own; the version of the
// home bucket covers the whole chain. Odd: locked.
//
//   slot   63      48 47   44 43      42      41  40 39                             0
//         |   tag    | spare |main| fetched |  freq  |  address (granule number)     |
//
// Growth is linear hashing: with N = bucket_count, 2^L <= N < 2^(L+1), a hash belongs to its lowest L+1 bits
// if that bucket exists, else to its lowest L. Splitting bucket N - 2^L makes bucket N; N is the whole state,
// the mask of L+1 bits beside it saves working it out. Both arrays are reserved at their largest at creation
// and touched as they are used.
//
// Readers take no lock: ticket(), probe(), copy what the item has, still_valid(). A reader that finds nothing
// must also see that its hash still maps to the bucket it read. Readers change a slot only by
// compare-and-swap of its access bits. Writers hold the lock of one bucket (LockedBucket), never two, and
// wait for nothing while holding it but for who overwrites an item in place. Those lock the item, not the
// bucket (item_lock.h), and change its slot as readers do; so a slot is moved by exchange(), and nobody
// stores to one whose item may be locked.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/prefetch.h"
#include "base/spin_lock.h"
#include "ringcached/status.h"
#include "store/chunk.h"
#include "store/item.h"
#include "store/mapping.h"
#include "store/shared_bytes.h"
#include "store/sighting.h"

namespace ringcached::store {

inline constexpr unsigned kSlotsPerBucket = 7;
inline constexpr unsigned kSlotsPerOverflow = 3;

struct alignas(64) Bucket {
  std::atomic<std::uint64_t> word{0};
  std::atomic<std::uint64_t> slots[kSlotsPerBucket];
};
static_assert(sizeof(Bucket) == 64);

struct alignas(32) OverflowBucket {
  std::atomic<std::uint64_t> word{0};
  std::atomic<std::uint64_t> slots[kSlotsPerOverflow];
};
static_assert(sizeof(OverflowBucket) == 32);

// One link of a chain, of either size: its word and its slots. Empty past the end of the chain.
class ChainLink {
 public:
  ChainLink() = default;
  explicit ChainLink(Bucket& home) : word_(&home.word), slots_(home.slots), count_(kSlotsPerBucket) {}
  explicit ChainLink(OverflowBucket& overflow)
      : word_(&overflow.word), slots_(overflow.slots), count_(kSlotsPerOverflow) {}
  explicit operator bool() const { return word_ != nullptr; }
  std::atomic<std::uint64_t>& word() const { return *word_; }
  std::atomic<std::uint64_t>& slot(unsigned i) const { return slots_[i]; }
  unsigned count() const { return count_; }
  std::atomic<std::uint64_t>* begin() const { return slots_; }
  std::atomic<std::uint64_t>* end() const { return slots_ + count_; }

 private:
  std::atomic<std::uint64_t>* word_ = nullptr;
  std::atomic<std::uint64_t>* slots_ = nullptr;
  unsigned count_ = 0;
};

inline constexpr std::uint64_t kVersionMask = 0xffffffffU;
inline constexpr std::uint64_t kSlotAddressMask = (std::uint64_t{1} << kAddressBits) - 1;
inline constexpr unsigned kSlotFrequencyShift = 40;
inline constexpr std::uint64_t kSlotFrequencyMax = 3;
inline constexpr std::uint64_t kSlotFrequencyMask = kSlotFrequencyMax << kSlotFrequencyShift;
inline constexpr std::uint64_t kSlotFetched = std::uint64_t{1} << 42;
inline constexpr unsigned kSlotTagShift = 48;

inline constexpr ChunkAddress slot_address(std::uint64_t slot) {
  return slot & kSlotAddressMask;
}
inline constexpr std::uint64_t slot_frequency(std::uint64_t slot) {
  return (slot & kSlotFrequencyMask) >> kSlotFrequencyShift;
}
inline constexpr std::uint64_t with_frequency(std::uint64_t slot, std::uint64_t frequency) {
  return (slot & ~kSlotFrequencyMask) | (frequency < kSlotFrequencyMax ? frequency : kSlotFrequencyMax)
                                            << kSlotFrequencyShift;
}
// The top bits of the hash, which choose no bucket.
inline constexpr std::uint64_t slot_tag(std::uint64_t hash) {
  return hash >> kSlotTagShift;
}
inline constexpr std::uint64_t make_slot(std::uint64_t hash, ChunkAddress address) {
  return slot_tag(hash) << kSlotTagShift | address;
}
// What the ghosts of the eviction queues remember of a key.
inline constexpr std::uint32_t fingerprint_of(std::uint64_t hash) {
  return static_cast<std::uint32_t>(hash >> 32);
}

// A set of slots, as bits four apart: what the vector compare yields.
class SlotMatches {
 public:
  explicit SlotMatches(unsigned bits) : bits_(bits) {}
  bool any() const { return bits_ != 0; }
  unsigned first() const { return (static_cast<unsigned>(std::countr_zero(bits_)) >> 2) - 1; }
  // Of a home bucket; its last slot if there is none.
  unsigned first_or_last() const { return SlotMatches(bits_ | bit(kSlotsPerBucket - 1)).first(); }
  void drop_first() { bits_ &= bits_ - 1; }
  static constexpr unsigned bit(unsigned slot) { return 0x80U << (4 * slot); }

 private:
  unsigned bits_;
};

inline SlotMatches match_tags_in_turn(const std::atomic<std::uint64_t>* slots, unsigned count,
                                      std::uint64_t tag) {
  unsigned bits = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (slots[i].load(std::memory_order_relaxed) >> kSlotTagShift == tag) bits |= SlotMatches::bit(i);
  }
  return SlotMatches(bits);
}

// The slots with this tag (an empty slot may be among them).
inline SlotMatches match_tags(const OverflowBucket& bucket, std::uint64_t tag) {
  return match_tags_in_turn(bucket.slots, kSlotsPerOverflow, tag);
}
inline SlotMatches match_tags(const Bucket& bucket, std::uint64_t tag) {
#if defined(__SSE2__) && !RC_STORE_TSAN
  // The compare works on 16-bit lanes, of which the highest of each word counts; packed, they are four bits
  // apart, and the lowest belongs to the bucket's own word. Words are loaded whole, so a slot is never torn.
  const auto* line = reinterpret_cast<const __m128i*>(&bucket);
  const __m128i wanted = _mm_set1_epi16(static_cast<short>(tag));
  const auto equal = [&](int i) { return _mm_cmpeq_epi16(_mm_load_si128(line + i), wanted); };
  const auto low = static_cast<unsigned>(_mm_movemask_epi8(_mm_packs_epi16(equal(0), equal(1))));
  const auto high = static_cast<unsigned>(_mm_movemask_epi8(_mm_packs_epi16(equal(2), equal(3))));
  return SlotMatches((low | high << 16) & 0x88888880U);
#else
  return match_tags_in_turn(bucket.slots, kSlotsPerBucket, tag);
#endif
}

struct HashIndexOptions {
  std::uint64_t seed = 0;
  std::size_t items_max = 0;  // what the arrays are reserved for
  std::size_t buckets_initial = 8192;
  bool growth = true;
  bool large_pages = false;          // transparent huge pages wherever it grows
  bool huge_pages_at_start = false;  // for the first buckets only
  std::size_t writers = 1;           // HashIndex::Share objects there will be
  std::span<const unsigned> nodes;   // NUMA nodes to spread the arrays over, page by page; during create()
};

class HashIndex {
 public:
  // `items` is the start of the item memory: addresses are relative to it.
  static Result<std::unique_ptr<HashIndex>> create(const HashIndexOptions& options, std::byte* items);
  ~HashIndex();
  HashIndex(const HashIndex&) = delete;
  HashIndex& operator=(const HashIndex&) = delete;

  // Why the arrays could not be spread over the nodes; ok if they are, or if there is one node. They work all
  // the same.
  const Status& spread() const { return spread_; }

  // A look at a bucket without a lock.
  struct Ticket {
    const Bucket* bucket = nullptr;
    std::uint64_t word = 0;
  };
  enum class Probe : std::uint8_t { kFound, kMissing, kInterfered };
  struct Match {
    Probe probe = Probe::kInterfered;
    ChunkAddress address = kNoChunk;
    std::uint64_t slot = 0;
    std::atomic<std::uint64_t>* slot_word = nullptr;
  };

  // The item that was seen ahead, or else the first in the home bucket with the tag of `hash`, if it has the
  // key and nobody interferes so far; else kInterfered, which says nothing.
  Match glance(Ticket& ticket, std::uint64_t hash, std::string_view key, const Sighting& seen) const {
    std::atomic<std::uint64_t>* place = seen.slot;
    if (place != nullptr) {
      ticket.bucket = seen.bucket;
      ticket.word = seen.bucket->word.load(std::memory_order_acquire);
    }
    if (place == nullptr || static_cast<std::uint32_t>(ticket.word) != seen.version) {
      ticket.bucket = &home_of(hash);
      ticket.word = ticket.bucket->word.load(std::memory_order_acquire);
      const SlotMatches matches = match_tags(*ticket.bucket, slot_tag(hash));
      if (!matches.any()) return {};
      place = const_cast<std::atomic<std::uint64_t>*>(&ticket.bucket->slots[matches.first()]);
    }
    if ((ticket.word & 1) != 0) return {};
    const std::uint64_t slot = place->load(std::memory_order_relaxed);
    const ChunkAddress address = slot_address(slot);
    if (address == kNoChunk || !has_key(item(address), address, key)) return {};
    return {Probe::kFound, address, slot, place};
  }

  // False if the bucket stayed locked for a bounded spin.
  bool ticket(std::uint64_t hash, Ticket& ticket) const {
    ticket.bucket = &home_of(hash);
    for (unsigned spin = 0; spin < kTicketSpins; ++spin) {
      ticket.word = ticket.bucket->word.load(std::memory_order_acquire);
      if ((ticket.word & 1) == 0) return true;
      cpu_relax();
    }
    return false;
  }
  // Everything read since ticket() was of one moment.
  bool still_valid(const Ticket& ticket) const {
    read_fence();
    return ticket.bucket->word.load(std::memory_order_relaxed) == ticket.word;
  }
  // kFound is not yet validated, kMissing is.
  Match probe(const Ticket& ticket, std::uint64_t hash, std::string_view key) const;

  // The home bucket of an item that will be removed.
  void prefetch(std::uint64_t hash) const { prefetch_to_write(&home_of(hash)); }
  // The three steps of asking for an item ahead, each once what the one before asked for has had time to
  // come. The home bucket;
  void prefetch(std::uint64_t hash, Sighting& seen, Access access = Access::kRead) const {
    seen.bucket = &home_of(hash);
    seen.slot = nullptr;
    seen.to_write = access == Access::kWrite ? seen.bucket : nullptr;
    // Not to write, whatever the access: most sets leave the bucket as it is.
    __builtin_prefetch(seen.bucket);
  }
  // the item that probably has this hash: the first in the home bucket with its tag. True: there is none, but
  // the chain goes on; its next bucket was asked for, and prefetch_chained_item() is to follow,
  bool prefetch_item(std::uint64_t hash, Sighting& seen) const {
    const Bucket& home = *seen.bucket;
    const std::uint64_t word = home.word.load(std::memory_order_acquire);
    const SlotMatches matches = match_tags(home, slot_tag(hash));
    const std::atomic<std::uint64_t>& slot = home.slots[matches.first_or_last()];
    // Without a branch: which of the two it is no processor can predict.
    const std::byte* const chunk = item(slot_address(slot.load(std::memory_order_relaxed)));
    const auto* const next = reinterpret_cast<const std::byte*>(&overflow_[overflow_of(word)]);
    prefetch_lines(matches.any() ? chunk : next, seen);
    seen.slot = matches.any() ? const_cast<std::atomic<std::uint64_t>*>(&slot) : nullptr;
    seen.version = static_cast<std::uint32_t>(word);
    seen.next_overflow = matches.any() ? 0 : overflow_of(word);
    return seen.next_overflow != 0;
  }
  // as often as this says that the chain goes on.
  bool prefetch_chained_item(std::uint64_t hash, Sighting& seen) const {
    const OverflowBucket& link = overflow_[seen.next_overflow];
    seen.next_overflow = 0;
    const SlotMatches matches = match_tags(link, slot_tag(hash));
    if (matches.any()) {
      const std::atomic<std::uint64_t>& slot = link.slots[matches.first()];
      prefetch_lines(item(slot_address(slot.load(std::memory_order_relaxed))), seen);
      seen.slot = const_cast<std::atomic<std::uint64_t>*>(&slot);
      return false;
    }
    const std::uint32_t next = overflow_of(link.word.load(std::memory_order_relaxed));
    read_fence();
    // A link is followed only once it is known to have been one.
    const std::uint64_t word = seen.bucket->word.load(std::memory_order_relaxed);
    if (next == 0 || static_cast<std::uint32_t>(word) != seen.version) return false;
    prefetch_for(seen.to_write != nullptr ? Access::kWrite : Access::kRead, &overflow_[next]);
    seen.next_overflow = next;
    return true;
  }

  // Then the lines of a longer value behind those, as far as they do not come by themselves once the first
  // ones are read. For reading, also where they will be written: which of two workers writes a popular one
  // next is open, and what was taken for writing too early is taken back. False: there are none.
  bool prefetch_value(const Sighting& seen) const {
    if (seen.slot == nullptr) return false;
    const ChunkAddress address = slot_address(seen.slot->load(std::memory_order_relaxed));
    if (address == kNoChunk) return false;
    constexpr std::size_t kAskedFor = 2 * sizeof(Bucket), kAheadMax = 8 * sizeof(Bucket);
    const std::byte* const chunk = item(address);
    const std::size_t end = kItemHeaderBytes + (shared_load32(chunk + kStateOffset) >> kValueBytesShift);
    for (std::size_t at = kAskedFor; at < std::min(end, kAheadMax); at += sizeof(Bucket)) {
      __builtin_prefetch(chunk + at);
    }
    return end > kAskedFor;
  }
  // Right before the item is written: another core that wants it, too, may have taken it back since. So its
  // lines come at the same time as the bucket, not after it.
  static void prefetch_again(const Sighting& seen) {
    if (seen.to_write != nullptr) prefetch_lines_to_write(seen.to_write);
  }

  // What a writer keeps of the things that all writers share, so that their lines are touched once in a while
  // instead of at every item. One user at a time; it ends with the index, or is given back.
  struct Share {
    static constexpr unsigned kSparesMax = 32;
    int items = 0;  // came and went since the last time they were passed on
    unsigned spare_count = 0;
    std::array<std::uint32_t, kSparesMax> spares;  // overflow buckets
  };
  void give_back(Share& share);

  // Items come and go: +1, -1. True when the sum was passed on, and the caller should call grow() once it
  // holds no lock.
  bool count(int change, Share& share) {
    share.items += change;
    if (share.items < kCountBatch && share.items > -kCountBatch) return false;
    items_.fetch_add(share.items, std::memory_order_relaxed);
    share.items = 0;
    return true;
  }
  // Splits up to `splits_max` buckets if there are too many items for them. Never waits: somebody else may be
  // at it. True if more splits are due.
  bool grow(std::size_t splits_max);
  bool wants_growth() const;

  // Calls visit(slot) for every item of the `number`-th bucket, under its lock. Below bucket_count(). What
  // `visit` throws leaves through this.
  template <typename Visit>
  void visit_bucket(std::size_t number, Visit&& visit) {
    Bucket& home = buckets_[number];
    lock_bucket(home);
    struct Unlock {
      Bucket& bucket;
      ~Unlock() { unlock_bucket(bucket, false); }
    } const unlock{home};
    for (ChainLink link(home); link; link = next_of(link)) {
      for (std::atomic<std::uint64_t>& slot : link) {
        if (slot.load(std::memory_order_relaxed) != 0) visit(slot);
      }
    }
  }

  std::size_t bucket_count() const { return bucket_count_.load(std::memory_order_acquire); }
  std::size_t bytes_used() const;  // touched at some time, overflow included
  // Any thread; no lock.
  GrowingMemory bucket_memory() const {
    return {reinterpret_cast<std::byte*>(buckets_),
            bucket_count_.load(std::memory_order_relaxed) * sizeof(Bucket), buckets_max_ * sizeof(Bucket)};
  }
  GrowingMemory overflow_memory() const {
    return {reinterpret_cast<std::byte*>(overflow_),
            overflow_next_.load(std::memory_order_relaxed) * sizeof(OverflowBucket),
            overflow_max_ * sizeof(OverflowBucket)};
  }
  // Those that lie with writers count, too.
  std::size_t overflow_buckets() const { return overflow_used_.load(std::memory_order_relaxed); }

 private:
  friend class LockedBucket;
  HashIndex() = default;

  // More than the slots of a home bucket, because the overflow buckets count, too: with linear hashing and
  // Poisson fill this makes 11.2 to 11.7 bytes per item over a doubling. Overflow buckets of seven slots
  // would make 12.6 to 12.9, and 13.5 to 14.0 at 5.95 items, 85 % of the home slots, which is not faster:
  // fewer probes go to an overflow bucket, but more lines are in use.
  static constexpr double kItemsPerBucket = 7.5;
  static constexpr int kCountBatch = 64;
  static constexpr unsigned kTicketSpins = 256;

  // Where the hash belongs at this moment. A wider mask is published after the count that it fits, and read
  // before it; a narrower one with a later count leads to a bucket that was split, which everybody who acts
  // upon it finds out by asking again.
  Bucket& home_of(std::uint64_t hash) const {
    const std::size_t mask = wide_mask_.load(std::memory_order_acquire);
    const std::size_t count = bucket_count_.load(std::memory_order_acquire);
    // Without a branch: which of the two it is no processor can predict.
    return buckets_[hash & (mask >> static_cast<unsigned>((hash & mask) >= count))];
  }
  void publish_count(std::size_t count);
  static std::uint32_t overflow_of(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }
  OverflowBucket* next_of(std::uint64_t word) const {
    const std::uint32_t overflow = overflow_of(word);
    return overflow == 0 ? nullptr : &overflow_[overflow];
  }
  ChainLink next_of(const ChainLink& link) const {
    OverflowBucket* const next = next_of(link.word().load(std::memory_order_relaxed));
    return next == nullptr ? ChainLink() : ChainLink(*next);
  }
  std::byte* item(ChunkAddress address) const { return items_base_ + address * kGranuleBytes; }
  // Those of an item with its header and key.
  static void prefetch_lines(const std::byte* at, Sighting& seen) {
    if (seen.to_write != nullptr) {
      seen.to_write = at;
      prefetch_lines_to_write(at);
      return;
    }
    __builtin_prefetch(at);
    __builtin_prefetch(at + sizeof(Bucket));
  }
  static void prefetch_lines_to_write(const void* at) {
    prefetch_to_write(at);
    prefetch_to_write(static_cast<const std::byte*>(at) + sizeof(Bucket));
  }
  std::uint64_t hash_of_item(ChunkAddress address) const;

  static bool try_lock_bucket(Bucket& bucket) {
    std::uint64_t word = bucket.word.load(std::memory_order_relaxed);
    if ((word & 1) != 0 || !bucket.word.compare_exchange_weak(word, word | 1, std::memory_order_acquire,
                                                              std::memory_order_relaxed)) {
      return false;
    }
    write_fence();
    return true;
  }
  static void wait_for_bucket(Bucket& bucket);
  static void lock_bucket(Bucket& bucket) {
    if (!try_lock_bucket(bucket)) [[unlikely]]
      wait_for_bucket(bucket);
  }
  // The version advances by two over a change, and is put back where nothing changed.
  static void unlock_bucket(Bucket& bucket, bool changed) {
    const std::uint64_t word = bucket.word.load(std::memory_order_relaxed);
    const std::uint64_t version = changed ? (word + 1) & kVersionMask : (word - 1) & kVersionMask;
    bucket.word.store((word & ~kVersionMask) | version, std::memory_order_release);
  }
  std::uint32_t pop_overflow();
  void push_overflow(std::uint32_t overflow);
  void take_spares(Share& share);
  void return_spares(Share& share, unsigned count);
  ChainLink append_overflow(const ChainLink& last, Share& share);
  void free_overflow(std::uint32_t overflow, Share& share);
  void insert(Bucket& home, std::uint64_t slot, Share& share);
  void erase(Bucket& home, std::atomic<std::uint64_t>& slot, Share& share);
  void split_next();
  void distribute(Bucket& from, Bucket& to, std::uint64_t bit);
  void prefetch_items(Bucket& home) const;

  Bucket* buckets_ = nullptr;
  OverflowBucket* overflow_ = nullptr;  // entry 0 is never used
  std::byte* items_base_ = nullptr;
  std::uint64_t seed_ = 0;
  std::size_t buckets_max_ = 0, overflow_max_ = 0;
  Status spread_;
  bool growth_ = true;
  alignas(64) std::atomic<std::size_t> bucket_count_{0};
  std::atomic<std::size_t> wide_mask_{0};  // 2^(L+1) - 1
  alignas(64) std::atomic<std::int64_t> items_{0};
  std::atomic<std::uint64_t> overflow_free_{
      0};  // (pop count 32 | first free 32); linked through the buckets' words
  std::atomic<std::uint32_t> overflow_next_{1};  // first never used
  std::atomic<std::uint32_t> overflow_used_{0};
  SpinLock growth_lock_;
  Share growth_share_;  // of its holder
};

// The lock of one key's bucket, and what may be done under it.
class LockedBucket {
 public:
  LockedBucket(HashIndex& index, std::uint64_t hash);
  ~LockedBucket() { unlock(); }
  LockedBucket(const LockedBucket&) = delete;
  LockedBucket& operator=(const LockedBucket&) = delete;

  // The slot of the item, or null.
  std::atomic<std::uint64_t>* find(std::string_view key) const;
  // The same of a key whose item was seen ahead.
  std::atomic<std::uint64_t>* find(std::string_view key, const Sighting& seen) const {
    // Nothing has changed since then but that the bucket is locked.
    const auto version = static_cast<std::uint32_t>(home_->word.load(std::memory_order_relaxed));
    if (seen.slot == nullptr || seen.bucket != home_ || version != (seen.version | 1)) return find(key);
    const ChunkAddress address = slot_address(seen.slot->load(std::memory_order_relaxed));
    return address != kNoChunk && has_key(index_.item(address), address, key) ? seen.slot : find(key);
  }
  std::atomic<std::uint64_t>* find_address(ChunkAddress address) const;

  // Readers that looked at this bucket meanwhile will start again. Call before changing bytes they rely on.
  void will_change() { changed_ = true; }
  void insert(std::uint64_t slot, HashIndex::Share& share) {
    changed_ = true;
    index_.insert(*home_, slot, share);
  }
  void erase(std::atomic<std::uint64_t>& slot, HashIndex::Share& share) {
    changed_ = true;
    index_.erase(*home_, slot, share);
  }
  void replace(std::atomic<std::uint64_t>& slot, std::uint64_t value) {
    changed_ = true;
    slot.store(value, std::memory_order_relaxed);
  }
  void unlock() {
    if (home_ != nullptr) HashIndex::unlock_bucket(*home_, changed_);
    home_ = nullptr;
  }

 private:
  HashIndex& index_;
  Bucket* home_;
  std::uint64_t hash_;
  bool changed_ = false;
};

inline LockedBucket::LockedBucket(HashIndex& index, std::uint64_t hash)
    : index_(index), home_(nullptr), hash_(hash) {
  for (;;) {
    Bucket* bucket = &index.home_of(hash);
    HashIndex::lock_bucket(*bucket);
    if (bucket == &index.home_of(hash)) {
      home_ = bucket;
      return;
    }
    HashIndex::unlock_bucket(*bucket, false);  // it was split while we waited
  }
}

inline std::atomic<std::uint64_t>* LockedBucket::find(std::string_view key) const {
  SlotMatches matches = match_tags(*home_, slot_tag(hash_));
  ChainLink link(*home_);
  for (;;) {
    for (; matches.any(); matches.drop_first()) {
      std::atomic<std::uint64_t>& slot = link.slot(matches.first());
      const ChunkAddress address = slot_address(slot.load(std::memory_order_relaxed));
      prefetch_to_write(index_.item(address) + sizeof(Bucket));
      if (address != kNoChunk && has_key(index_.item(address), address, key)) return &slot;
    }
    OverflowBucket* const next = index_.next_of(link.word().load(std::memory_order_relaxed));
    if (next == nullptr) return nullptr;
    matches = match_tags(*next, slot_tag(hash_));
    link = ChainLink(*next);
  }
}

inline HashIndex::Match HashIndex::probe(const Ticket& ticket, std::uint64_t hash,
                                         std::string_view key) const {
  const std::atomic<std::uint64_t>* slots = ticket.bucket->slots;
  SlotMatches matches = match_tags(*ticket.bucket, slot_tag(hash));
  std::uint64_t word = ticket.word;
  for (;;) {
    for (; matches.any(); matches.drop_first()) {
      const unsigned i = matches.first();
      const std::uint64_t slot = slots[i].load(std::memory_order_relaxed);
      const ChunkAddress address = slot_address(slot);
      const std::byte* chunk = item(address);
      __builtin_prefetch(chunk + sizeof(Bucket));
      if (address == kNoChunk || !has_key(chunk, address, key)) continue;
      return {Probe::kFound, address, slot, const_cast<std::atomic<std::uint64_t>*>(&slots[i])};
    }
    const OverflowBucket* next = next_of(word);
    if (next == nullptr) break;
    word = next->word.load(std::memory_order_relaxed);
    if (!still_valid(ticket)) return {};  // a link is followed only once it is known to have been one
    slots = next->slots;
    matches = match_tags(*next, slot_tag(hash));
  }
  if (!still_valid(ticket)) return {};
  if (&home_of(hash) != ticket.bucket) return {};
  return {Probe::kMissing, kNoChunk, 0, nullptr};
}

}  // namespace ringcached::store
