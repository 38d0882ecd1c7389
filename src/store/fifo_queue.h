// A queue of 4-byte entries whose memory follows its length: a chain of 1 KiB blocks, 4.05 bytes per entry.
// Blocks may be partly filled inside the chain, so entries can be dropped from the middle a block at a time.
//
// Threads: none of its own; the arena's lock guards queues and blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace ringcached::store {

struct FifoBlock {
  static constexpr std::size_t kBytes = 1024;
  static constexpr unsigned kEntries = (kBytes - sizeof(void*) - 4) / 4;
  FifoBlock* next;
  std::uint32_t
      count;  // entries[0 .. count) are filled; in the first block those before the queue's head are used up
  std::uint32_t entries[kEntries];
};
static_assert(sizeof(FifoBlock) == FifoBlock::kBytes);

// The blocks of an arena's queues, cut from slabs of memory of their own. A general heap collects what is
// freed and gives it back to the kernel at a moment of its choosing: half a millisecond of one call, when the
// queues of millions of items shrink. A slab goes back as soon as it is unused, but for one, so that a queue
// that breathes costs nothing.
class FifoBlocks {
 public:
  FifoBlocks() = default;
  ~FifoBlocks();
  FifoBlocks(const FifoBlocks&) = delete;
  FifoBlocks& operator=(const FifoBlocks&) = delete;

  FifoBlock* allocate();  // empty; nullptr when the heap has nothing
  void free(FifoBlock* block);
  // Of the slabs, as far as they were ever touched.
  std::size_t bytes() const { return touched_ * FifoBlock::kBytes; }
  // Given back at a time, at most.
  static constexpr std::size_t kSlabBytes = std::size_t{128} << 10;

  // For tests of exhausted memory: no block is handed out beyond so many.
  void set_blocks_max(std::size_t blocks) { blocks_max_ = blocks; }

 private:
  struct Slab;
  static Slab& slab_of(FifoBlock* block);
  bool add_slab();
  void list(Slab& slab);
  void unlist(Slab& slab);
  void give_back(Slab& slab);

  Slab* roomy_ = nullptr;  // those with a free block
  Slab* spare_ = nullptr;  // one of them that is unused
  std::size_t touched_ = 0;
  std::size_t in_use_ = 0;
  std::size_t blocks_max_ = ~std::size_t{0};
};

class FifoQueue {
 public:
  explicit FifoQueue(FifoBlocks& blocks) : blocks_(blocks) {}
  ~FifoQueue() { clear(); }
  FifoQueue(const FifoQueue&) = delete;
  FifoQueue& operator=(const FifoQueue&) = delete;

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // False when no block could be had; the queue is as before.
  bool push(std::uint32_t entry);
  // Precondition: not empty.
  std::uint32_t pop();
  void clear();
  // The entry that pop() will return after `ahead` others if it is near; for prefetching. False if it is not
  // at hand.
  bool peek(std::size_t ahead, std::uint32_t& entry) const {
    const std::size_t at = head_ + ahead;
    if (first_ == nullptr || at >= first_->count) return false;
    entry = first_->entries[at];
    return true;
  }

  // One step of going through the whole queue from the head: looks at the entries of one block, drops those
  // for which keep(entry) is false, and joins the block with the one before it when they fit together. False
  // when the end was reached (the next call starts at the head again). Order is kept. Push and pop may come
  // in between. prefetch(entry) is called for all entries of the block first.
  template <typename Prefetch, typename Keep>
  bool compact_step(Prefetch&& prefetch, Keep&& keep);

 private:
  void join(FifoBlock* before, FifoBlock* block);

  FifoBlocks& blocks_;
  FifoBlock* first_ = nullptr;
  FifoBlock* last_ = nullptr;
  FifoBlock* compacted_ =
      nullptr;              // the block that the last compact_step dealt with; null: start at the head
  std::uint32_t head_ = 0;  // index in first_
  std::size_t size_ = 0;
};

template <typename Prefetch, typename Keep>
bool FifoQueue::compact_step(Prefetch&& prefetch, Keep&& keep) {
  FifoBlock* const before = compacted_;
  FifoBlock* const block = before == nullptr ? first_ : before->next;
  if (block == nullptr) {
    compacted_ = nullptr;
    return false;
  }
  const std::uint32_t begin = block == first_ ? std::exchange(head_, 0) : 0;
  for (std::uint32_t i = begin; i < block->count; ++i) prefetch(block->entries[i]);
  std::uint32_t kept = 0;
  for (std::uint32_t i = begin; i < block->count; ++i) {
    const std::uint32_t entry = block->entries[i];
    if (keep(entry)) {
      block->entries[kept++] = entry;
    } else {
      --size_;
    }
  }
  block->count = kept;
  join(before, block);
  return true;
}

}  // namespace ringcached::store
