// Does this kernel's minimum wait (Linux 6.12: "collect completions for a while before waking up") do what
// its manual page says? Some kernels have the feature bit and, once the minimum wait is over, go on waiting
// for all the completions asked for instead of for any (liburing #1477).
#pragma once

#include <string>

#include "ringcached/status.h"

namespace ringcached::net {

struct MinWaitFindings {
  // How long a wait for 8 completions took that got only one: there before, in the middle of the minimum
  // wait, after 20 ms.
  double at_hand_ms = 0;
  double during_ms = 0;
  double later_ms = 0;

  // The first two should take the minimum wait of 2 ms, the third 20; a wrong kernel takes the limit of 100.
  bool right() const;
  std::string text() const;
};

// Takes at most a third of a second. Fails where the kernel has no minimum wait.
Result<MinWaitFindings> try_min_wait();

}  // namespace ringcached::net
