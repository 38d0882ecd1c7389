// Address space backed by zeroed memory as it is touched, and given back at the end or piece by piece.
#pragma once

#include <cstddef>
#include <utility>

namespace ringcached::store {

// Has the kernel put memory behind whole pages of its own now. What was touched stays as it is, and other
// threads may use it meanwhile. False: errno says why (EINVAL: a kernel older than 5.14).
bool populate_memory(std::byte* start, std::size_t bytes);

// Memory that comes into use from its start on, up to `bytes_max`.
struct GrowingMemory {
  std::byte* start = nullptr;
  std::size_t used_bytes = 0;
  std::size_t bytes_max = 0;
};

class Mapping {
 public:
  static constexpr std::size_t kKernelPageBytes = 4096;

  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : start_(std::exchange(other.start_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    if (this != &other) {
      reset();
      start_ = std::exchange(other.start_, nullptr);
      bytes_ = std::exchange(other.bytes_, 0);
    }
    return *this;
  }
  ~Mapping() { reset(); }

  // Precondition: nothing is mapped; `bytes` > 0; `align` a power of two of at least kKernelPageBytes.
  // Nothing counts as used memory before it is touched. False: errno says why.
  bool map(std::size_t bytes, std::size_t align = kKernelPageBytes);
  // Has the kernel put memory, zeroed, behind at most `bytes` from `from` on that were not touched yet: many
  // pages for the price of a few faults, and not while something waits. Where it cannot, the first touch does
  // as ever. Returns where the rest begins; bytes() when there is none.
  std::size_t populate(std::size_t from, std::size_t bytes);
  // Gives back at most `bytes` at the end; the rest stays where it is. True when nothing is left.
  bool shrink(std::size_t bytes);
  void reset();

  std::byte* start() const { return start_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* start_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace ringcached::store
