// What /proc tells about a process.
#pragma once

#include <cstdint>

namespace ringcached::bench {

// Nanoseconds all threads of `pid` together have spent on a core (first field of /proc/PID/task/*/schedstat);
// 0 if there is no such process. pid 0: this process.
std::uint64_t process_cpu_ns(int pid);

}  // namespace ringcached::bench
