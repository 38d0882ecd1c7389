#include "net/output_blocks.h"

#include <algorithm>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

namespace ringcached::net {
namespace {

constexpr std::align_val_t kAlignment{64};

}  // namespace

OutputBlockPool::~OutputBlockPool() {
  while (free_ != nullptr) {
    OutputBlock* block = free_;
    free_ = block->next;
    free_block(block);
  }
}

OutputBlock* OutputBlockPool::allocate() {
  char* allocation = static_cast<char*>(::operator new(kAllocationBytes, kAlignment));
  const std::size_t colour = kColourStep * (next_colour_++ % kColours);
  auto* block = new (allocation + colour) OutputBlock{};
  block->allocation = allocation;
  block->capacity = static_cast<std::uint32_t>(kAllocationBytes - colour - sizeof(OutputBlock));
  blocks_.add();
  return block;
}

void OutputBlockPool::free_block(OutputBlock* block) {
  ASAN_UNPOISON_MEMORY_REGION(block->data(), block->capacity);
  ::operator delete(block->allocation, kAlignment);
}

OutputBlock* OutputBlockPool::take() {
  OutputBlock* block = free_;
  if (block == nullptr) {
    block = allocate();
  } else {
    free_ = block->next;
    --free_count_;
    if (free_count_ < free_low_) free_low_ = free_count_;
    ASAN_UNPOISON_MEMORY_REGION(block->data(), block->capacity);
  }
  block->next = nullptr;
  block->begin = block->end = 0;
  block->references = block->sent = 0;
  return block;
}

void OutputBlockPool::give(OutputBlock* block) {
  RC_DCHECK(block->sent == block->references);
  ASAN_POISON_MEMORY_REGION(block->data(), block->capacity);
  block->next = free_;
  free_ = block;
  ++free_count_;
}

void OutputBlockPool::trim() {
  const std::uint64_t excess = std::min((free_low_ + 1) / 2, kTrimmedMax);
  for (std::uint64_t i = 0; i < excess && free_ != nullptr; ++i) {
    OutputBlock* block = free_;
    free_ = block->next;
    --free_count_;
    blocks_.subtract();
    free_block(block);
  }
  free_low_ = free_count_;
}

}  // namespace ringcached::net
