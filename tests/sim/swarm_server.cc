#include "swarm_server.h"

#include <utility>

#include "base/assert.h"
#include "server/worker.h"

namespace ringcached::testing {

SwarmServer::SwarmServer(const SwarmPlan& plan)
    : SimNetwork(plan.seed, plan.faults, plan.sim, plan.network, plan.completions_per_submission),
      config_(plan.config),
      clock_(world.clock()) {
  auto created = store::Store::create(plan.store);
  RC_CHECK(created.is_ok());
  store_ = std::move(created.value());
  context_ = std::make_unique<server::ServerContext>(config_, log_, clock_, *store_);
  context_->network = this;
  context_->request_stop = [this] { request_stop(); };
  for (unsigned i = 0; i < plan.network.workers; ++i)
    context_->counters.push_back(std::make_unique<server::WorkerCounters>());
  begin([this](unsigned worker) {
    return std::make_unique<server::Worker>(*context_, *context_->counters[worker], 0);
  });
}

SwarmServer::~SwarmServer() {
  destroy_threads();
}

}  // namespace ringcached::testing
