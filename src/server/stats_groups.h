// The groups of `stats` as pairs of names and values, for every dialect (spec 9.2 to 9.6); those of the slab
// classes are in stats_classes.h.
#pragma once

#include "ringcached/network.h"
#include "server/context.h"
#include "server/stat_sink.h"

namespace ringcached::server {

void settings_stats(ServerContext& server, StatSink& sink);
// What can be told without looking at the items: that there is nothing, or where (item_dump.h).
// Without track_sizes; with it the sizes are counted in pieces (item_dump.h).
void sizes_untracked_stats(StatSink& sink);
// `asking` is shown as the connection that is at work.
void connections_stats(ServerContext& server, const Connection& asking, StatSink& sink);
// The share of each worker thread; a group of ringcached's own.
void workers_stats(ServerContext& server, StatSink& sink);

}  // namespace ringcached::server
