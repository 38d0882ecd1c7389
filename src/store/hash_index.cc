#include "store/hash_index.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/hash.h"
#include "base/node_memory.h"
#include "store/huge_pages.h"
#include "store/mapping.h"

namespace ringcached::store {
namespace {

// Address space only; the kernel gives a page when it is first touched, zeroed.
template <typename AnyBucket>
AnyBucket* reserve_buckets(std::size_t count, bool large_pages) {
  const std::size_t bytes = count * sizeof(AnyBucket);
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  if (large_pages) madvise(at, bytes, MADV_HUGEPAGE);  // a wish: the figures of `stats` tell what it did
  return static_cast<AnyBucket*>(at);
}

std::size_t up_to_page(std::size_t bytes) {
  return (bytes + Mapping::kKernelPageBytes - 1) / Mapping::kKernelPageBytes * Mapping::kKernelPageBytes;
}

constexpr std::size_t kPopulatedAtStartMax = std::size_t{64} << 20;

// Overflow buckets that a writer takes from the common ones, or returns to them, at a time.
constexpr unsigned kSpareBatch = 16;
static_assert(kSpareBatch < HashIndex::Share::kSparesMax);

}  // namespace

Result<std::unique_ptr<HashIndex>> HashIndex::create(const HashIndexOptions& options, std::byte* items) {
  std::unique_ptr<HashIndex> index(new HashIndex);
  const std::size_t initial = std::max<std::size_t>(options.buckets_initial, 1);
  const auto wanted = static_cast<std::size_t>(static_cast<double>(options.items_max) / kItemsPerBucket) + 1;
  index->seed_ = options.seed;
  index->items_base_ = items;
  index->growth_ = options.growth;
  index->buckets_max_ = options.growth ? std::max(initial, wanted) : initial;
  // Every bucket of a chain but the last is full, so there is less than one overflow bucket per three items;
  // splitting holds a few more for a moment, and every writer some, of those it took or of those it freed.
  constexpr std::size_t kOverflowSpare = 4096;
  index->overflow_max_ = std::min<std::size_t>(options.items_max / kSlotsPerOverflow + kOverflowSpare +
                                                   options.writers * (Share::kSparesMax + kSpareBatch),
                                               kVersionMask);
  index->buckets_ = reserve_buckets<Bucket>(index->buckets_max_, options.large_pages);
  index->overflow_ = reserve_buckets<OverflowBucket>(index->overflow_max_, options.large_pages);
  if (index->buckets_ == nullptr || index->overflow_ == nullptr) {
    const int error = errno;
    const std::size_t bytes =
        index->buckets_max_ * sizeof(Bucket) + index->overflow_max_ * sizeof(OverflowBucket);
    return Status(StatusCode::kOutOfMemory,
                  "cannot reserve " + std::to_string(bytes >> 20) +
                      " MiB of address space for the index: " + std::strerror(error));
  }
  // The whole of both ranges before anything is touched: what they grow into later is spread, too.
  if (options.nodes.size() > 1) {
    index->spread_ = interleave_over(index->buckets_, index->buckets_max_ * sizeof(Bucket), options.nodes);
    if (index->spread_) {
      index->spread_ =
          interleave_over(index->overflow_, index->overflow_max_ * sizeof(OverflowBucket), options.nodes);
    }
  }
  // They are used in no order: every request would fetch a page of its own. Not all of an index that was made
  // large for later.
  const auto populate = options.huge_pages_at_start ? populate_huge_pages : populate_memory;
  static_cast<void>(populate(reinterpret_cast<std::byte*>(index->buckets_),
                             up_to_page(std::min(initial * sizeof(Bucket), kPopulatedAtStartMax))));
  index->publish_count(initial);
  return index;
}

HashIndex::~HashIndex() {
  if (buckets_ != nullptr) munmap(buckets_, buckets_max_ * sizeof(Bucket));
  if (overflow_ != nullptr) munmap(overflow_, overflow_max_ * sizeof(OverflowBucket));
}

void HashIndex::publish_count(std::size_t count) {
  bucket_count_.store(count, std::memory_order_release);
  wide_mask_.store(2 * std::bit_floor(count) - 1, std::memory_order_release);
}

[[gnu::noinline]] void HashIndex::wait_for_bucket(Bucket& bucket) {
  Backoff backoff;
  while (!try_lock_bucket(bucket)) backoff.pause();
}

std::atomic<std::uint64_t>* LockedBucket::find_address(ChunkAddress address) const {
  for (ChainLink link(*home_); link; link = index_.next_of(link)) {
    for (std::atomic<std::uint64_t>& slot : link) {
      if (slot_address(slot.load(std::memory_order_relaxed)) == address) return &slot;
    }
  }
  return nullptr;
}

// 0 when none was given back.
std::uint32_t HashIndex::pop_overflow() {
  std::uint64_t head = overflow_free_.load(std::memory_order_acquire);
  while (const auto taken = static_cast<std::uint32_t>(head)) {
    // The upper half counts pops, so that a bucket that came back meanwhile is not mistaken for the same
    // list.
    const std::uint64_t next = overflow_of(overflow_[taken].word.load(std::memory_order_relaxed));
    const std::uint64_t popped = ((head >> 32) + 1) << 32 | next;
    if (overflow_free_.compare_exchange_weak(head, popped, std::memory_order_acquire)) return taken;
  }
  return 0;
}

void HashIndex::push_overflow(std::uint32_t overflow) {
  std::uint64_t head = overflow_free_.load(std::memory_order_relaxed);
  do {
    overflow_[overflow].word.store(head << 32, std::memory_order_relaxed);
  } while (!overflow_free_.compare_exchange_weak(head, (head & ~kVersionMask) | overflow,
                                                 std::memory_order_release, std::memory_order_relaxed));
}

void HashIndex::take_spares(Share& share) {
  while (share.spare_count < kSpareBatch) {
    const std::uint32_t taken = pop_overflow();
    if (taken == 0) break;
    share.spares[share.spare_count++] = taken;
  }
  if (share.spare_count == 0) {
    const std::uint32_t first = overflow_next_.fetch_add(kSpareBatch, std::memory_order_relaxed);
    RC_CHECK(first + kSpareBatch <= overflow_max_);  // create() reserved enough
    // Those that come first are used first: the memory is touched in order.
    for (unsigned i = kSpareBatch; i-- > 0;) share.spares[share.spare_count++] = first + i;
  }
  overflow_used_.fetch_add(share.spare_count, std::memory_order_relaxed);
}

void HashIndex::return_spares(Share& share, unsigned count) {
  overflow_used_.fetch_sub(count, std::memory_order_relaxed);
  for (; count > 0; --count) push_overflow(share.spares[--share.spare_count]);
}

void HashIndex::give_back(Share& share) {
  items_.fetch_add(std::exchange(share.items, 0), std::memory_order_relaxed);
  return_spares(share, share.spare_count);
}

// Adds an empty bucket to the end of a chain whose home the caller has locked.
ChainLink HashIndex::append_overflow(const ChainLink& last, Share& share) {
  if (share.spare_count == 0) take_spares(share);
  const std::uint32_t taken = share.spares[--share.spare_count];
  overflow_[taken].word.store(0, std::memory_order_relaxed);
  const std::uint64_t word = last.word().load(std::memory_order_relaxed);
  last.word().store((word & kVersionMask) | std::uint64_t{taken} << 32, std::memory_order_release);
  return ChainLink(overflow_[taken]);
}

void HashIndex::free_overflow(std::uint32_t overflow, Share& share) {
  if (share.spare_count == Share::kSparesMax) return_spares(share, kSpareBatch);
  share.spares[share.spare_count++] = overflow;
}

void HashIndex::insert(Bucket& home, std::uint64_t slot, Share& share) {
  ChainLink link(home);
  for (;;) {
    for (std::atomic<std::uint64_t>& place : link) {
      if (place.load(std::memory_order_relaxed) != 0) continue;
      place.store(slot, std::memory_order_release);
      return;
    }
    const ChainLink next = next_of(link);
    link = next ? next : append_overflow(link, share);
  }
}

// Fills the hole with an item from the end of the chain, so that only the last bucket has holes, and is never
// empty.
void HashIndex::erase(Bucket& home, std::atomic<std::uint64_t>& slot, Share& share) {
  ChainLink previous, last(home);
  while (const ChainLink next = next_of(last)) {
    previous = last;
    last = next;
  }
  if (!previous) {
    slot.store(0, std::memory_order_relaxed);
    return;
  }
  unsigned used = 0;
  std::atomic<std::uint64_t>* filler = nullptr;
  for (std::atomic<std::uint64_t>& candidate : last) {
    if (candidate.load(std::memory_order_relaxed) == 0) continue;
    ++used;
    if (&candidate != &slot) filler = &candidate;
  }
  if (filler != nullptr) {
    slot.store(filler->exchange(0, std::memory_order_relaxed), std::memory_order_relaxed);
  } else {
    slot.store(0, std::memory_order_relaxed);
  }
  if (used > 1) return;
  const std::uint64_t word = previous.word().load(std::memory_order_relaxed);
  previous.word().store(word & kVersionMask, std::memory_order_relaxed);
  free_overflow(overflow_of(word), share);
}

std::uint64_t HashIndex::hash_of_item(ChunkAddress address) const {
  const std::byte* head = item(address);
  const std::size_t offset = key_offset(shared_load32(head + kStateOffset));
  const std::size_t key_bytes = shared_load32(head + kAccessOffset) & 0xff;
  return hash_key({reinterpret_cast<const char*>(head + offset), key_bytes}, seed_);
}

bool HashIndex::wants_growth() const {
  const std::size_t count = bucket_count_.load(std::memory_order_relaxed);
  const auto items = static_cast<double>(items_.load(std::memory_order_relaxed));
  return growth_ && count < buckets_max_ && items > static_cast<double>(count) * kItemsPerBucket;
}

bool HashIndex::grow(std::size_t splits_max) {
  if (!wants_growth()) return false;
  if (!growth_lock_.try_lock()) return true;
  for (std::size_t i = 0; i < splits_max && wants_growth(); ++i) split_next();
  return_spares(growth_share_, growth_share_.spare_count);
  growth_lock_.unlock();
  return wants_growth();
}

void HashIndex::prefetch_items(Bucket& home) const {
  for (ChainLink link(home); link; link = next_of(link)) {
    for (const std::atomic<std::uint64_t>& slot : link) {
      const std::byte* head = item(slot_address(slot.load(std::memory_order_relaxed)));
      __builtin_prefetch(head);
      __builtin_prefetch(head + kItemHeaderBytes + kClientFlagsBytes + 16);
    }
  }
}

// Nobody maps to the new bucket before the count is published, and that happens while both are locked:
// whoever waited for the old one looks at the count again, and so does a reader that found nothing.
void HashIndex::split_next() {
  const std::size_t count = bucket_count_.load(std::memory_order_relaxed);
  const std::size_t level_count = std::bit_floor(count);
  Bucket& from = buckets_[count - level_count];
  Bucket& to = buckets_[count];
  prefetch_items(from);
  lock_bucket(from);
  lock_bucket(to);
  distribute(from, to, level_count);
  publish_count(count + 1);
  unlock_bucket(to, true);
  unlock_bucket(from, true);
}

// Moves the items whose hash has `bit` to the new bucket and closes the holes.
void HashIndex::distribute(Bucket& from, Bucket& to, std::uint64_t bit) {
  ChainLink kept(from);  // where the next item that stays goes; never ahead of the one looked at
  unsigned keep = 0;
  for (ChainLink link(from); link; link = next_of(link)) {
    for (std::atomic<std::uint64_t>& place : link) {
      if (place.load(std::memory_order_relaxed) == 0) continue;
      // At once: whoever changes the access bits meanwhile does so before, or finds nothing.
      const std::uint64_t slot = place.exchange(0, std::memory_order_relaxed);
      if ((hash_of_item(slot_address(slot)) & bit) != 0) {
        insert(to, slot, growth_share_);
        continue;
      }
      if (keep == kept.count()) {
        kept = next_of(kept);
        keep = 0;
      }
      kept.slot(keep++).store(slot, std::memory_order_relaxed);
    }
  }
  const std::uint64_t word = kept.word().load(std::memory_order_relaxed);
  std::uint32_t spare = overflow_of(word);
  kept.word().store(word & kVersionMask, std::memory_order_relaxed);
  while (spare != 0) {
    const std::uint32_t next = overflow_of(overflow_[spare].word.load(std::memory_order_relaxed));
    free_overflow(spare, growth_share_);
    spare = next;
  }
}

std::size_t HashIndex::bytes_used() const {
  const std::size_t overflow = overflow_next_.load(std::memory_order_relaxed);
  return bucket_count() * sizeof(Bucket) + overflow * sizeof(OverflowBucket);
}

}  // namespace ringcached::store
