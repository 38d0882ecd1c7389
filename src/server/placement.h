// Where workers run, and the NUMA nodes their memory comes from.
#pragma once

#include <span>
#include <vector>

#include "base/topology.h"
#include "config/config.h"

namespace ringcached::server {

// Worker i runs on worker_cpus[i % size] and takes memory of memory_nodes[i % size]. Both are empty where
// nothing is to be placed: numa = off, or a process that may use one node only.
struct NodePlacement {
  std::vector<std::vector<unsigned>> worker_cpus;
  std::vector<unsigned> memory_nodes;

  // Of worker `worker`; 0 where nothing is placed.
  unsigned node_of(unsigned worker) const;
  // The different nodes of so many workers, ascending.
  std::vector<unsigned> nodes_of(unsigned workers) const;
};

// Workers go to the nodes in turn: each to a CPU of its own if it is to be pinned, else to all CPUs of its
// node.
NodePlacement place_workers(const config::ThreadConfig& threads, std::span<const CpuSite> sites);

}  // namespace ringcached::server
