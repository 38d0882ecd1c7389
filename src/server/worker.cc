#include "server/worker.h"

#include <algorithm>

#include "base/topology.h"
#include "server/admin.h"
#include "server/datagram_service.h"
#include "server/negotiation.h"
#include "server/watch_session.h"

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
  report_connection(*context_, connection);
  return make_first_handler(*context_, connection);
}

std::unique_ptr<DatagramHandler> Worker::make_datagram_handler() {
  return std::make_unique<DatagramService>(*context_);
}

void Worker::on_close(Connection& connection, CloseReason reason) {
  report_close(*context_, connection, reason);
}

// A bounded step. True: more of it is waiting.
bool Worker::maintain() {
  if (!maintenance_waiting_) return false;
  const BackgroundFigures before = background_figures(*context_);
  if (before.examined == pass_began_.examined) pass_began_at_ = server_.clock.now();
  maintenance_waiting_ = context_->thread.maintain(server_.clock.now(), kChunksPerStep);
  report_pages_moved(*context_, before);
  if (!maintenance_waiting_) {
    report_pass(*context_, pass_began_, server_.clock.now() - pass_began_at_);
    pass_began_ = background_figures(*context_);
  }
  maintenance_credit_ -= std::min(maintenance_credit_, kChunksPerStep);
  if (maintenance_credit_ == 0) maintenance_waiting_ = false;  // goes on with the next tick
  return maintenance_waiting_;
}

bool Worker::on_turn() {
  server_.clock.tick();
  flush_if_due(*context_);
  const bool maintenance_waiting = maintain();
  return serve_watchers(*context_) || maintenance_waiting;
}

void Worker::on_tick() {
  server_.events.tidy();
  maintenance_credit_ = kChunksPerTick;
  maintenance_waiting_ = server_.config.store.lru_crawler;
}

}  // namespace ringcached::server
