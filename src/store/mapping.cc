#include "store/mapping.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>

#include "base/assert.h"

namespace ringcached::store {
namespace {

constexpr int kAdvicePopulateWrite = 23;  // MADV_POPULATE_WRITE: newer than the headers of some systems; ABI

std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

bool populate_memory(std::byte* start, std::size_t bytes) {
  return madvise(start, bytes, kAdvicePopulateWrite) == 0;
}

bool Mapping::map(std::size_t bytes, std::size_t align) {
  RC_CHECK(start_ == nullptr && bytes != 0 && align >= kKernelPageBytes);
  const std::size_t kept = round_up(bytes, kKernelPageBytes);
  const std::size_t mapped = kept + (align - kKernelPageBytes);
  void* start =
      mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return false;
  const auto address = reinterpret_cast<std::uintptr_t>(start);
  const std::size_t front = round_up(address, align) - address;
  std::byte* const aligned = static_cast<std::byte*>(start) + front;
  if (front != 0) munmap(start, front);
  if (mapped - front > kept) munmap(aligned + kept, mapped - front - kept);
  start_ = aligned;
  bytes_ = kept;
  return true;
}

std::size_t Mapping::populate(std::size_t from, std::size_t bytes) {
  RC_CHECK(from <= bytes_ && from % kKernelPageBytes == 0);
  const std::size_t piece = std::min(round_up(bytes, kKernelPageBytes), bytes_ - from);
  if (piece != 0) static_cast<void>(populate_memory(start_ + from, piece));
  return from + piece;
}

bool Mapping::shrink(std::size_t bytes) {
  const std::size_t cut = std::min(round_up(bytes, kKernelPageBytes), bytes_);
  if (cut == bytes_) {
    reset();
    return true;
  }
  if (cut != 0) munmap(start_ + bytes_ - cut, cut);
  bytes_ -= cut;
  return false;
}

void Mapping::reset() {
  if (start_ != nullptr) munmap(start_, bytes_);
  start_ = nullptr;
  bytes_ = 0;
}

}  // namespace ringcached::store
