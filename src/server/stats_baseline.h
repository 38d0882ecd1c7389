// `stats reset` without touching other threads' counters: remembers what each was, and later answers subtract
// it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/spin_lock.h"

namespace ringcached::server {

// Any thread. The lock is held for one copy, by administration commands only.
class StatsBaseline {
 public:
  // Values of the resettable rows, in the order of the table.
  void set(std::vector<std::uint64_t> values) {
    lock_.lock();
    values_.swap(values);
    lock_.unlock();
  }

  std::vector<std::uint64_t> values() {
    std::vector<std::uint64_t> copy;
    lock_.lock();
    copy = values_;
    lock_.unlock();
    return copy;
  }

 private:
  SpinLock lock_;
  std::vector<std::uint64_t> values_;
};

}  // namespace ringcached::server
