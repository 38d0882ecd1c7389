// The commands that are not about one item: stats, flush_all, verbosity, version, cache_memlimit, shutdown.
#pragma once

#include "protocol/request.h"
#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

enum class AdminOutcome { kContinue, kClose };

AdminOutcome execute_admin(WorkerContext& worker, Connection& connection, const protocol::Request& request,
                           Output& output);

// Runs a delayed flush_all whose time has come. Called by every worker once per turn; one of them does it.
void flush_if_due(WorkerContext& worker);

}  // namespace ringcached::server
