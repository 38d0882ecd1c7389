#include "store/memory_ahead.h"

#include <pthread.h>

#include <algorithm>
#include <system_error>

#include "store/hash_index.h"
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

// One piece of what is missing up to `ahead` bytes beyond the used ones.
bool populate(const GrowingMemory& memory, std::size_t ahead, std::size_t& populated) {
  populated = std::max(populated, down_to_page(memory.used_bytes));
  const std::size_t wanted = down_to_page(std::min(memory.used_bytes + ahead, memory.bytes_max));
  if (populated >= wanted) return false;
  const std::size_t piece = std::min(wanted - populated, MemoryAhead::kPieceBytes);
  static_cast<void>(populate_memory(memory.start + populated, piece));
  populated += piece;
  return true;
}

}  // namespace

MemoryAhead::MemoryAhead(PagePool& pool, HashIndex& index)
    : pool_(pool), index_(index), populated_(pool.part_count() + 2) {}

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
  if (populate(buckets, index_bytes_ahead(buckets.used_bytes), populated_[parts])) return true;
  if (populate(overflow, index_bytes_ahead(overflow.used_bytes), populated_[parts + 1])) return true;
  for (unsigned part = 0; part < parts; ++part) {
    const GrowingMemory items = pool_.part_memory(part);
    // What nobody stores into needs nothing.
    if (items.used_bytes != 0 && populate(items, kPagesAhead * kPageBytes, populated_[part])) return true;
  }
  return false;
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
