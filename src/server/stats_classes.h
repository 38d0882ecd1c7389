// `stats items` and `stats slabs`: what the store and the commands know about each slab class (sections 9.3
// and 9.4).
#pragma once

#include <string>

#include "server/context.h"

namespace ringcached::server {

// Without END; figures since the last reset where the tables say so.
std::string items_stats(ServerContext& server);
std::string slabs_stats(ServerContext& server);
void reset_class_stats(ServerContext& server);

}  // namespace ringcached::server
