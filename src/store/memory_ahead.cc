#include "store/memory_ahead.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <system_error>
#include <utility>

#include "store/hash_index.h"
#include "store/huge_pages.h"
#include "store/mapping.h"
#include "store/page_pool.h"

namespace ringcached::store {
namespace {

// Of buckets and of overflow buckets: a part of those in use, within bounds.
constexpr std::size_t kPartAhead = 8;
constexpr std::size_t kIndexBytesMin = std::size_t{64} << 10, kIndexBytesMax = std::size_t{1} << 20;

std::size_t index_bytes_ahead(std::size_t used) {
  return std::clamp(used / kPartAhead, kIndexBytesMin, kIndexBytesMax);
}

std::size_t down_to_page(std::size_t bytes) {
  return bytes / Mapping::kKernelPageBytes * Mapping::kKernelPageBytes;
}

std::size_t to_next_huge_page(const std::byte* at) {
  return -reinterpret_cast<std::uintptr_t>(at) % kHugePageBytes;
}

// How much of `wanted` bytes from `at` on comes next; `most` are allowed there.
std::size_t next_piece(const std::byte* at, std::size_t wanted, std::size_t most, bool huge_pages) {
  const std::size_t small = std::min(wanted, MemoryAhead::kPieceBytes);
  if (!huge_pages) return small;
  const std::size_t rest = to_next_huge_page(at);
  if (rest != 0) return std::min(small, rest);
  return most >= kHugePageBytes ? kHugePageBytes : small;
}

// Large values are stored faster than this thread gets memory. Where the kernel had a huge page at once it
// has more, most probably: whoever overtakes it then gets them, too, as far as this. Not for small items: the
// first touch of a huge page may take milliseconds where a hypervisor has to find its memory, and what is
// gained with large values in their copying is little with them.
constexpr std::size_t kAskedAhead = std::size_t{16} << 20;
constexpr std::chrono::microseconds kQuickly{300};

enum class Huge : std::uint8_t { kNo, kAhead, kAsked };

void populate_huge_page(std::byte* at, std::size_t most, Huge huge) {
  const auto began = std::chrono::steady_clock::now();
  static_cast<void>(populate_huge_pages(at, kHugePageBytes));
  if (huge != Huge::kAsked || std::chrono::steady_clock::now() - began > kQuickly) return;
  const std::size_t behind = std::min(most - kHugePageBytes, kAskedAhead) / kHugePageBytes * kHugePageBytes;
  if (behind != 0) ask_for_huge_pages(at + kHugePageBytes, behind);
}

// One piece of what is missing up to `ahead` bytes beyond the used ones.
bool populate(const GrowingMemory& memory, std::size_t ahead, Huge huge, std::size_t& populated) {
  const bool huge_pages = huge != Huge::kNo;
  const std::size_t used = down_to_page(memory.used_bytes), most = down_to_page(memory.bytes_max);
  const std::size_t wanted = std::min(down_to_page(memory.used_bytes + ahead), most);
  if (std::exchange(populated, std::max(populated, used)) < used && huge_pages) {
    // Overtaken. Small pages up to the next huge one would come too late again, and then it would, too.
    const std::size_t rest = to_next_huge_page(memory.start + populated);
    if (populated + rest < wanted) populated += rest;
  }
  if (populated >= wanted) return false;
  const std::size_t piece =
      next_piece(memory.start + populated, wanted - populated, most - populated, huge_pages);
  std::byte* const at = memory.start + populated;
  if (piece == kHugePageBytes) {
    populate_huge_page(at, most - populated, huge);
  } else {
    static_cast<void>(populate_memory(at, piece));
  }
  populated += piece;
  return true;
}

}  // namespace

MemoryAhead::MemoryAhead(PagePool& pool, HashIndex& index, HugePages huge_pages)
    : pool_(pool),
      index_(index),
      huge_pages_{huge_pages.wanted && transparent_huge_pages_allowed(), huge_pages.large_class},
      populated_(pool.part_count() + 2) {}

MemoryAhead::~MemoryAhead() {
  if (!started_) return;
  stopping_.store(true);
  wake();
  thread_.join();
}

void MemoryAhead::start() {
  try {
    thread_ = std::thread([this] { run(); });
    started_ = true;
  } catch (const std::system_error&) {
  }
}

bool MemoryAhead::behind() const {
  return pool_.fresh_pages_taken() >= pages_due_.load(std::memory_order_relaxed) ||
         index_.bucket_memory().used_bytes >= buckets_due_.load(std::memory_order_relaxed) ||
         index_.overflow_memory().used_bytes >= overflow_due_.load(std::memory_order_relaxed);
}

void MemoryAhead::wake() {
  if (!asked_.exchange(true)) asked_.notify_one();
}

bool MemoryAhead::step() {
  const GrowingMemory buckets = index_.bucket_memory(), overflow = index_.overflow_memory();
  const unsigned parts = pool_.part_count();
  const auto populate_index = [this](const GrowingMemory& memory, std::size_t& populated) {
    // As long as a huge page is more than what is kept ahead anyway, an index grows in small ones.
    const bool huge = huge_pages_.wanted && memory.used_bytes >= kPartAhead * kHugePageBytes;
    return populate(memory, index_bytes_ahead(memory.used_bytes), huge ? Huge::kAhead : Huge::kNo, populated);
  };
  if (populate_index(buckets, populated_[parts]) || populate_index(overflow, populated_[parts + 1])) {
    return true;
  }
  for (unsigned part = 0; part < parts; ++part) {
    if (populate_items(part)) return true;
  }
  return false;
}

bool MemoryAhead::populate_items(unsigned part) {
  const GrowingMemory items = pool_.part_memory(part);
  if (items.used_bytes == 0) return false;  // what nobody stores into needs nothing
  Huge huge = Huge::kNo;
  if (huge_pages_.wanted) {
    const PageId last = pool_.page_of(pool_.chunk_address(items.start)) +
                        static_cast<PageId>(items.used_bytes / kPageBytes) - 1;
    const unsigned slab_class = pool_.info(last).slab_class.load(std::memory_order_relaxed);
    huge = slab_class >= huge_pages_.large_class ? Huge::kAsked : Huge::kAhead;
  }
  return populate(items, kPagesAhead * kPageBytes, huge, populated_[part]);
}

// Again when half of what is ahead is in use.
void MemoryAhead::await_use() {
  const std::size_t buckets = index_.bucket_memory().used_bytes;
  const std::size_t overflow = index_.overflow_memory().used_bytes;
  buckets_due_.store(buckets + index_bytes_ahead(buckets) / 2, std::memory_order_relaxed);
  overflow_due_.store(overflow + index_bytes_ahead(overflow) / 2, std::memory_order_relaxed);
  const std::size_t pages = pool_.fresh_pages_taken();
  pages_due_.store(pages == 0 ? 1 : pages + kPagesAhead / 2, std::memory_order_relaxed);
}

void MemoryAhead::run() {
  pthread_setname_np(pthread_self(), "rc-memory");
  for (;;) {
    await_use();
    while (!stopping_.load() && step()) {
    }
    if (stopping_.load()) return;
    asked_.store(false);
    if (!stopping_.load()) asked_.wait(false);
  }
}

}  // namespace ringcached::store
