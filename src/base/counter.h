// A counter with one writer and any number of readers: a plain add for the writer, no lock prefix.
// Cells of one worker live together and are summed on read (server/stats).
#pragma once

#include <atomic>
#include <cstdint>

namespace ringcached {

class Counter {
 public:
  // Only the owning thread.
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void subtract(std::uint64_t n = 1) { add(0 - n); }
  void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  // Any thread. A value that was right a moment ago.
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace ringcached
