// The program's general heap is mimalloc. Its own operator new is compiled as C in the packaged library and
// cannot throw: where memory is used up it ends the process. Here is one that throws, so that a lack of
// memory costs what asked for it, and no more.
#include <mimalloc.h>

#include <cstddef>
#include <new>

namespace {

void* or_throw(void* memory) {
  if (memory == nullptr) [[unlikely]]
    throw std::bad_alloc();
  return memory;
}

std::size_t number(std::align_val_t alignment) {
  return static_cast<std::size_t>(alignment);
}

}  // namespace

void* operator new(std::size_t bytes) {
  return or_throw(mi_malloc(bytes));
}
void* operator new[](std::size_t bytes) {
  return or_throw(mi_malloc(bytes));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return mi_malloc(bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return mi_malloc(bytes);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return or_throw(mi_malloc_aligned(bytes, number(alignment)));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return or_throw(mi_malloc_aligned(bytes, number(alignment)));
}
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return mi_malloc_aligned(bytes, number(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return mi_malloc_aligned(bytes, number(alignment));
}

void operator delete(void* memory) noexcept {
  mi_free(memory);
}
void operator delete[](void* memory) noexcept {
  mi_free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  mi_free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  mi_free(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  mi_free(memory);
}
void operator delete[](void* memory, const std::nothrow_t&) noexcept {
  mi_free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  mi_free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  mi_free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  mi_free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  mi_free(memory);
}
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
  mi_free(memory);
}
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
  mi_free(memory);
}
