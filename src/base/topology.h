// The processors this process may use, and binding a thread to one of them.
#pragma once

#include <vector>

#include "ringcached/status.h"

namespace ringcached {

// CPU numbers of the calling process's affinity mask, ascending; the mask already reflects a cpuset. Never
// empty.
std::vector<unsigned> allowed_cpus();

// Binds the calling thread to `cpu`.
Status pin_this_thread(unsigned cpu);

// The NUMA node a CPU belongs to, by sysfs; 0 when the machine does not say.
unsigned node_of_cpu(unsigned cpu);
// The node of the CPU the calling thread is on.
unsigned node_of_this_thread();
// One more than the highest node of the CPUs this process may use.
unsigned node_count();

}  // namespace ringcached
