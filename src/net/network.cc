// The public Network: owns the listeners, one acceptor and the workers, and gives each its thread.
//
//   caller's thread: create (bind, rings), start (threads), stop, join, stats, connections
//   acceptor thread: Acceptor::begin, run_once until it ends    (tells the workers to stop as its last act)
//   worker threads:  Worker::begin, run_once until it ends
#include "ringcached/network.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "base/address_space.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/node_memory.h"
#include "base/topology.h"
#include "net/acceptor.h"
#include "net/listener.h"
#include "net/ring_epoll.h"
#include "net/ring_uring.h"
#include "net/worker.h"

namespace ringcached::net {
namespace {

constexpr unsigned kWorkersMax = 1024;
constexpr unsigned kConnectionsMax = 16'000'000;    // each worker has a directory for so many
constexpr unsigned kReceiveBuffersMax = 32768;      // the kernel's limit of a buffer ring
constexpr unsigned kDatagramBufferBytesMin = 2048;  // what an Ethernet frame carries, and the overhead
constexpr unsigned kCompletionsPerSubmission = 8;
constexpr unsigned kAcceptorSubmissions = 256;
constexpr std::chrono::seconds kWaitMax{1};  // of min_wait and spin

Status invalid(const std::string& what) {
  return {StatusCode::kInvalidArgument, "network options: " + what};
}

Status check(const NetworkOptions& options) {
  if (options.listeners.empty()) return invalid("at least one listener is needed");
  if (options.listeners.size() > 1024) return invalid("at most 1024 listeners");
  if (options.workers > kWorkersMax) return invalid("workers must be at most 1024");
  if (options.connections_max == 0 || options.connections_max > kConnectionsMax) {
    return invalid("connections_max must be 1 to 16000000");
  }
  if (!std::has_single_bit(options.receive_buffers) || options.receive_buffers > kReceiveBuffersMax) {
    return invalid("receive_buffers must be a power of two of at most 32768");
  }
  if (options.receive_buffer_bytes < 64 || options.receive_buffer_bytes > (1U << 30)) {
    return invalid("receive_buffer_bytes must be 64 to 1 GiB");
  }
  const auto is_datagram = [](const ListenAddress& address) {
    return address.kind == ListenAddress::Kind::kUdp;
  };
  if (options.receive_buffer_bytes < kDatagramBufferBytesMin &&
      std::ranges::any_of(options.listeners, is_datagram)) {
    return invalid("receive_buffer_bytes must be at least 2048 with UDP");
  }
  if (options.output_low_water > options.output_high_water)
    return invalid("output_low_water is above output_high_water");
  if (options.tick.count() < 1) return invalid("tick must be at least 1 ms");
  for (const std::chrono::microseconds wait : {options.min_wait, options.spin}) {
    if (wait.count() < 0 || wait > kWaitMax) return invalid("min_wait and spin must be 0 to 1 s");
  }
  if (options.ring_entries == 0) return invalid("ring_entries must be at least 1");
  return {};
}

// Lets the starting thread wait until each of the others has begun or failed.
class StartGate {
 public:
  void report(const Status& status) {
    const std::lock_guard guard(mutex_);
    ++reported_;
    if (!status && status_) status_ = status;
    changed_.notify_one();
  }
  // The first failure of the first `count` reports.
  Status wait(unsigned count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return reported_ >= count; });
    return status_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned reported_ = 0;
  Status status_;
};

// Only while starting may the lack of memory be the end. The word for it needs none. Heaps give a thread
// memory of its own when it first asks: one that can have none would fail with its first client, so it asks
// here.
template <typename Step>
auto with_memory_to_start(Step step) -> decltype(step()) {
  try {
    ::operator delete(::operator new(1));
    return step();
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kOutOfMemory, "out of memory");
  } catch (const std::system_error& error) {
    return Status(StatusCode::kUnavailable, std::string("cannot start a thread: ") + error.what());
  }
}

// Signals are for the threads of the program, not for these.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

// A limit of threads (ulimit -u, a control group) is the operator's to raise, not a reason to abort.
template <typename Run>
Status start_thread(std::vector<std::thread>& threads, Run run) {
  try {
    threads.emplace_back(std::move(run));
  } catch (const std::system_error& error) {
    return {StatusCode::kUnavailable, "cannot start a thread: " + error.code().message() +
                                          "; raise the limit (ulimit -u, LimitNPROC=, TasksMax=), or use "
                                          "fewer workers (-t, threads.workers)" +
                                          address_space_remedy()};
  }
  return {};
}

class NetworkImplementation final : public Network {
 public:
  NetworkImplementation(const NetworkOptions& options, NetworkHandler& handler)
      : options_(options), handler_(handler) {}
  ~NetworkImplementation() override {
    stop();
    join();
  }

  Status create();
  Status start() override;
  void stop() override;
  void join() override;
  unsigned workers() const override { return options_.workers; }
  Status io_fallback() const override { return io_fallback_; }
  Status min_wait_fallback() const override { return min_wait_fallback_; }
  NetworkStats stats() const override;
  std::vector<ConnectionInfo> connections() const override;
  std::vector<ListenAddress> bound() const override { return bound_; }

 private:
  using MakeRing = std::function<Result<std::unique_ptr<Ring>>(const RingOptions&)>;
  Status create_rings();
  Status create_urings();
  Status create_rings_by(const MakeRing& make);
  Status start_workers(StartGate& gate);
  Status start_acceptor(StartGate& gate);
  std::vector<unsigned> cpus_of(unsigned worker) const;
  void run_worker(Worker& worker, StartGate& gate);
  void run_acceptor(StartGate& gate);
  void stop_workers_directly();

  NetworkOptions options_;  // after create() with what was chosen instead of the automatic values
  NetworkHandler& handler_;
  Status io_fallback_, min_wait_fallback_;
  bool kernel_gathers_ = false;
  std::vector<Listener> listeners_;         // until start() gives them to the acceptor
  std::vector<Listener> datagram_sockets_;  // of each address one for each worker; until start()
  std::vector<ListenerInfo> listener_infos_;
  std::vector<ListenAddress> bound_;
  std::vector<std::unique_ptr<Ring>> worker_rings_;  // until start()
  std::unique_ptr<Ring> acceptor_ring_;
  std::atomic<std::uint32_t> connection_count_{0};
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Acceptor> acceptor_;
  // For stop(), which a signal handler may call at any time.
  std::atomic<Acceptor*> running_acceptor_{nullptr};
  std::atomic<bool> stop_requested_{false};
  // Set once the objects that stats() and connections() look at are complete.
  std::atomic<bool> serving_{false};
  bool started_ = false;
  std::vector<std::thread> threads_;
};

Status NetworkImplementation::create() {
  Status status = check(options_);
  if (!status) return status;
  if (options_.workers == 0) {
    options_.workers = std::min(static_cast<unsigned>(allowed_cpus().size()), kWorkersMax);
  }
  auto listeners = open_listeners(options_.listeners, {options_.listen_backlog, options_.congestion_control});
  if (!listeners) return listeners.status();
  listeners_ = std::move(listeners.value());
  for (const Listener& listener : listeners_) {
    listener_infos_.push_back(listener.info());
    bound_.push_back(listener.bound());
  }
  auto sockets = open_datagram_sockets(options_.listeners, options_.workers);
  if (!sockets) return sockets.status();
  datagram_sockets_ = std::move(sockets.value());
  for (std::size_t i = 0; i < datagram_sockets_.size(); i += options_.workers) {
    bound_.push_back(datagram_sockets_[i].bound());
  }
  return create_rings();
}

Status NetworkImplementation::create_rings() {
  if (options_.io_backend != IoBackend::kEpoll) {
    Status status = create_urings();
    if (status || options_.io_backend == IoBackend::kUring) {
      options_.io_backend = IoBackend::kUring;
      return status;
    }
    io_fallback_ = std::move(status);
    options_.io_backend = IoBackend::kEpoll;
  }
  return create_rings_by(create_epoll_ring);
}

Status NetworkImplementation::create_urings() {
  Features features = probe_features(options_.io_level);
  if (!features.available) return features.reason;
  if (options_.min_wait.count() != 0) {
    min_wait_fallback_ = verify_min_wait(features);
    kernel_gathers_ = features.min_wait;
  }
  return create_rings_by([&](const RingOptions& sizes) { return create_uring(sizes, features); });
}

Status NetworkImplementation::create_rings_by(const MakeRing& make) {
  RingOptions ring_options;
  ring_options.submission_entries = options_.ring_entries;
  ring_options.completion_entries = options_.ring_entries * kCompletionsPerSubmission;
  ring_options.receive_buffers = options_.receive_buffers;
  ring_options.receive_buffer_bytes = options_.receive_buffer_bytes;
  worker_rings_.clear();
  for (unsigned i = 0; i < options_.workers; ++i) {
    std::optional<NodePreference> preference;
    if (!options_.worker_nodes.empty()) {
      preference.emplace(options_.worker_nodes[i % options_.worker_nodes.size()]);
    }
    auto ring = make(ring_options);
    if (!ring) return ring.status();
    worker_rings_.push_back(std::move(ring.value()));
  }
  ring_options.submission_entries = std::min(options_.ring_entries, kAcceptorSubmissions);
  ring_options.completion_entries = ring_options.submission_entries * kCompletionsPerSubmission;
  ring_options.receive_buffers = 0;
  auto ring = make(ring_options);
  if (!ring) return ring.status();
  acceptor_ring_ = std::move(ring.value());
  return {};
}

Status NetworkImplementation::start() {
  RC_CHECK(!started_);
  started_ = true;
  StartGate gate;
  Status status = with_memory_to_start([&]() -> Status {
    if (Status begun = start_workers(gate); !begun) return begun;
    return start_acceptor(gate);
  });
  if (!status) {
    stop_workers_directly();
    return status;
  }
  running_acceptor_.store(acceptor_.get());
  if (stop_requested_.load()) acceptor_->request_stop();
  return {};
}

Status NetworkImplementation::start_acceptor(StartGate& gate) {
  std::vector<Worker*> workers;
  for (const auto& worker : workers_) workers.push_back(worker.get());
  acceptor_ = std::make_unique<Acceptor>(options_, system_clock(), std::move(listeners_), std::move(workers),
                                         connection_count_, std::move(acceptor_ring_),
                                         [this](const Status& failure) { handler_.on_failure(failure); });
  listeners_.clear();
  serving_.store(true, std::memory_order_release);
  Status started = start_thread(threads_, [this, &gate] { run_acceptor(gate); });
  if (!started) return started;
  return gate.wait(options_.workers + 1);
}

Status NetworkImplementation::start_workers(StartGate& gate) {
  for (unsigned i = 0; i < options_.workers; ++i) {
    auto handler = handler_.make_worker(i);
    if (handler == nullptr) return {StatusCode::kInternal, "the handler made no worker"};
    std::vector<Listener> sockets;
    for (std::size_t j = i; j < datagram_sockets_.size(); j += options_.workers) {
      sockets.push_back(std::move(datagram_sockets_[j]));
    }
    workers_.push_back(std::make_unique<Worker>(i, options_, system_clock(), listener_infos_,
                                                connection_count_, std::move(worker_rings_[i]),
                                                std::move(handler), std::move(sockets)));
  }
  worker_rings_.clear();
  datagram_sockets_.clear();
  for (const auto& worker : workers_) {
    Status status = start_thread(threads_, [this, &its = *worker, &gate] { run_worker(its, gate); });
    if (!status) return status;
  }
  return gate.wait(options_.workers);
}

// Empty: wherever the process may run.
std::vector<unsigned> NetworkImplementation::cpus_of(unsigned worker) const {
  if (!options_.worker_cpus.empty()) return options_.worker_cpus[worker % options_.worker_cpus.size()];
  if (!options_.pin_workers) return {};
  const std::vector<unsigned> allowed = allowed_cpus();
  return {allowed[worker % allowed.size()]};
}

void NetworkImplementation::run_worker(Worker& worker, StartGate& gate) {
  block_signals();
  const Status status = with_memory_to_start([&]() -> Status {
    const std::string name = "rc-worker-" + std::to_string(worker.index());
    pthread_setname_np(pthread_self(), name.c_str());
    const std::vector<unsigned> cpus = cpus_of(worker.index());
    const Status pinned = cpus.empty() ? Status() : pin_this_thread(cpus);
    return pinned ? worker.begin() : pinned;
  });
  const bool began = status.is_ok();
  gate.report(status);
  if (!began) return;
  while (worker.run_once()) {
  }
}

void NetworkImplementation::run_acceptor(StartGate& gate) {
  block_signals();
  pthread_setname_np(pthread_self(), "rc-acceptor");
  const Status status = with_memory_to_start([&] { return acceptor_->begin(); });
  const bool began = status.is_ok();
  gate.report(status);
  if (!began) return;
  while (acceptor_->run_once()) {
  }
}

// No acceptor runs that could do it.
void NetworkImplementation::stop_workers_directly() {
  for (const auto& worker : workers_) worker->request_stop(0);
  join();
}

void NetworkImplementation::stop() {
  stop_requested_.store(true);
  if (Acceptor* acceptor = running_acceptor_.load()) acceptor->request_stop();
}

void NetworkImplementation::join() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

NetworkStats NetworkImplementation::stats() const {
  NetworkStats stats;
  stats.io_backend = options_.io_backend;
  stats.kernel_gathers = kernel_gathers_;
  if (!serving_.load(std::memory_order_acquire)) return stats;
  for (const auto& worker : workers_) {
    const WorkerCounters& counters = worker->counters();
    WorkerStats share;
    const std::uint64_t closed =
        counters.connections_closed.get();  // first, so that it is not the larger one
    share.total_connections = counters.connections_opened.get();
    share.current_connections = share.total_connections - closed;
    share.bytes_read = counters.bytes_read.get();
    share.bytes_written = counters.bytes_written.get();
    stats.workers.push_back(share);
    stats.connection_structures += worker->connection_structures();
    stats.bytes_read += share.bytes_read;
    stats.bytes_written += share.bytes_written;
    stats.yields += counters.yields.get();
    stats.idle_kicks += counters.idle_kicks.get();
    stats.waits += counters.waits.get();
    stats.waits_gathering += counters.waits_gathering.get();
    stats.completions_gathered += counters.completions_gathered.get();
    stats.waits_spinning += counters.waits_spinning.get();
    stats.spins_successful += counters.spins_successful.get();
    stats.connections_out_of_memory += counters.out_of_memory.get();
    stats.receive_buffers_exhausted += counters.receive_buffers_exhausted.get();
    stats.receives_paused += counters.receives_paused.get();
    stats.receives_renewed += counters.receives_renewed.get();
    stats.sends_short += counters.sends_short.get();
    stats.stale_completions += counters.stale_completions.get();
    stats.receive_buffers_free += worker->receive_buffers_free();
    stats.output_blocks += worker->output_blocks();
    stats.datagrams_received += counters.datagrams_received.get();
    stats.datagrams_sent += counters.datagrams_sent.get();
    stats.datagrams_malformed += counters.datagrams_malformed.get();
    stats.datagram_replies_dropped += counters.datagram_replies_dropped.get();
    stats.datagram_send_errors += counters.datagram_send_errors.get();
  }
  const AcceptorCounters& counters = acceptor_->counters();
  stats.current_connections = connection_count_.load(std::memory_order_relaxed);
  stats.total_connections = counters.total_connections.get();
  stats.rejected_connections = counters.rejected_connections.get();
  stats.accept_errors = counters.accept_errors.get();
  stats.listen_disabled = counters.listen_disabled.get();
  stats.time_in_listen_disabled_us = counters.time_in_listen_disabled_us.get();
  stats.accepting = acceptor_->accepting();
  stats.handoff_retries = acceptor_->handoff_retries();
  stats.receive_buffers = std::uint64_t{options_.receive_buffers} * options_.workers;
  stats.receive_buffer_bytes = stats.receive_buffers * options_.receive_buffer_bytes;
  stats.output_block_bytes = stats.output_blocks * OutputBlockPool::kAllocationBytes;
  return stats;
}

const char* state_name(PublishedConnection::State state) {
  switch (state) {
    case PublishedConnection::State::kRead:
      return "conn_read";
    case PublishedConnection::State::kParse:
      return "conn_parse_cmd";
    case PublishedConnection::State::kWrite:
      return "conn_mwrite";
    case PublishedConnection::State::kWatch:
      return "conn_watch";
    case PublishedConnection::State::kClosing:
      break;
  }
  return "conn_closing";
}

std::vector<ConnectionInfo> NetworkImplementation::connections() const {
  std::vector<ConnectionInfo> infos;
  if (!serving_.load(std::memory_order_acquire)) return infos;
  for (const ListenerInfo& listener : listener_infos_) {
    ConnectionInfo info;
    info.descriptor = listener.descriptor;
    info.peer = info.listener = listener.name;
    info.is_listener = true;
    info.state = "conn_listening";
    infos.push_back(std::move(info));
  }
  const auto idle_seconds = [this](std::uint32_t now, std::uint32_t then) {
    const std::uint32_t ticks = now > then ? now - then : 0;
    const auto idle = std::chrono::duration_cast<std::chrono::seconds>(ticks * options_.tick);
    return static_cast<std::uint64_t>(idle.count());
  };
  for (const auto& worker : workers_) {
    worker->for_each_datagram_socket([&](const DatagramSocket& socket) {
      ConnectionInfo info;
      info.descriptor = socket.info().descriptor;
      info.peer = info.listener = socket.info().name;
      info.is_datagram = true;
      info.state = state_name(PublishedConnection::State::kRead);
      info.worker = worker->index();
      info.idle_seconds = idle_seconds(worker->tick(), socket.receive_tick());
      infos.push_back(std::move(info));
    });
  }
  for (const auto& worker : workers_) {
    const std::uint32_t tick = worker->tick();
    worker->for_each_published([&](const PublishedConnection::Snapshot& snapshot) {
      const ListenerInfo& listener = listener_infos_[snapshot.listener];
      ConnectionInfo info;
      info.descriptor = snapshot.descriptor;
      info.peer = snapshot.peer.name(listener.path);
      info.listener = listener.name;
      info.state = state_name(snapshot.state);
      info.worker = worker->index();
      info.idle_seconds = idle_seconds(tick, snapshot.receive_tick);
      infos.push_back(std::move(info));
    });
  }
  return infos;
}

}  // namespace
}  // namespace ringcached::net

namespace ringcached {

Result<std::unique_ptr<Network>> Network::create(const NetworkOptions& options, NetworkHandler& handler) {
  return net::with_memory_to_start([&]() -> Result<std::unique_ptr<Network>> {
    auto network = std::make_unique<net::NetworkImplementation>(options, handler);
    if (Status status = network->create(); !status) return status;
    return std::unique_ptr<Network>(std::move(network));
  });
}

}  // namespace ringcached
