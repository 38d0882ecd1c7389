// delete, incr, decr, touch: one key, one line in, one reply out.
#pragma once

#include "protocol/request.h"
#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

void execute_delete(WorkerContext& worker, const protocol::Request& request, Output& output);
void execute_arithmetic(WorkerContext& worker, const protocol::Request& request, Output& output);
void execute_touch(WorkerContext& worker, const protocol::Request& request, Output& output);

// An arithmetic that was done, in any dialect.
void count_arithmetic(WorkerContext& worker, bool decrement);

}  // namespace ringcached::server
