// delete, incr, decr, touch: one key, one line in, one reply out.
#pragma once

#include "protocol/request.h"
#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

void execute_delete(WorkerContext& worker, const protocol::Request& request, Output& output);
void execute_arithmetic(WorkerContext& worker, const protocol::Request& request, Output& output);
void execute_touch(WorkerContext& worker, const protocol::Request& request, Output& output);

}  // namespace ringcached::server
