// The `stats` command and its groups.
#pragma once

#include <string_view>

#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

// `arguments`: the words after `stats`. Appends the whole answer, END included.
void answer_stats(WorkerContext& worker, Connection& connection, std::string_view arguments, Output& output);

}  // namespace ringcached::server
