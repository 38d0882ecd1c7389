// A client's handlers over a real store, without sockets: bytes in, bytes out, in any fragmentation.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "config/config.h"
#include "net/send_queue.h"
#include "server/admin.h"
#include "server/authentication.h"
#include "server/negotiation.h"
#include "support/fake_clock.h"

namespace ringcached::testing {

// Answers what `stats` asks of an engine.
class FakeNetwork final : public Network {
 public:
  Status start() override { return Status::ok(); }
  void stop() override {}
  void join() override {}
  unsigned workers() const override { return 1; }
  Status io_fallback() const override { return Status::ok(); }
  Status min_wait_fallback() const override { return Status::ok(); }
  NetworkStats stats() const override {
    return {.bytes_read = 1234,
            .receive_buffers = 256,
            .receive_buffer_bytes = 256 * 16384,
            .workers = {
                {.current_connections = 3, .total_connections = 8, .bytes_read = 1234, .bytes_written = 99},
                {.current_connections = 1, .total_connections = 2}}};
  }
  std::vector<ConnectionInfo> connections() const override {
    return {
        {.descriptor = 7, .peer = "tcp:127.0.0.1:1", .listener = "tcp:127.0.0.1:2", .state = "conn_read"}};
  }
  std::vector<ListenAddress> bound() const override { return {}; }
};

class FakeConnection final : public Connection {
 public:
  FakeConnection() { queue_.bind(pool_); }
  ~FakeConnection() {
    queue_.clear();
    queue_.unlink();
  }

  Output& output() override { return queue_; }
  unsigned worker() const override { return 0; }
  int descriptor() const override { return 7; }
  std::string peer_name() const override { return "tcp:127.0.0.1:1"; }
  std::string listener_name() const override { return "tcp:127.0.0.1:2"; }
  bool is_unix() const override { return false; }
  unsigned listener_tag() const override { return listener_tag_; }
  void become_watcher() override { watcher_ = true; }
  bool others_waiting() const override { return others_waiting_; }
  bool output_blocked() const override { return queue_.unsent() > high_water_; }

  // What a client would receive now.
  std::string take_output();

  bool others_waiting_ = false;
  unsigned listener_tag_ = 0;
  bool watcher_ = false;
  std::size_t high_water_ = std::size_t{1} << 20;
  std::size_t unsent_most = 0;

 private:
  net::OutputPool pool_;
  net::SendQueue queue_;
};

// For what is too large to be stored: items of up to 1 KiB.
inline store::Options small_items() {
  store::Options options;
  options.item_bytes_max = 1024;
  return options;
}

class SessionHarness {
 public:
  // Password files that `config` names must be there and correct.
  explicit SessionHarness(const store::Options& options = {}, const config::Config& config = {});

  // A new client, by a listener with this tag. The store stays.
  void reconnect(unsigned listener_tag = 0);
  // Feeds `input` in pieces of at most `piece_bytes`, keeping unconsumed bytes as the engine does; returns
  // all output.
  std::string feed(std::string_view input, std::size_t piece_bytes = ~std::size_t{0});
  bool closed() const { return closed_; }
  // Closed because the client broke the protocol.
  bool rejected() const { return rejected_; }
  unsigned yields() const { return yields_; }

  FakeConnection& connection() { return *connection_; }
  store::Store& store() { return *store_; }
  FakeClock& clock() { return clock_; }
  CacheClock& cache_clock() { return cache_clock_; }
  server::WorkerContext& worker() { return *worker_; }
  server::ServerContext& server() { return *context_; }
  server::Authentication& authentication() { return authentication_; }
  bool stop_requested = false;
  // As the engine does it when a handler wants it; else the bytes are shown to the handler.
  bool receives_direct = true;
  unsigned received_direct = 0;

 private:
  std::size_t place(std::string_view input);
  void drain(std::string& received);
  Next step();

  FakeClock clock_;
  CacheClock cache_clock_{clock_};
  Log log_;
  config::Config config_;
  server::Authentication authentication_;
  FakeNetwork network_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<server::ServerContext> context_;
  std::unique_ptr<server::WorkerContext> worker_;
  std::unique_ptr<FakeConnection> connection_;
  std::unique_ptr<ConnectionHandler> handler_;
  std::string unconsumed_;
  bool closed_ = false;
  bool rejected_ = false;
  bool producing_ = false;
  bool direct_ = false;
  unsigned yields_ = 0;
};

}  // namespace ringcached::testing
