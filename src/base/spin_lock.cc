#include "base/spin_lock.h"

#include <sched.h>

namespace ringcached {

void Backoff::pause() {
  constexpr unsigned kSpinsBeforeYield = 64;
  if (++spins_ < kSpinsBeforeYield) {
    cpu_relax();
  } else {
    sched_yield();
  }
}

}  // namespace ringcached
