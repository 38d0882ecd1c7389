// The commands about eviction and upkeep: lru, lru_crawler, slabs. Arguments are parsed in
// protocol/admin_lru.h and admin_slabs.h; docs/administration.md says what has a counterpart here.
#pragma once

#include <memory>
#include <string_view>

#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

std::string_view execute_lru(WorkerContext& worker, std::string_view arguments);
std::string_view execute_slabs(WorkerContext& worker, std::string_view arguments);

// The line to answer; for a dump nothing, and `successor` is the handler that produces it. `output` is asked
// for replies that have not been sent, before which no dump starts.
std::string_view execute_lru_crawler(WorkerContext& worker, std::string_view arguments, const Output& output,
                                     std::unique_ptr<ConnectionHandler>& successor);

// Slab class numbers that commands accept: at least those of the reference, so that its tools can walk them.
unsigned class_ids_max(const WorkerContext& worker);

}  // namespace ringcached::server
