#include "support/session_harness.h"

#include <algorithm>

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
  context_->request_stop = [this] { stop_requested = true; };
  context_->counters.push_back(std::make_unique<server::WorkerCounters>());
  worker_ = std::make_unique<server::WorkerContext>(*context_, store_->attach(), *context_->counters[0]);
  reconnect();
}

void SessionHarness::reconnect() {
  session_.reset();
  connection_ = std::make_unique<FakeConnection>();
  session_ = std::make_unique<server::Session>(*worker_);
  unconsumed_.clear();
  closed_ = false;
}

void SessionHarness::drain(std::string& received) {
  while (!closed_ && !unconsumed_.empty()) {
    const Consumed consumed = session_->on_data(*connection_, unconsumed_);
    RC_CHECK(consumed.bytes <= unconsumed_.size());
    unconsumed_.erase(0, consumed.bytes);
    received += connection_->take_output();
    closed_ = consumed.next == Next::kClose;
    if (consumed.next == Next::kYield) ++yields_;
    if (consumed.next == Next::kReceive) return;
  }
}

std::string SessionHarness::feed(std::string_view input, std::size_t piece_bytes) {
  std::string received;
  while (!input.empty() && !closed_) {
    const std::size_t piece = std::min(piece_bytes, input.size());
    unconsumed_.append(input.substr(0, piece));
    input.remove_prefix(piece);
    drain(received);
  }
  return received;
}

}  // namespace ringcached::testing
