#include "server/context.h"

#include <algorithm>

#include "server/batch.h"
#include "server/binary_batch.h"
#include "server/lookahead.h"

namespace ringcached::server {
namespace {

char delimiter_of(const config::Config& configuration) {
  const std::string& delimiter = configuration.stats.prefix_delimiter;
  return delimiter.empty() ? ':' : delimiter.front();
}

}  // namespace

ServerContext::ServerContext(const config::Config& configuration, Log& process_log, CacheClock& cache_clock,
                             store::Store& item_store)
    : config(configuration),
      log(process_log),
      clock(cache_clock),
      store(item_store),
      live(configuration),
      prefixes(delimiter_of(configuration), configuration.stats.detail_enabled),
      latency(configuration.stats.latency_histograms),
      events(item_store.threads_max(), configuration.commands.worker_logbuf_bytes,
             configuration.commands.watcher_logbuf_bytes) {
  store.observe_evictions(&events);
}

ServerContext::~ServerContext() {
  store.observe_evictions(nullptr);
}

WorkerContext::WorkerContext(ServerContext& server_context, store::StoreThread& store_thread,
                             WorkerCounters& cells)
    : server(server_context),
      store(server_context.store),
      thread(store_thread),
      counters(cells),
      prefixes(server_context.prefixes.attach()),
      latency(server_context.latency),
      requests_per_turn(static_cast<unsigned>(std::max(1, server_context.config.network.requests_per_turn))),
      batch(std::make_unique<Batch>()),
      lookahead(std::make_unique<Lookahead>()),
      binary_batch(std::make_unique<BinaryBatch>()) {}

WorkerContext::~WorkerContext() = default;

}  // namespace ringcached::server
