#include "base/node_memory.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstddef>

#include "base/topology.h"

using namespace ringcached;

namespace {

constexpr std::size_t kBytes = 16 * 4096;

struct Memory {
  Memory() : start(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    REQUIRE(start != MAP_FAILED);
  }
  ~Memory() { munmap(start, kBytes); }
  void* start;
};

// The thread's policy; -1 where the kernel does not tell.
int own_policy() {
  int policy = -1;
  std::array<unsigned long, 16> nodes{};
  if (syscall(SYS_get_mempolicy, &policy, nodes.data(), 8 * sizeof nodes + 1, nullptr, 0UL) != 0) return -1;
  return policy;
}

bool ok_or_unavailable(const Status& status) {
  return status.is_ok() || status.code() == StatusCode::kUnavailable;
}

}  // namespace

TEST_SUITE("node_memory") {
  TEST_CASE("this machine's nodes are accepted where policies are allowed at all") {
    const Memory memory;
    const unsigned node = cpu_sites(allowed_cpus()).front().memory_node;
    CHECK(ok_or_unavailable(prefer_node(memory.start, kBytes, node)));
    CHECK(ok_or_unavailable(interleave_over(memory.start, kBytes, {&node, 1})));
    CHECK(ok_or_unavailable(bind_to_node(memory.start, kBytes, node)));
    static_cast<char*>(memory.start)[kBytes - 1] = 1;
  }

  TEST_CASE("a node that is not there is refused, with its number") {
    const Memory memory;
    const Status refused = prefer_node(memory.start, kBytes, 1000);
    CHECK(refused.code() == StatusCode::kUnavailable);
    CHECK(refused.message().find("1000") != std::string::npos);
    CHECK(prefer_node(memory.start, kBytes, 1024).code() == StatusCode::kInvalidArgument);
  }

  TEST_CASE("a thread's preference lasts as long as its object") {
    const int before = own_policy();
    const unsigned node = cpu_sites(allowed_cpus()).front().memory_node;
    {
      const NodePreference preference(node);
      if (before == 0) CHECK((own_policy() == 1 || own_policy() == 0));
    }
    CHECK(own_policy() == before);
    { const NodePreference nowhere(4000); }
    { const NodePreference missing(1000); }
    CHECK(own_policy() == before);
  }
}
