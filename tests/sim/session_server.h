// The server's own sessions and store, for workers over the simulated kernel that a test drives.
#pragma once

#include <memory>
#include <utility>

#include "server/authentication.h"
#include "server/worker.h"
#include "support/fake_clock.h"
#include "support/session_harness.h"

namespace ringcached::testing {

class SessionServer {
 public:
  SessionServer() : store_(std::move(store::Store::create(store_options()).value())) {
    config.udp_clients.push_back(config::parse_ip_network("127.0.0.0/8").value());
    context_ = std::make_unique<server::ServerContext>(config, log_, cache_clock_, *store_);
    context_->network = &network_;
    context_->authentication = &authentication_;
    context_->counters.push_back(std::make_unique<server::WorkerCounters>());
  }
  // Of the only worker.
  std::unique_ptr<WorkerHandler> make_worker() {
    return std::make_unique<server::Worker>(*context_, *context_->counters[0], 0);
  }

  config::Config config;

 private:
  static store::Options store_options() {
    store::Options options;
    options.memory_limit_bytes = std::size_t{4} << 20;
    options.hash_seed = 1;
    return options;
  }

  FakeClock clock_;
  CacheClock cache_clock_{clock_};
  Log log_;
  FakeNetwork network_;
  server::Authentication authentication_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<server::ServerContext> context_;
};

}  // namespace ringcached::testing
