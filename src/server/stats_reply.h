// Answers of `stats <group>`.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

// The answer of the text command; `arguments` are the words behind `stats`. An answer that takes a look at
// the items is made by `successor`.
void answer_stats(WorkerContext& worker, Connection& connection, std::string_view arguments, Output& output,
                  std::unique_ptr<ConnectionHandler>& successor);

// "STAT <name> <value>" lines without END of the groups that every protocol has: the general one (empty),
// settings, items, slabs, and sizes when they are not tracked (item_dump.h has SizeHistogram for when they
// are). Nothing for others. See ServerContext::prefixes for detail, reset_stats() for reset.
std::optional<std::string> stats_lines(ServerContext& server, std::string_view group);

}  // namespace ringcached::server
