// Memory policy of a NUMA node by the kernel's own call: no libnuma, and one file that knows the constants.
#pragma once

#include <cstddef>

#include "ringcached/status.h"

namespace ringcached::store {

// Pages of [start, start + bytes) that are touched from now on come from `node` as long as it has any, then
// from its neighbours (MPOL_PREFERRED: a full node must not kill the process). `start` is a multiple of the
// kernel's page size. kUnavailable when the kernel refuses: no such node, no NUMA support, forbidden by
// seccomp.
Status prefer_node(void* start, std::size_t bytes, unsigned node);

}  // namespace ringcached::store
