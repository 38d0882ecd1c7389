// The Stat command of the binary dialect (spec 8.5).
#pragma once

#include "protocol/binary.h"
#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

// Appends the whole answer, the closing packet included.
void answer_binary_stat(WorkerContext& worker, Output& output, const protocol::BinaryRequest& request);

}  // namespace ringcached::server
