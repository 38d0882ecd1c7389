#include "support/failing_heap.h"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace ringcached::testing {

thread_local FailingHeap* FailingHeap::current_ = nullptr;

bool FailingHeap::fails_now() {
  if (current_ == nullptr) return false;
  const std::uint64_t number = ++current_->count_;
  const bool fails = current_->mode_ == Mode::kOnce ? number == current_->nth_ : number >= current_->nth_;
  current_->failed_ = current_->failed_ || fails;
  return fails;
}

namespace {

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (FailingHeap::fails_now()) return nullptr;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(bytes == 0 ? 1 : bytes);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
  void* memory = allocate(bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace
}  // namespace ringcached::testing

// Every form that this project uses; a sanitizer brings its own, which would not fail.
void* operator new(std::size_t bytes) {
  return ringcached::testing::allocate_or_throw(bytes, 0);
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return ringcached::testing::allocate(bytes, 0);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return ringcached::testing::allocate_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return ringcached::testing::allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes) {
  return ringcached::testing::allocate_or_throw(bytes, 0);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return ringcached::testing::allocate(bytes, 0);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
