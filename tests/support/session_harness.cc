#include "support/session_harness.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace ringcached::testing {

std::string FakeConnection::take_output() {
  std::string bytes;
  unsent_most = std::max(unsent_most, queue_.unsent());
  while (queue_.unsent() > 0) {
    const net::SendQueue::Batch batch = queue_.begin();
    if (batch.message == nullptr) {
      bytes.append(batch.plain.data(), batch.plain.size());
    } else {
      for (std::size_t i = 0; i < batch.message->msg_iovlen; ++i) {
        const iovec& piece = batch.message->msg_iov[i];
        bytes.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
      }
    }
    queue_.complete(batch.bytes);
  }
  return bytes;
}

SessionHarness::SessionHarness(const store::Options& options, const config::Config& config)
    : config_(config) {
  auto created = store::Store::create(options);
  RC_CHECK(created.is_ok());
  store_ = std::move(created.value());
  context_ = std::make_unique<server::ServerContext>(config_, log_, cache_clock_, *store_);
  context_->network = &network_;
  auto authentication = server::Authentication::open(config_, log_);
  RC_CHECK(authentication.is_ok());
  authentication_ = std::move(authentication.value());
  authentication_.set_workers(1);
  context_->authentication = &authentication_;
  context_->request_stop = [this] { stop_requested = true; };
  context_->counters.push_back(std::make_unique<server::WorkerCounters>());
  worker_ = std::make_unique<server::WorkerContext>(*context_, store_->attach(), *context_->counters[0]);
  reconnect();
}

void SessionHarness::reconnect(unsigned listener_tag) {
  handler_.reset();
  connection_ = std::make_unique<FakeConnection>();
  connection_->listener_tag_ = listener_tag;
  handler_ = server::make_first_handler(*worker_, *connection_);
  producing_ = direct_ = false;
  unconsumed_.clear();
  closed_ = false;
}

void SessionHarness::drain(std::string& received) {
  while (!closed_ && (producing_ || !unconsumed_.empty())) {
    const bool produced = producing_;
    const Next next = step();
    received += connection_->take_output();
    closed_ = next == Next::kClose || next == Next::kReject;
    rejected_ = next == Next::kReject;
    producing_ = next == Next::kProduce;
    if (next == Next::kYield) ++yields_;
    direct_ = next == Next::kReceiveDirect;
    if ((next == Next::kReceive || direct_) && !produced) return;
  }
}

// One call of the engine, and those that follow from it.
Next SessionHarness::step() {
  Next next;
  if (producing_) {
    next = handler_->on_produce(*connection_);
  } else {
    const Consumed consumed = handler_->on_data(*connection_, unconsumed_);
    RC_CHECK(consumed.bytes <= unconsumed_.size());
    unconsumed_.erase(0, consumed.bytes);
    next = consumed.next;
  }
  while (next == Next::kHandOver) {
    std::unique_ptr<ConnectionHandler> successor = handler_->successor();
    RC_CHECK(successor != nullptr);
    handler_ = std::move(successor);
    next = handler_->on_begin(*connection_);
    // As in the engine, what is left is shown to it; any answer but kReceive does that here.
    if (next == Next::kReceive) next = Next::kBlocked;
  }
  return next;
}

// Into the memory of a handler that wants it so; the bytes that went there.
std::size_t SessionHarness::place(std::string_view input) {
  if (!direct_ || !receives_direct || !unconsumed_.empty()) return 0;
  std::size_t placed = 0;
  for (const MemoryPiece& piece : handler_->direct_room()) {
    RC_CHECK(piece.bytes > 0);
    const std::size_t part = std::min(piece.bytes, input.size() - placed);
    std::memcpy(piece.data, input.data() + placed, part);
    placed += part;
  }
  if (placed == 0) return 0;
  ++received_direct;
  handler_->on_direct_bytes(placed);
  const Next next = handler_->on_direct(*connection_);
  RC_CHECK(next == Next::kReceive || next == Next::kReceiveDirect || next == Next::kBlocked);
  direct_ = next == Next::kReceiveDirect;
  return placed;
}

std::string SessionHarness::feed(std::string_view input, std::size_t piece_bytes) {
  std::string received;
  while (!input.empty() && !closed_) {
    const std::size_t piece = std::min(piece_bytes, input.size());
    if (const std::size_t placed = place(input.substr(0, piece)); placed > 0) {
      received += connection_->take_output();
      input.remove_prefix(placed);
      continue;
    }
    unconsumed_.append(input.substr(0, piece));
    input.remove_prefix(piece);
    drain(received);
  }
  return received;
}

}  // namespace ringcached::testing
