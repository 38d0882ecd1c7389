#include "server/server.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/address_space.h"
#include "base/clock.h"
#include "base/topology.h"
#include "protocol/reply.h"
#include "server/context.h"
#include "server/placement.h"
#include "server/worker.h"
#include "store/store.h"

namespace ringcached::server {
namespace {

NetworkOptions network_options(const config::Config& config, const NodePlacement& placement) {
  NetworkOptions options;
  options.listeners = config.listeners;
  options.workers = config.threads.workers;
  options.pin_workers = config.threads.pin;
  options.worker_cpus = placement.worker_cpus;
  options.worker_nodes = placement.memory_nodes;
  options.handoff = config.io.handoff;
  options.placement = config.threads.placement;
  options.io_backend = config.io.backend;
  options.io_level = config.io.level;
  options.connections_max = static_cast<unsigned>(config.network.connections_max);
  options.refuse_fast = config.network.refuse_fast;
  options.refusal_line = protocol::reply::kTooManyConnections;
  options.listen_backlog = config.network.backlog;
  options.congestion_control = config.network.congestion_control;
  options.idle_timeout = std::chrono::seconds(config.network.idle_timeout_s);
  options.output_high_water = config.network.output_high_water_bytes;
  options.output_low_water = config.network.output_low_water_bytes;
  options.ring_entries = config.io.ring_entries;
  options.receive_buffers = config.io.receive_buffers;
  options.receive_buffer_bytes = static_cast<unsigned>(config.io.receive_buffer_bytes);
  options.min_wait = std::chrono::microseconds(config.io.min_wait_us);
  options.spin = std::chrono::microseconds(config.io.spin_us);
  options.stop_deadline = std::chrono::milliseconds(config.network.stop_deadline_ms);
  return options;
}

store::LargePages large_pages(const config::MemoryConfig& memory) {
  if (!memory.large_pages) {
    return memory.transparent_huge_pages ? store::LargePages::kAhead : store::LargePages::kNone;
  }
  return memory.large_page_kind == config::LargePageKind::kExplicit ? store::LargePages::kExplicit
                                                                    : store::LargePages::kTransparent;
}

store::Options store_options(const config::Config& config, const NodePlacement& placement, unsigned threads) {
  store::Options options;
  options.memory_limit_bytes = config.memory.limit_bytes;
  // cache_memlimit may go up to all there is. Reserving costs address space only; where that is limited, the
  // greater part of it is left to everything else, for the index takes its share as well.
  const auto physical =
      static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  options.memory_reserve_bytes =
      std::min(std::max<std::size_t>(physical, 4 * options.memory_limit_bytes), address_space_limit() / 4);
  options.item_bytes_max = config.memory.item_size_max_bytes;
  options.threads = threads;
  options.evict = config.store.evictions_enabled;
  options.cas = config.store.cas_enabled;
  options.lru = config.store.eviction == config::Eviction::kLru;
  if (config.store.hash_power_init != 0) options.index_power_initial = config.store.hash_power_init;
  options.large_pages = large_pages(config.memory);
  options.nodes = placement.nodes_of(threads);
  options.slab_reassign = config.store.slab_reassign;
  options.slab_automove = config.store.slab_automove != 0;
  options.slab_automove_ratio = config.store.slab_automove_ratio;
  options.slab_automove_window = config.store.slab_automove_window;
  options.memory_ahead = true;
  return options;
}

class ServerImpl final : public Server, private NetworkHandler {
 public:
  ServerImpl(const config::Config& config, Log& log, Authentication& authentication)
      : config_(config), log_(log), authentication_(authentication), clock_(system_clock()) {}

  Status build(std::function<void()> request_stop) {
    placement_ = place_workers(config_.threads, cpu_sites(allowed_cpus()));
    auto network = Network::create(network_options(config_, placement_), *this);
    if (!network) return network.status();
    network_ = std::move(network.value());
    auto items = store::Store::create(store_options(config_, placement_, network_->workers()));
    if (!items) return items.status();
    store_ = std::move(items.value());
    for (const Status& refusal : store_->refusals()) {
      log_.write(LogLevel::kError, "warning: " + refusal.message() + "; going on without");
    }
    context_ = std::make_unique<ServerContext>(config_, log_, clock_, *store_);
    context_->network = network_.get();
    authentication_.set_workers(network_->workers());
    context_->authentication = &authentication_;
    context_->request_stop = std::move(request_stop);
    for (unsigned i = 0; i < network_->workers(); ++i) {
      context_->counters.push_back(std::make_unique<WorkerCounters>());
    }
    return Status::ok();
  }

  Status start() override { return network_->start(); }
  void stop() override { network_->stop(); }
  void join() override { network_->join(); }
  Network& network() override { return *network_; }
  void reload(const config::Config& config) override {
    context_->latency.set_mode(config.stats.latency_histograms);
  }

 private:
  std::unique_ptr<WorkerHandler> make_worker(unsigned worker) override {
    return std::make_unique<Worker>(*context_, *context_->counters[worker], placement_.node_of(worker));
  }

  const config::Config& config_;
  Log& log_;
  Authentication& authentication_;
  CacheClock clock_;
  NodePlacement placement_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<ServerContext> context_;
  std::unique_ptr<Network> network_;  // last: its connections hold pins into the store
};

}  // namespace

Result<std::unique_ptr<Server>> Server::create(const config::Config& config, Log& log,
                                               Authentication& authentication,
                                               std::function<void()> request_stop) {
  auto server = std::make_unique<ServerImpl>(config, log, authentication);
  if (Status status = server->build(std::move(request_stop)); !status) return status;
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace ringcached::server
