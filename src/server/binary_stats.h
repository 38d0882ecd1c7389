// The Stat command of the binary dialect (spec 8.5).
#pragma once

#include <memory>

#include "protocol/binary.h"
#include "ringcached/network.h"
#include "server/context.h"
#include "server/dump_session.h"

namespace ringcached::server {

// Appends the whole answer, the closing packet included, and returns null; or returns what produces it, for
// an answer that takes a look at all the items.
std::unique_ptr<DumpSource> answer_binary_stat(WorkerContext& worker, Output& output,
                                               const protocol::BinaryRequest& request);

}  // namespace ringcached::server
