#include "server/worker.h"

#include "base/topology.h"
#include "server/admin.h"
#include "server/datagram_service.h"
#include "server/negotiation.h"

namespace ringcached::server {

void Worker::on_start() {
  context_.emplace(server_, server_.store.attach(node_of_this_thread()), counters_);
}

std::unique_ptr<ConnectionHandler> Worker::on_open(Connection& connection) {
  return make_first_handler(*context_, connection);
}

std::unique_ptr<DatagramHandler> Worker::make_datagram_handler() {
  return std::make_unique<DatagramService>(*context_);
}

bool Worker::on_turn() {
  server_.clock.tick();
  flush_if_due(*context_);
  return upkeep_.on_turn(*context_);
}

void Worker::on_tick() {
  upkeep_.on_tick();
}

}  // namespace ringcached::server
