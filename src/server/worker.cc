#include "server/worker.h"

#include <new>

#include "server/admin.h"
#include "server/datagram_service.h"
#include "server/lookahead.h"
#include "server/negotiation.h"
#include "server/trace.h"
#include "server/watch_session.h"

namespace ringcached::server {

void Worker::on_start() {
  context_.emplace(server_, server_.store.attach(node_), counters_);
}

std::unique_ptr<ConnectionHandler> Worker::on_open(Connection& connection) {
  trace_open(*context_, connection);
  report_connection(*context_, connection);
  return make_first_handler(*context_, connection);
}

std::unique_ptr<DatagramHandler> Worker::make_datagram_handler() {
  return std::make_unique<DatagramService>(*context_);
}

void Worker::on_close(Connection& connection, CloseReason reason) {
  try {
    trace_close(*context_, connection);
    report_close(*context_, connection, reason);
  } catch (const std::bad_alloc&) {  // nobody is told, but the connection is closed all the same
  }
}

void Worker::on_lookahead_end() {
  context_->lookahead->end(*context_);
}

void Worker::on_turn_begin() {
  context_->latency.begin_turn();
  // However long the thread has slept, or was kept from running, requests are served by the time they are
  // read.
  server_.clock.tick();
  flush_waiting_ = flush_if_due(*context_);
}

bool Worker::on_turn_end() {
  return context_->latency.end_turn();
}

void Worker::on_submitted() {
  context_->latency.submitted();
}

bool Worker::on_turn() {
  const bool maintenance_waiting = upkeep_.on_turn(*context_);
  return serve_watchers(*context_) || maintenance_waiting || flush_waiting_;
}

void Worker::on_tick() {
  server_.events.tidy();
  upkeep_.on_tick();
}

}  // namespace ringcached::server
