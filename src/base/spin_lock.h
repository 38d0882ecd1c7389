// A lock for critical sections of nanoseconds, normally taken by one thread only. Never held across a system
// call.
#pragma once

#include <atomic>

namespace ringcached {

inline void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Yields the processor after a bounded spin: the holder may have been descheduled (fewer cores than threads).
class Backoff {
 public:
  void pause();

 private:
  unsigned spins_ = 0;
};

// BasicLockable, so std::lock_guard works.
class SpinLock {
 public:
  void lock() {
    Backoff backoff;
    while (!try_lock()) backoff.pause();
  }
  bool try_lock() {
    return !held_.load(std::memory_order_relaxed) && !held_.exchange(true, std::memory_order_acquire);
  }
  void unlock() { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

}  // namespace ringcached
