#include "base/topology.h"

#include <dirent.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace ringcached {
namespace {

// Larger than any machine's count; the mask is sized for it, as sched_getaffinity refuses a mask that is too
// short.
constexpr unsigned kCpusMax = 8192;

struct CpuMask {
  CpuMask() : set(CPU_ALLOC(kCpusMax)), bytes(CPU_ALLOC_SIZE(kCpusMax)) { CPU_ZERO_S(bytes, set); }
  ~CpuMask() { CPU_FREE(set); }
  CpuMask(const CpuMask&) = delete;
  CpuMask& operator=(const CpuMask&) = delete;

  cpu_set_t* set;
  std::size_t bytes;
};

struct DirectoryCloser {
  void operator()(DIR* directory) const { closedir(directory); }
};

}  // namespace

std::vector<unsigned> allowed_cpus() {
  CpuMask mask;
  std::vector<unsigned> cpus;
  if (sched_getaffinity(0, mask.bytes, mask.set) == 0) {
    for (unsigned cpu = 0; cpu < kCpusMax; ++cpu) {
      if (CPU_ISSET_S(cpu, mask.bytes, mask.set)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

Status pin_this_thread(unsigned cpu) {
  CpuMask mask;
  if (cpu >= kCpusMax) return {StatusCode::kInvalidArgument, "no such CPU: " + std::to_string(cpu)};
  CPU_SET_S(cpu, mask.bytes, mask.set);
  if (sched_setaffinity(0, mask.bytes, mask.set) == 0) return {};
  return {StatusCode::kUnavailable, "cannot bind a thread to CPU " + std::to_string(cpu) + ": " +
                                        std::strerror(errno) + "; allow it or switch pinning off"};
}

unsigned node_of_cpu(unsigned cpu) {
  const std::string path = "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
  const std::unique_ptr<DIR, DirectoryCloser> directory(opendir(path.c_str()));
  if (!directory) return 0;
  // The CPU's directory holds a link "nodeN".
  while (const dirent* entry = readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    unsigned node = 0;
    if (!name.starts_with("node")) continue;
    const auto result = std::from_chars(name.data() + 4, name.data() + name.size(), node);
    if (result.ec == std::errc() && result.ptr == name.data() + name.size()) return node;
  }
  return 0;
}

unsigned node_of_this_thread() {
  const int cpu = sched_getcpu();
  return cpu < 0 ? 0 : node_of_cpu(static_cast<unsigned>(cpu));
}

unsigned node_count() {
  unsigned highest = 0;
  for (const unsigned cpu : allowed_cpus()) highest = std::max(highest, node_of_cpu(cpu));
  return highest + 1;
}

}  // namespace ringcached
