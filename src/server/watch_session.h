// A client that watches (spec 10.1): is sent lines until it goes; what it says is ignored.
#pragma once

#include <memory>
#include <string_view>

#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

class WatchSession final : public ConnectionHandler {
 public:
  // `watcher`: from EventLog::join; given back at the end.
  WatchSession(WorkerContext& worker, Watcher& watcher) : worker_(worker), watcher_(watcher) {}
  ~WatchSession() override;

  Next on_begin(Connection& connection) override;
  Consumed on_data(Connection& connection, std::span<const char> input) override;

  // Moves waiting lines to the connection, as many as it may hold. Called between the worker's turns.
  void deliver();

 private:
  WorkerContext& worker_;
  Watcher& watcher_;
  Connection* connection_ = nullptr;  // from on_begin
};

// Executes `watch`. Either appends the error line, or has made the worker's next successor: the session hands
// over to it.
bool begin_watch(WorkerContext& worker, Output& output, std::string_view streams);

// Between two turns of a worker: passes events on, and what its watchers have got. True: call again at once.
bool serve_watchers(WorkerContext& worker);

}  // namespace ringcached::server
