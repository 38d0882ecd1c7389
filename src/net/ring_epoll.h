// The seam over epoll, for places where io_uring is forbidden.
//
// Operations are system calls made in submit_and_wait(): sends when they are submitted, receives and accepts
// when epoll has told of readiness. Descriptors are watched edge-triggered from their first operation until
// close_socket(), by which they must be closed: waiting again costs no call. Delays are rounded up to whole
// milliseconds.
#pragma once

#include <memory>

#include "net/ring.h"
#include "ringcached/status.h"

namespace ringcached::net {

// As create_uring(), with which it shares the limits of the sizes.
Result<std::unique_ptr<Ring>> create_epoll_ring(const RingOptions& options);

}  // namespace ringcached::net
