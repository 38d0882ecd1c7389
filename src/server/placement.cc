#include "server/placement.h"

#include <algorithm>
#include <set>

namespace ringcached::server {

unsigned NodePlacement::node_of(unsigned worker) const {
  return memory_nodes.empty() ? 0 : memory_nodes[worker % memory_nodes.size()];
}

std::vector<unsigned> NodePlacement::nodes_of(unsigned workers) const {
  const std::size_t counted = std::min<std::size_t>(workers, memory_nodes.size());
  const std::set<unsigned> different(memory_nodes.begin(),
                                     memory_nodes.begin() + static_cast<std::ptrdiff_t>(counted));
  return {different.begin(), different.end()};
}

NodePlacement place_workers(const config::ThreadConfig& threads, std::span<const CpuSite> sites) {
  NodePlacement placement;
  if (threads.numa == config::Numa::kOff) return placement;
  if (std::ranges::adjacent_find(sites, std::ranges::not_equal_to(), &CpuSite::node) == sites.end()) {
    return placement;
  }
  for (const CpuSite& site : spread_over_nodes(sites)) {
    std::vector<unsigned>& cpus = placement.worker_cpus.emplace_back();
    placement.memory_nodes.push_back(site.memory_node);
    if (threads.pin) {
      cpus.push_back(site.cpu);
      continue;
    }
    for (const CpuSite& other : sites) {
      if (other.node == site.node) cpus.push_back(other.cpu);
    }
  }
  return placement;
}

}  // namespace ringcached::server
