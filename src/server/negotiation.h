// Which handler a new connection gets.
#pragma once

#include <memory>

#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

// The first handler of a connection: decides by the first byte what the client speaks (spec 1.1), once.
std::unique_ptr<ConnectionHandler> make_first_handler(WorkerContext& worker, const Connection& connection);

}  // namespace ringcached::server
