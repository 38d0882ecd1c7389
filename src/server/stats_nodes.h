// `stats numa`: what each NUMA node has of memory and workers.
#pragma once

#include "server/context.h"
#include "server/stat_sink.h"

namespace ringcached::server {

// One share, called node 0, where nothing is placed by node.
void node_stats(ServerContext& server, StatSink& sink);

}  // namespace ringcached::server
