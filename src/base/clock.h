// Time as the cache sees it: whole seconds on a monotonic base, anchored to the wall clock at start.
//
// CacheTime 0 means "never" where it is an expiry. The base starts at kCacheTimeStart so that "now - 1" is a
// valid time in the past at the first second.
#pragma once

#include <atomic>
#include <cstdint>

namespace ringcached {

using CacheTime = std::uint32_t;  // seconds since start, plus kCacheTimeStart
inline constexpr CacheTime kCacheTimeStart = 2;

// Reads the kernel's clocks. A test replaces it by FakeClock (tests/support/fake_clock.h).
class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::uint64_t monotonic_ns() const = 0;
  virtual std::int64_t wall_seconds() const = 0;
};

const Clock& system_clock();

// The process's time base: fixed at construction, read by any thread without a system call once tick() has
// run.
class CacheClock {
 public:
  explicit CacheClock(const Clock& clock);

  // Reads the clock; called by each worker once per turn or by a timer. Never less than what now() has been.
  // Any thread.
  CacheTime tick();
  // The time of the last tick of any thread. Any thread; one relaxed load.
  CacheTime now() const { return now_.load(std::memory_order_relaxed); }
  // Unix time at which CacheTime 0 would have been. Wall steps after start do not move it.
  std::int64_t wall_base() const { return wall_base_; }
  std::uint64_t monotonic_ns() const { return clock_.monotonic_ns(); }

 private:
  const Clock& clock_;
  std::uint64_t start_ns_;
  std::int64_t wall_base_;
  std::atomic<CacheTime> now_;
};

}  // namespace ringcached
