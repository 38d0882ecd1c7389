// The commands that are not about one item: stats, flush_all, verbosity, version, cache_memlimit,
// shutdown, and those of lru_admin.h.
#pragma once

#include <memory>

#include "protocol/request.h"
#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

enum class AdminOutcome { kContinue, kClose, kHandOver };

// kHandOver: the answer is made by `successor`, which takes the connection over.
AdminOutcome execute_admin(WorkerContext& worker, Connection& connection, const protocol::Request& request,
                           Output& output, std::unique_ptr<ConnectionHandler>& successor);

// Counts a flush_all of any dialect and tells whether it may run (-F).
bool flush_allowed(WorkerContext& worker);
// flush_all: at once if `delay` is 0 or negative, else when its time has come (a time as of spec section 4).
void flush_after(WorkerContext& worker, std::int64_t delay);

// Runs a delayed flush_all whose time has come. Called by every worker once per turn; one of them does it.
void flush_if_due(WorkerContext& worker);

}  // namespace ringcached::server
