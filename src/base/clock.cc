#include "base/clock.h"

#include <time.h>

#include <algorithm>

namespace ringcached {
namespace {

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

class SystemClock final : public Clock {
 public:
  std::uint64_t monotonic_ns() const override {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * kNanosecondsPerSecond +
           static_cast<std::uint64_t>(now.tv_nsec);
  }
  std::int64_t wall_seconds() const override { return time(nullptr); }
};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

CacheClock::CacheClock(const Clock& clock)
    : clock_(clock),
      start_ns_(clock.monotonic_ns()),
      wall_base_(clock.wall_seconds() - kCacheTimeStart),
      now_(kCacheTimeStart) {}

CacheTime CacheClock::tick() {
  const std::uint64_t elapsed = (clock_.monotonic_ns() - start_ns_) / kNanosecondsPerSecond;
  const CacheTime now = static_cast<CacheTime>(elapsed) + kCacheTimeStart;
  // Written only when the second changes, so that the line stays shared between the workers' caches; and
  // never back by a thread that slept since it looked.
  CacheTime last = now_.load(std::memory_order_relaxed);
  while (last < now && !now_.compare_exchange_weak(last, now, std::memory_order_relaxed)) {
  }
  return std::max(last, now);
}

}  // namespace ringcached
