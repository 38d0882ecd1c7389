#include "store/fifo_queue.h"

#include <algorithm>
#include <bit>
#include <new>

#include "base/assert.h"
#include "store/mapping.h"

namespace ringcached::store {

// In the place of the first block of its memory, which begins at a multiple of its size.
struct FifoBlocks::Slab {
  static constexpr std::uint32_t kBlocks = kSlabBytes / FifoBlock::kBytes;
  Mapping memory;
  Slab* next = nullptr;  // of those with room
  Slab* prev = nullptr;
  FifoBlock* free = nullptr;  // a list
  std::uint32_t fresh = 1;    // blocks from here on were never handed out
  std::uint32_t used = 0;

  bool full() const { return free == nullptr && fresh == kBlocks; }
};

FifoBlocks::~FifoBlocks() {
  RC_CHECK(in_use_ == 0);
  if (spare_ != nullptr) give_back(*spare_);
}

FifoBlocks::Slab& FifoBlocks::slab_of(FifoBlock* block) {
  static_assert(sizeof(Slab) <= FifoBlock::kBytes && std::has_single_bit(kSlabBytes));
  return *reinterpret_cast<Slab*>(reinterpret_cast<std::uintptr_t>(block) & ~(kSlabBytes - 1));
}

bool FifoBlocks::add_slab() {
  Mapping memory;
  if (!memory.map(kSlabBytes, kSlabBytes)) return false;
  Slab& slab = *new (memory.start()) Slab;
  slab.memory = std::move(memory);
  ++touched_;
  list(slab);
  spare_ = &slab;
  return true;
}

void FifoBlocks::list(Slab& slab) {
  slab.prev = nullptr;
  slab.next = std::exchange(roomy_, &slab);
  if (slab.next != nullptr) slab.next->prev = &slab;
}

void FifoBlocks::unlist(Slab& slab) {
  if (slab.next != nullptr) slab.next->prev = slab.prev;
  (slab.prev != nullptr ? slab.prev->next : roomy_) = slab.next;
}

// Precondition: it is unused.
void FifoBlocks::give_back(Slab& slab) {
  unlist(slab);
  if (spare_ == &slab) spare_ = nullptr;
  touched_ -= slab.fresh;
  const Mapping memory = std::move(slab.memory);  // the slab lies in it
}

FifoBlock* FifoBlocks::allocate() {
  if (in_use_ >= blocks_max_) return nullptr;
  if (roomy_ == nullptr && !add_slab()) return nullptr;
  Slab& slab = *roomy_;
  if (spare_ == &slab) spare_ = nullptr;
  FifoBlock* block = slab.free;
  if (block != nullptr) {
    slab.free = block->next;
  } else {
    block = new (slab.memory.start() + slab.fresh++ * FifoBlock::kBytes) FifoBlock;
    ++touched_;
  }
  ++slab.used;
  if (slab.full()) unlist(slab);
  ++in_use_;
  block->next = nullptr;
  block->count = 0;
  return block;
}

void FifoBlocks::free(FifoBlock* block) {
  --in_use_;
  Slab& slab = slab_of(block);
  if (slab.full()) list(slab);
  block->next = std::exchange(slab.free, block);
  if (--slab.used != 0) return;
  if (spare_ != nullptr) return give_back(slab);
  spare_ = &slab;
}

bool FifoQueue::push(std::uint32_t entry) {
  if (last_ == nullptr || last_->count == FifoBlock::kEntries) {
    FifoBlock* block = blocks_.allocate();
    if (block == nullptr) return false;
    (last_ == nullptr ? first_ : last_->next) = block;
    last_ = block;
  }
  last_->entries[last_->count++] = entry;
  ++size_;
  return true;
}

std::uint32_t FifoQueue::pop() {
  RC_DCHECK(size_ != 0);
  const std::uint32_t entry = first_->entries[head_++];
  --size_;
  if (head_ == first_->count) {
    FifoBlock* const done = first_;
    first_ = done->next;
    head_ = 0;
    if (first_ == nullptr) last_ = nullptr;
    // The block after the head is then the first one, where a null cursor starts as well.
    if (compacted_ == done) compacted_ = nullptr;
    blocks_.free(done);
  }
  return entry;
}

void FifoQueue::clear() {
  while (first_ != nullptr) blocks_.free(std::exchange(first_, first_->next));
  last_ = compacted_ = nullptr;
  head_ = 0;
  size_ = 0;
}

// Ends a compact_step: `block` follows `before` (null: it is the first) and no block but the first has used
// entries.
void FifoQueue::join(FifoBlock* before, FifoBlock* block) {
  const std::uint32_t room = before == nullptr ? 0 : FifoBlock::kEntries - before->count;
  if (block->count > room || (before == nullptr && block->count != 0)) {
    compacted_ = block;
    return;
  }
  if (before == nullptr) {
    first_ = block->next;
  } else {
    std::copy_n(block->entries, block->count, before->entries + before->count);
    before->count += block->count;
    before->next = block->next;
  }
  if (last_ == block) last_ = before;
  compacted_ = before;
  blocks_.free(block);
}

}  // namespace ringcached::store
