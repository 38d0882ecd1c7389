// A worker thread's side of the server: gives each connection a session, and does the store's background work
// between turns.
#pragma once

#include <memory>
#include <optional>

#include "ringcached/network.h"
#include "server/context.h"
#include "server/upkeep.h"

namespace ringcached::server {

class Worker final : public WorkerHandler {
 public:
  // `node`: where its items go.
  Worker(ServerContext& server, WorkerCounters& counters, unsigned node)
      : server_(server), counters_(counters), node_(node) {}

  void on_start() override;
  std::unique_ptr<ConnectionHandler> on_open(Connection& connection) override;
  std::unique_ptr<DatagramHandler> make_datagram_handler() override;
  void on_close(Connection& connection, CloseReason reason) override;
  void on_lookahead_end() override;
  void on_turn_begin() override;
  bool on_turn() override;
  void on_tick() override;
  bool on_turn_end() override;
  void on_submitted() override;

 private:
  ServerContext& server_;
  WorkerCounters& counters_;
  const unsigned node_;
  std::optional<WorkerContext> context_;  // from on_start, on the worker's own thread
  Upkeep upkeep_;
  bool flush_waiting_ = false;  // for the next turns, see flush_if_due()
};

}  // namespace ringcached::server
