// Answers of `stats <group>`.
#pragma once

#include <memory>
#include <string_view>

#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

// The answer of the text command; `arguments` are the words behind `stats`. An answer that takes a look at
// the items is made by `successor`.
void answer_stats(WorkerContext& worker, Connection& connection, std::string_view arguments, Output& output,
                  std::unique_ptr<ConnectionHandler>& successor);

}  // namespace ringcached::server
