// What the parts of the server share: one ServerContext for the process, one WorkerContext per worker thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "ringcached/network.h"
#include "server/counters.h"
#include "server/crawler.h"
#include "server/event_log.h"
#include "server/latency.h"
#include "server/live_settings.h"
#include "server/prefix_stats.h"
#include "server/stats_baseline.h"
#include "store/expiry.h"
#include "store/store.h"

namespace ringcached::server {

class Authentication;

// Lives from before the first worker starts until after the last has ended. Immutable while they run, but for
// the members that say who may change them.
struct ServerContext {
  ServerContext(const config::Config& configuration, Log& process_log, CacheClock& cache_clock,
                store::Store& item_store);
  ~ServerContext();

  const config::Config& config;
  Log& log;
  CacheClock& clock;
  store::Store& store;
  Network* network = nullptr;                             // set before start
  const Authentication* authentication = nullptr;         // set before start; null: nobody has to log in
  std::function<void()> request_stop;                     // any thread; what `shutdown` calls
  std::vector<std::unique_ptr<WorkerCounters>> counters;  // one per worker

  // When a delayed flush_all is due; 0: none. Any worker sets it, the worker that first sees its time
  // flushes.
  std::atomic<CacheTime> flush_due{0};
  // The cache time of the last flush, for `stats settings` (oldest). Any worker.
  std::atomic<CacheTime> flushed_at{0};
  // Zeroed by `stats reset`: the general figures, and those of the slab classes.
  StatsBaseline baseline;
  StatsBaseline class_baseline;

  LiveSettings live;
  Crawler crawler;
  PrefixStats prefixes;
  LatencyBook latency;
  // What watchers are told. Any thread.
  EventLog events;
};

class Batch;
class BinaryBatch;
class Lookahead;
class WatchSession;

// One worker's. Used on its thread only.
struct WorkerContext {
  WorkerContext(ServerContext& server_context, store::StoreThread& store_thread, WorkerCounters& cells);
  ~WorkerContext();

  ServerContext& server;
  store::Store& store;
  store::StoreThread& thread;
  WorkerCounters& counters;
  PrefixTable& prefixes;  // counted in while server.prefixes.enabled()
  WorkerLatency latency;
  unsigned requests_per_turn;
  // Scratch space of the session at work (batch.h, binary_batch.h).
  std::unique_ptr<Batch> batch;
  std::unique_ptr<Lookahead> lookahead;
  std::unique_ptr<BinaryBatch> binary_batch;
  // The client whose input is being handled, for what is told to watchers. Set by every session.
  const Connection* client = nullptr;
  // What the session at work hands over to: from its kHandOver until it is asked for it.
  std::unique_ptr<ConnectionHandler> successor;
  std::vector<WatchSession*> watch_sessions;  // that belong to this worker

  CacheTime now() const { return server.clock.now(); }
  // For `stats detail`, while it is on. Not for meta commands.
  void count_prefix_get(std::string_view key, bool hit) const {
    if (server.prefixes.enabled()) [[unlikely]]
      prefixes.count_get(key, hit);
  }
  void count_prefix_set(std::string_view key) const {
    if (server.prefixes.enabled()) [[unlikely]]
      prefixes.count_set(key);
  }
  void count_prefix_delete(std::string_view key) const {
    if (server.prefixes.enabled()) [[unlikely]]
      prefixes.count_delete(key);
  }
  // An expiry as a client sent it.
  CacheTime expiry(std::int64_t exptime) const {
    return store::expiry_from_exptime(exptime, now(), server.clock.wall_base());
  }
};

}  // namespace ringcached::server
