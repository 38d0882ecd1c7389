// The processors this process may use, the NUMA nodes they are on, and binding a thread to some of them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringcached/status.h"

namespace ringcached {

// CPU numbers of the calling process's affinity mask, ascending; the mask already reflects a cpuset. Never
// empty.
std::vector<unsigned> allowed_cpus();

// Binds the calling thread to `cpus`: it runs on any of them and nowhere else.
Status pin_this_thread(std::span<const unsigned> cpus);

struct CpuSite {
  unsigned cpu = 0;
  unsigned node = 0;  // the CPU is on
  // The nearest node whose memory this process may use: `node` itself, unless it has none or a cpuset
  // forbids.
  unsigned memory_node = 0;

  bool operator==(const CpuSite&) const = default;
};

// Where the kernel tells about nodes; tests give other places.
struct TopologySource {
  std::string nodes = "/sys/devices/system/node";
  std::string status = "/proc/self/status";
};

// A site for each of `cpus`, in their order. All on node 0 where the kernel does not say.
std::vector<CpuSite> cpu_sites(std::span<const unsigned> cpus, const TopologySource& source = {});

// The same sites in another order: the first of each node, then the second of each, and so on.
std::vector<CpuSite> spread_over_nodes(std::span<const CpuSite> sites);

// The kernel's lists: "0-3,8" is 0 1 2 3 8; "" is empty. Empty for anything else and for numbers above 65535.
std::optional<std::vector<unsigned>> parse_number_list(std::string_view text);

}  // namespace ringcached
