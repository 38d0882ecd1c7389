// The seam over io_uring. The only file with its calls is ring_uring.cc.
#pragma once

#include <memory>

#include "net/kernel_features.h"
#include "net/ring.h"
#include "ringcached/status.h"

namespace ringcached::net {

// A ring that is not yet enabled; any thread may create it, and any may destroy it once its owner has stopped
// using it. Sizes are halved as far as 64 submissions when the kernel refuses the memory. On failure the
// Status names the cause and what to do. `features` must be of probe_features() and available.
Result<std::unique_ptr<Ring>> create_uring(const RingOptions& options, const Features& features);

}  // namespace ringcached::net
