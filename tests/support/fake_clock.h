// A clock that stands still until the test moves it.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace ringcached::testing {

class FakeClock final : public Clock {
 public:
  std::uint64_t monotonic_ns() const override { return monotonic_ns_.load(); }
  std::int64_t wall_seconds() const override { return wall_seconds_.load(); }

  void advance_seconds(std::uint64_t seconds) {
    monotonic_ns_ += seconds * 1'000'000'000;
    wall_seconds_ += static_cast<std::int64_t>(seconds);
  }
  void advance_ns(std::uint64_t ns) { monotonic_ns_ += ns; }
  // A wall clock step (ntp, an operator): the monotonic clock does not move.
  void step_wall(std::int64_t seconds) { wall_seconds_ += seconds; }

 private:
  std::atomic<std::uint64_t> monotonic_ns_{1'000'000'000'000};
  std::atomic<std::int64_t> wall_seconds_{1'750'000'000};
};

}  // namespace ringcached::testing
