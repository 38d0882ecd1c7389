#include "store/node_memory.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace ringcached::store {
namespace {

// <linux/mempolicy.h>, whose values are ABI.
constexpr unsigned long kPolicyPreferred = 1;  // MPOL_PREFERRED
constexpr unsigned kNodesMax = 1024;           // the largest CONFIG_NODES_SHIFT in use is 10
constexpr unsigned kBitsPerWord = 8 * sizeof(unsigned long);

}  // namespace

Status prefer_node(void* start, std::size_t bytes, unsigned node) {
  if (node >= kNodesMax) return {StatusCode::kInvalidArgument, "NUMA node number out of range"};
  std::array<unsigned long, kNodesMax / kBitsPerWord> mask{};
  mask[node / kBitsPerWord] = 1UL << (node % kBitsPerWord);
  // The kernel takes one bit less than it is told.
  const long result = syscall(SYS_mbind, start, bytes, kPolicyPreferred, mask.data(), kNodesMax + 1UL, 0UL);
  if (result == 0) return Status::ok();
  return {StatusCode::kUnavailable,
          "mbind to NUMA node " + std::to_string(node) + ": " + std::strerror(errno)};
}

}  // namespace ringcached::store
