#include "server/context.h"

#include <algorithm>

#include "server/batch.h"
#include "server/binary_batch.h"

namespace ringcached::server {

WorkerContext::WorkerContext(ServerContext& server_context, store::StoreThread& store_thread,
                             WorkerCounters& cells)
    : server(server_context),
      store(server_context.store),
      thread(store_thread),
      counters(cells),
      prefixes(server_context.prefixes.attach()),
      requests_per_turn(static_cast<unsigned>(std::max(1, server_context.config.network.requests_per_turn))),
      batch(std::make_unique<Batch>()),
      binary_batch(std::make_unique<BinaryBatch>()) {}

WorkerContext::~WorkerContext() = default;

}  // namespace ringcached::server
