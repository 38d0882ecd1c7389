#include "server/worker.h"

#include <algorithm>

#include "base/topology.h"
#include "server/admin.h"
#include "server/datagram_service.h"
#include "server/negotiation.h"

namespace ringcached::server {
namespace {

// Background work is cut into steps far below a millisecond, and bounded per tick (a quarter of a second), so
// that giving a million expired items back takes seconds at a few percent of a core, and delays nobody.
constexpr std::size_t kChunksPerStep = 256;
constexpr std::size_t kChunksPerTick = 128 * 1024;

}  // namespace

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
  if (!maintenance_waiting_) return false;
  maintenance_waiting_ = context_->thread.maintain(server_.clock.now(), kChunksPerStep);
  maintenance_credit_ -= std::min(maintenance_credit_, kChunksPerStep);
  if (maintenance_credit_ == 0) maintenance_waiting_ = false;  // goes on with the next tick
  return maintenance_waiting_;
}

void Worker::on_tick() {
  maintenance_credit_ = kChunksPerTick;
  maintenance_waiting_ = server_.config.store.lru_crawler;
}

}  // namespace ringcached::server
