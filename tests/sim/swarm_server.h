// The server's own workers, sessions and store over the simulated network.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/log.h"
#include "server/context.h"
#include "sim_network.h"
#include "store/store.h"
#include "swarm_plan.h"

namespace ringcached::testing {

class SwarmServer : public SimNetwork {
 public:
  explicit SwarmServer(const SwarmPlan& plan);
  ~SwarmServer() override;

  store::Store& items() { return *store_; }

 private:
  config::Config config_;
  Log log_;
  CacheClock clock_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<server::ServerContext> context_;
};

}  // namespace ringcached::testing
