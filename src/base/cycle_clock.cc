#include "base/cycle_clock.h"

#include <time.h>

#include <fstream>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace ringcached {
namespace {

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

std::uint64_t read_clock(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kNanosecondsPerSecond +
         static_cast<std::uint64_t>(now.tv_nsec);
}

#if defined(__x86_64__)

bool counter_is_invariant() {
  constexpr unsigned kPowerLeaf = 0x80000007;
  constexpr unsigned kInvariantCounter = 1U << 8;  // of edx
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(kPowerLeaf, &eax, &ebx, &ecx, &edx) != 0 && (edx & kInvariantCounter) != 0;
}

// The kernel has compared the counters of all processors, and watches them.
bool kernel_trusts_counter() {
  std::ifstream file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  std::string name;
  return file >> name && name == "tsc";
}

// Both clocks at one moment: the narrowest of a few attempts, for a reading may be interrupted.
struct Reading {
  std::uint64_t ticks = 0, ns = 0;
};
Reading read_both() {
  constexpr int kAttempts = 16;
  Reading best;
  std::uint64_t narrowest = ~std::uint64_t{0};
  for (int i = 0; i < kAttempts; ++i) {
    const std::uint64_t before = __rdtsc();
    const std::uint64_t ns = read_clock(CLOCK_MONOTONIC);
    const std::uint64_t width = __rdtsc() - before;
    if (width >= narrowest) continue;
    narrowest = width;
    best = {before + width / 2, ns};
  }
  return best;
}

#endif

}  // namespace

CycleClock::CycleClock(Source source) {
  if (source == Source::kTimeStampCounter) measure_rate();
}

CycleClock::Source CycleClock::best_source() {
#if defined(__x86_64__)
  if (counter_is_invariant() && kernel_trusts_counter()) return Source::kTimeStampCounter;
#endif
  return Source::kMonotonic;
}

void CycleClock::measure_rate() {
#if defined(__x86_64__)
  // An error of 50 ns in either reading is 20 in a million.
  constexpr timespec kInterval{0, 5'000'000};
  const Reading first = read_both();
  nanosleep(&kInterval, nullptr);
  const Reading last = read_both();
  const std::uint64_t ticks = last.ticks - first.ticks;
  if (last.ns <= first.ns || last.ticks <= first.ticks) return;
  base_ = first.ticks;
  scale_ = ((last.ns - first.ns) << kScaleBits) / ticks;
#endif
}

std::uint64_t CycleClock::monotonic_ns() {
  return read_clock(CLOCK_MONOTONIC);
}

std::uint64_t CycleClock::thread_cpu_ns() {
  return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

const CycleClock& cycle_clock() {
  static const CycleClock clock(CycleClock::best_source());
  return clock;
}

}  // namespace ringcached
