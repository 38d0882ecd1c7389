// What -vv tells: who comes and goes, and each request as it is taken. Lines begin as memcached's do, with
// the descriptor: "<28 get key". Whatever a client sent is escaped and cut.
#pragma once

#include <string_view>

#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

inline bool traces(const WorkerContext& worker) {
  return worker.server.log.enabled(LogLevel::kDebug);
}

void trace_open(const WorkerContext& worker, const Connection& connection);
void trace_close(const WorkerContext& worker, const Connection& connection);
// `bytes` begin with a request, and all of its line or header is there.
void trace_request(const WorkerContext& worker, const Connection& connection, std::string_view bytes);

}  // namespace ringcached::server
