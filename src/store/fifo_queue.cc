#include "store/fifo_queue.h"

#include <algorithm>
#include <new>

#include "base/assert.h"

namespace ringcached::store {

FifoBlocks::~FifoBlocks() {
  RC_CHECK(in_use_ == 0);
  while (kept_ != nullptr) ::operator delete(std::exchange(kept_, kept_->next));
}

FifoBlock* FifoBlocks::allocate() {
  if (in_use_ >= blocks_max_) return nullptr;
  FifoBlock* block = kept_;
  if (block != nullptr) {
    kept_ = block->next;
    --kept_count_;
  } else {
    void* memory = ::operator new(sizeof(FifoBlock), std::nothrow);
    if (memory == nullptr) return nullptr;
    block = new (memory) FifoBlock;
  }
  ++in_use_;
  block->next = nullptr;
  block->count = 0;
  return block;
}

void FifoBlocks::free(FifoBlock* block) {
  --in_use_;
  if (kept_count_ == kKeptMax) {
    ::operator delete(block);
    return;
  }
  block->next = std::exchange(kept_, block);
  ++kept_count_;
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
