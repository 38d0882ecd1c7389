// The commands that are not about one item: stats, flush_all, verbosity, version, cache_memlimit,
// shutdown, and those of lru_admin.h.
#pragma once

#include <memory>

#include "protocol/request.h"
#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

// kLater: nothing was done, the same request is to be executed again in the next turn.
enum class AdminOutcome { kContinue, kClose, kHandOver, kLater };

// kHandOver: the answer is made by `successor`, which takes the connection over.
AdminOutcome execute_admin(WorkerContext& worker, Connection& connection, const protocol::Request& request,
                           Output& output, std::unique_ptr<ConnectionHandler>& successor);

// Counts a flush_all of any dialect and tells whether it may run (-F).
bool flush_allowed(WorkerContext& worker);
// flush_all: at once if `delay` is 0 or negative, else when its time has come (a time as of spec section 4).
void flush_after(WorkerContext& worker, std::int64_t delay);

// Before the two below: whether a flush would be short now. False: try again in the next turn.
bool flush_prepared(WorkerContext& worker);
// Runs a delayed flush_all whose time has come. Called by every worker once per turn; one of them does it.
// True if that is to come in the next turns.
bool flush_if_due(WorkerContext& worker);

}  // namespace ringcached::server
