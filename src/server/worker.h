// A worker thread's side of the server: gives each connection a session, and does the store's background work
// between turns.
#pragma once

#include <memory>
#include <optional>

#include "ringcached/network.h"
#include "server/context.h"
#include "server/reporting.h"

namespace ringcached::server {

class Worker final : public WorkerHandler {
 public:
  Worker(ServerContext& server, WorkerCounters& counters) : server_(server), counters_(counters) {}

  void on_start() override;
  std::unique_ptr<ConnectionHandler> on_open(Connection& connection) override;
  std::unique_ptr<DatagramHandler> make_datagram_handler() override;
  void on_close(Connection& connection, CloseReason reason) override;
  bool on_turn() override;
  void on_tick() override;

 private:
  bool maintain();

  ServerContext& server_;
  WorkerCounters& counters_;
  std::optional<WorkerContext> context_;  // from on_start, on the worker's own thread and node
  std::size_t maintenance_credit_ = 0;    // chunks that may still be looked at before the next tick
  bool maintenance_waiting_ = false;
  BackgroundFigures pass_began_;  // the background work that is told to watchers when it is through
  CacheTime pass_began_at_ = 0;
};

}  // namespace ringcached::server
