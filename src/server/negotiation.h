// Which handler a new connection gets.
#pragma once

#include <memory>

#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

// The first handler of a connection. What the client speaks is the listener's protocol (its tag, a
// config::Protocol) or, where that negotiates, told by the first byte (spec 1.1), once. With a password file
// for the text protocol it is text, and begins with a login, on every listener.
std::unique_ptr<ConnectionHandler> make_first_handler(WorkerContext& worker, const Connection& connection);

}  // namespace ringcached::server
