// The groups of `stats` as pairs of names and values, for every dialect (spec 9.1 to 9.6).
#pragma once

#include "ringcached/network.h"
#include "server/context.h"
#include "server/stat_sink.h"

namespace ringcached::server {

void settings_stats(ServerContext& server, StatSink& sink);
void items_stats(ServerContext& server, StatSink& sink);
void slabs_stats(ServerContext& server, StatSink& sink);
void sizes_stats(ServerContext& server, StatSink& sink);
// `asking` is shown as the connection that is at work.
void connections_stats(ServerContext& server, const Connection& asking, StatSink& sink);

}  // namespace ringcached::server
