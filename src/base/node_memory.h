// Memory policy of NUMA nodes by the kernel's own calls: no libnuma, and one file that knows the constants.
#pragma once

#include <cstddef>
#include <span>

#include "ringcached/status.h"

namespace ringcached {

// For pages of [start, start + bytes) that are touched from now on. `start` is a multiple of the kernel's
// page size; nodes are the kernel's numbers. kUnavailable when the kernel refuses: no such node, no NUMA
// support, forbidden by seccomp.

// From `node` as long as it has any, then from its neighbours (MPOL_PREFERRED: a full node must not kill the
// process).
Status prefer_node(void* start, std::size_t bytes, unsigned node);
// From `node` or not at all (MPOL_BIND): for memory that is taken at once, where a failure can be answered.
Status bind_to_node(void* start, std::size_t bytes, unsigned node);
// From each of the nodes in turn (MPOL_INTERLEAVE).
Status interleave_over(void* start, std::size_t bytes, std::span<const unsigned> nodes);

// While it exists, what the calling thread takes from the kernel without a policy of its own, in user space
// and inside of system calls, comes from `node` if possible. Nothing changes where the kernel refuses.
class NodePreference {
 public:
  explicit NodePreference(unsigned node);
  ~NodePreference();
  NodePreference(const NodePreference&) = delete;
  NodePreference& operator=(const NodePreference&) = delete;

 private:
  struct Saved;
  Saved* before_ = nullptr;
};

}  // namespace ringcached
