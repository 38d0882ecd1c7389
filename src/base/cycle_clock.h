// A clock for durations that is read several times in every turn of a worker. Where the kernel itself keeps
// time by the processor's time stamp counter, that is read directly (measured: 13 ns in a virtual machine,
// where clock_gettime takes 30 to 40); elsewhere it is CLOCK_MONOTONIC.
//
// Its nanoseconds are those of the counter's rate as measured against CLOCK_MONOTONIC at the start, right to
// some 10 in a million: for durations, not for the time of day or for seconds that add up over days.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace ringcached {

class CycleClock {
 public:
  enum class Source : std::uint8_t { kTimeStampCounter, kMonotonic };

  // With kTimeStampCounter it takes some milliseconds, in which the rate is measured. Precondition: the
  // counter can be trusted, see best_source().
  explicit CycleClock(Source source);
  // Of this machine: the counter if the processor says that it is invariant and the kernel that it keeps time
  // by it.
  static Source best_source();

  Source source() const { return scale_ == 0 ? Source::kMonotonic : Source::kTimeStampCounter; }

  // Nanoseconds since some moment of the past. Any thread; the values of two threads can be compared.
  std::uint64_t now_ns() const {
#if defined(__x86_64__)
    if (scale_ != 0) return scaled(__rdtsc() - base_);
#endif
    return monotonic_ns();
  }
  // CPU time of the calling thread, a system call (0.7 us).
  static std::uint64_t thread_cpu_ns();

 private:
  static constexpr unsigned kScaleBits = 32;
  static std::uint64_t monotonic_ns();
  void measure_rate();
  std::uint64_t scaled(std::uint64_t ticks) const {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>(static_cast<Wide>(ticks) * scale_ >> kScaleBits);
  }

  std::uint64_t base_ = 0;
  std::uint64_t scale_ = 0;  // nanoseconds per tick times 2^kScaleBits; 0: the counter is not used
};

// The machine's, with the best source there is: the first call measures the rate. Any thread.
const CycleClock& cycle_clock();

}  // namespace ringcached
