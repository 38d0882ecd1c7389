#include "net/buffer_block.h"

#include <sys/mman.h>

#include "base/assert.h"

#if RC_POISONS_BUFFERS
#include <sanitizer/asan_interface.h>
#endif

namespace ringcached::net {

namespace {

constexpr std::size_t kPageBytes = 4096;

void poison([[maybe_unused]] char* memory, [[maybe_unused]] std::size_t bytes) {
#if RC_POISONS_BUFFERS
  ASAN_POISON_MEMORY_REGION(memory, bytes);
#endif
}

void unpoison([[maybe_unused]] char* memory, [[maybe_unused]] std::size_t bytes) {
#if RC_POISONS_BUFFERS
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
#endif
}

}  // namespace

BufferBlock::~BufferBlock() {
  if (block_ == nullptr) return;
  unpoison(buffers_, std::size_t{count_} * bytes_each_);
  munmap(block_, block_bytes_);
}

bool BufferBlock::map(unsigned count, unsigned bytes_each) {
  RC_CHECK(block_ == nullptr);
  const std::size_t ring_bytes =
      (count * sizeof(abi::BufferEntry) + kPageBytes - 1) / kPageBytes * kPageBytes;
  block_bytes_ = ring_bytes + std::size_t{count} * bytes_each;
  void* block = mmap(nullptr, block_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return false;
  block_ = static_cast<char*>(block);
  entries_ = reinterpret_cast<abi::BufferEntry*>(block_);
  buffers_ = block_ + ring_bytes;
  count_ = count;
  bytes_each_ = bytes_each;
  return true;
}

abi::BufferRingRegistration BufferBlock::registration(std::uint16_t group) const {
  abi::BufferRingRegistration registration;
  registration.ring_address = reinterpret_cast<std::uint64_t>(block_);
  registration.ring_entries = count_;
  registration.group = group;
  return registration;
}

void BufferBlock::lend_all() {
  for (unsigned id = 0; id < count_; ++id) stage(static_cast<std::uint16_t>(id), id);
  publish(count_);
}

void BufferBlock::give_back(std::span<const std::uint16_t> ids) {
  unsigned offset = 0;
  for (const std::uint16_t id : ids) stage(id, offset++);
  publish(offset);
}

std::span<char> BufferBlock::buffer(std::uint16_t id) {
  RC_DCHECK(id < count_);
  return {buffers_ + std::size_t{id} * bytes_each_, bytes_each_};
}

void BufferBlock::on_filled(std::uint16_t id) {
  unpoison(buffer(id).data(), bytes_each_);
}

void BufferBlock::hide(std::uint16_t id) {
  poison(buffer(id).data(), bytes_each_);
}

void BufferBlock::stage(std::uint16_t id, unsigned offset) {
  RC_DCHECK(id < count_);
  abi::BufferEntry& entry = entries_[(tail_ + offset) & (count_ - 1)];
  char* memory = buffers_ + std::size_t{id} * bytes_each_;
  entry.address = reinterpret_cast<std::uint64_t>(memory);
  entry.bytes = bytes_each_;
  entry.id = id;  // and not `tail`, which the first entry lends to the ring
  poison(memory, bytes_each_);
}

void BufferBlock::publish(unsigned count) {
  tail_ = static_cast<std::uint16_t>(tail_ + count);
  __atomic_store_n(&entries_[0].tail, tail_, __ATOMIC_RELEASE);
}

}  // namespace ringcached::net
