#include "server/placement.h"

#include <doctest/doctest.h>

#include <vector>

using namespace ringcached;
using server::NodePlacement;
using Numbers = std::vector<unsigned>;

namespace {

const std::vector<CpuSite> kTwoNodes = {{0, 0, 0}, {1, 0, 0}, {2, 1, 1}, {3, 1, 1}};
const std::vector<CpuSite> kOneNode = {{0, 0, 0}, {1, 0, 0}};

NodePlacement place(const std::vector<CpuSite>& sites, bool pin = true,
                    config::Numa numa = config::Numa::kAuto) {
  config::ThreadConfig threads;
  threads.pin = pin;
  threads.numa = numa;
  return server::place_workers(threads, sites);
}

}  // namespace

TEST_SUITE("placement") {
  TEST_CASE("pinned workers: a processor each, the nodes in turn") {
    const NodePlacement placement = place(kTwoNodes);
    CHECK(placement.worker_cpus == std::vector<Numbers>{{0}, {2}, {1}, {3}});
    CHECK(placement.memory_nodes == Numbers{0, 1, 0, 1});
    CHECK(placement.node_of(3) == 1);
    CHECK(placement.node_of(4) == 0);
  }

  TEST_CASE("workers that are not pinned stay on their node") {
    const NodePlacement placement = place(kTwoNodes, false);
    CHECK(placement.worker_cpus == std::vector<Numbers>{{0, 1}, {2, 3}, {0, 1}, {2, 3}});
    CHECK(placement.memory_nodes == Numbers{0, 1, 0, 1});
  }

  TEST_CASE("memory is divided among the nodes that have workers") {
    CHECK(place(kTwoNodes).nodes_of(1) == Numbers{0});
    CHECK(place(kTwoNodes).nodes_of(2) == Numbers{0, 1});
    CHECK(place(kTwoNodes).nodes_of(100) == Numbers{0, 1});
    // Both nodes' memory is elsewhere.
    CHECK(place({{0, 0, 3}, {1, 1, 3}}).nodes_of(2) == Numbers{3});
  }

  TEST_CASE("nothing is placed on one node, or when it is switched off") {
    for (const NodePlacement& placement :
         {place(kOneNode), place({}), place(kTwoNodes, true, config::Numa::kOff)}) {
      CHECK(placement.worker_cpus.empty());
      CHECK(placement.nodes_of(4).empty());
      CHECK(placement.node_of(1) == 0);
    }
  }
}
