#include "base/topology.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "support/temporary_directory.h"

using namespace ringcached;

namespace {

using Numbers = std::vector<unsigned>;

using Files = std::map<std::string, std::string>;

// The tree that the kernel shows, made of a few files.
class FakeMachine {
 public:
  explicit FakeMachine(const Files& files) {
    for (const auto& [name, text] : files) {
      std::filesystem::create_directories(std::filesystem::path(directory_.path(name)).parent_path());
      directory_.write(name, text + "\n");
    }
  }
  TopologySource source() const { return {directory_.path("node"), directory_.path("status")}; }
  std::vector<CpuSite> sites(const Numbers& cpus) const { return cpu_sites(cpus, source()); }

 private:
  testing::TemporaryDirectory directory_;
};

// Two nodes with two processors each.
const Files kTwoNodes = {{"node/online", "0-1"},
                         {"node/has_memory", "0-1"},
                         {"node/node0/cpulist", "0,2"},
                         {"node/node0/distance", "10 20"},
                         {"node/node1/cpulist", "1,3"},
                         {"node/node1/distance", "20 10"},
                         {"status", "Name:\tx\nMems_allowed_list:\t0-1"}};

Files changed(Files files, const Files& changes) {
  for (const auto& [name, text] : changes) files[name] = text;
  return files;
}

// Node 2 has processors and no memory; node 5 has memory and no processors.
const Files kUneven = {{"node/online", "0,2,5"},      {"node/has_memory", "0,5"},
                       {"node/node0/cpulist", "0-1"}, {"node/node0/distance", "10 20 40"},
                       {"node/node2/cpulist", "2-3"}, {"node/node2/distance", "30 10 17"},
                       {"node/node5/cpulist", ""},    {"node/node5/distance", "40 17 10"},
                       {"status", "Name:\tx"}};

}  // namespace

TEST_SUITE("topology") {
  TEST_CASE("the kernel's lists of numbers") {
    const std::vector<std::pair<std::string, Numbers>> good = {
        {"", {}}, {"0", {0}}, {"0-3", {0, 1, 2, 3}}, {"1,4-5,9", {1, 4, 5, 9}}, {"7-7", {7}}};
    for (const auto& [text, numbers] : good) CHECK_MESSAGE(parse_number_list(text) == numbers, text);
    for (const char* bad : {",", "1,", "x", "1-", "-1", "3-1", "1;2", "1 ", "0-4294967295", "99999999999"}) {
      CHECK_MESSAGE(!parse_number_list(bad), bad);
    }
  }

  TEST_CASE("each processor is on its node, with the memory of that node") {
    CHECK(FakeMachine(kTwoNodes).sites({0, 1, 3}) == std::vector<CpuSite>{{0, 0, 0}, {1, 1, 1}, {3, 1, 1}});
  }

  TEST_CASE("memory that a cpuset forbids is not counted on") {
    const FakeMachine machine(changed(kTwoNodes, {{"status", "Mems_allowed_list:\t1"}}));
    CHECK(machine.sites({0, 1}) == std::vector<CpuSite>{{0, 0, 1}, {1, 1, 1}});
  }

  TEST_CASE("a node without memory takes that of the nearest which has some and is allowed") {
    CHECK(FakeMachine(kUneven).sites({1, 2}) == std::vector<CpuSite>{{1, 0, 0}, {2, 2, 5}});
    const FakeMachine machine(changed(kUneven, {{"status", "Mems_allowed_list:\t0"}}));
    CHECK(machine.sites({2}) == std::vector<CpuSite>{{2, 2, 0}});
  }

  TEST_CASE("a machine that says nothing, or nonsense, is one node") {
    const std::vector<CpuSite> one = {{0, 0, 0}, {7, 0, 0}};
    CHECK(FakeMachine(Files{}).sites({0, 7}) == one);
    CHECK(FakeMachine(Files{{"node/online", "many"}}).sites({0, 7}) == one);
    CHECK(FakeMachine(Files{{"node/online", "0-1"}, {"status", "Mems_allowed_list:"}}).sites({0, 7}) == one);
  }

  TEST_CASE("spread: the nodes in turn, what is left at the end") {
    const std::vector<CpuSite> sites = {{0, 0, 0}, {1, 0, 0}, {2, 0, 0}, {3, 1, 1}, {4, 2, 2}, {5, 2, 2}};
    Numbers order;
    for (const CpuSite& site : spread_over_nodes(sites)) order.push_back(site.cpu);
    CHECK(order == Numbers{0, 3, 4, 1, 5, 2});
    CHECK(spread_over_nodes({}).empty());
  }

  TEST_CASE("this machine: every allowed processor has a site") {
    const Numbers cpus = allowed_cpus();
    const std::vector<CpuSite> sites = cpu_sites(cpus);
    REQUIRE(sites.size() == cpus.size());
    for (std::size_t i = 0; i < cpus.size(); ++i) {
      CHECK(sites[i].cpu == cpus[i]);
      CHECK(sites[i].node < 1024);
    }
  }
}
