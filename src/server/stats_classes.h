// `stats items` and `stats slabs`: what the store and the commands know about each slab class (sections 9.3
// and 9.4).
#pragma once

#include "server/context.h"
#include "server/stat_sink.h"

namespace ringcached::server {

// Figures since the last reset where the tables say so.
void items_stats(ServerContext& server, StatSink& sink);
void slabs_stats(ServerContext& server, StatSink& sink);
void reset_class_stats(ServerContext& server);

}  // namespace ringcached::server
