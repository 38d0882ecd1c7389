#include "bench/cores.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "base/spin_lock.h"

namespace ringcached::bench {

Cores::Cores() {
  CPU_ZERO(&set_);
  sched_getaffinity(0, sizeof set_, &set_);
}

void Cores::pin_to(std::size_t number) const {
  const int count = CPU_COUNT(&set_);
  if (count == 0) return;
  auto left = static_cast<int>(number % static_cast<std::size_t>(count));
  for (std::size_t core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &set_) || left-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

namespace {

// Gives the core away after a while: there may be one for both threads.
void wait_until(const std::atomic<unsigned>& word, unsigned value) {
  constexpr unsigned kSpins = 10000;
  for (unsigned spin = 0; word.load(std::memory_order_acquire) != value; ++spin) {
    if (spin % kSpins == kSpins - 1) std::this_thread::yield();
  }
}

}  // namespace

double line_round_trip_ns() {
  constexpr unsigned kTrips = 2000;
  alignas(128) std::atomic<unsigned> word{0};
  const Cores cores;
  std::thread answering([&] {
    cores.pin_to(1);
    for (unsigned trip = 0; trip <= kTrips; ++trip) {
      wait_until(word, 2 * trip + 1);
      word.store(2 * trip + 2, std::memory_order_release);
    }
  });
  std::chrono::duration<double, std::nano> passed{};
  std::thread asking([&] {
    cores.pin_to(0);
    word.store(1, std::memory_order_release);
    wait_until(word, 2);
    const auto begin = std::chrono::steady_clock::now();
    for (unsigned trip = 1; trip <= kTrips; ++trip) {
      word.store(2 * trip + 1, std::memory_order_release);
      wait_until(word, 2 * trip + 2);
    }
    passed = std::chrono::steady_clock::now() - begin;
  });
  answering.join();
  asking.join();
  return passed.count() / kTrips;
}

}  // namespace ringcached::bench
