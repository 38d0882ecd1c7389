// One worker: a ring, its receive buffers, any number of connections, and a socket for each UDP address,
// driven turn by turn.
//
//   turn:  wait (one submit_and_wait) -> on_turn_begin -> reap all completions -> dispatch each to its
//   connection
//          -> rounds: every connection with input is shown it, those that yield again and again behind the
//          others
//          -> on_turn -> one send per connection with output -> release ended connections -> return buffers
//          -> on_turn_end
//
// No thread lives here: run_once() is called by the thread that called begin() (network.cc), or by a test
// over a simulated ring.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/slot_pool.h"
#include "net/connection.h"
#include "net/datagram_socket.h"
#include "net/handoff.h"
#include "net/listener.h"
#include "net/moderation.h"
#include "net/ring.h"
#include "net/worker_context.h"
#include "ringcached/network.h"

namespace ringcached::net {

class Worker {
 public:
  // `ring` was created with options.receive_buffers of options.receive_buffer_bytes. `connections` counts
  // those of all workers: the acceptor adds, the worker subtracts. Everything referred to must outlive the
  // worker.
  Worker(unsigned index, const NetworkOptions& options, const Clock& clock,
         std::span<const ListenerInfo> listeners, std::atomic<std::uint32_t>& connections,
         std::unique_ptr<Ring> ring, std::unique_ptr<WorkerHandler> handler,
         std::vector<Listener> datagram_sockets = {});
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // --- The worker's thread.
  // Takes possession of the ring and calls the handler's on_start.
  Status begin();
  // One turn. False when an orderly end is complete: no connection is left and none will come; on_stop was
  // called.
  bool run_once();

  // --- Any thread.
  // Orderly end; `descriptors` were delivered to this worker in all. Call once.
  void request_stop(std::uint64_t descriptors);
  unsigned index() const { return context_.index; }
  HandoffPort port() { return {ring_.get(), &queue_, &context_.counters.connections_closed}; }
  const WorkerCounters& counters() const { return context_.counters; }
  unsigned receive_buffers_free() const { return context_.buffers.with_kernel(); }
  std::uint64_t output_blocks() const { return context_.output.blocks.blocks(); }
  std::uint32_t connection_structures() const { return connections_.built(); }
  // The time of PublishedConnection::Snapshot::receive_tick.
  std::uint32_t tick() const { return tick_.load(std::memory_order_relaxed); }
  template <typename Visit>
  void for_each_published(Visit visit) const {
    connections_.for_each_built([&](const ClientConnection& connection) {
      if (const auto snapshot = connection.published().read()) visit(*snapshot);
    });
  }

  template <typename Visit>
  void for_each_datagram_socket(Visit visit) const {
    for (const auto& socket : datagram_sockets_) visit(*socket);
  }

  // --- For tests, between turns.
  std::uint32_t open_connections() const { return connections_.taken(); }
  std::uint64_t output_blocks_in_use() const {
    return output_blocks() - context_.output.blocks.blocks_free();
  }
  template <typename Visit>
  void for_each_connection(Visit visit) {
    connections_.for_each_taken(visit);
  }

 private:
  bool background_step();
  void submit_and_wait();
  int wait_for_work();
  int wait_as_configured();
  void reap_all();
  void hear_silence();
  void dispatch(const Completion& completion);
  void dispatch_to_connection(const Completion& completion);
  void drop_stale(const Completion& completion);
  void dispatch_to_datagram_socket(const Completion& completion);
  void adopt(AcceptedDescriptor accepted);
  void turn_away(int descriptor);
  void on_wake();
  void on_timer();
  std::uint32_t tick_at(std::uint64_t now_ns);
  std::size_t look_ahead();
  void run_rounds();
  void flush_sends();
  void release_ended();
  void recycle_buffers();
  void stop_step();
  void force_close_all();
  bool datagram_sockets_ended() const;
  void end();

  const Clock& clock_;
  std::atomic<std::uint32_t>& connection_count_;
  std::unique_ptr<Ring> ring_;
  HandoffQueue queue_;
  WorkerContext context_;
  SlotPool<ClientConnection> connections_;
  std::unique_ptr<WorkerHandler> handler_;
  std::unique_ptr<DatagramHandler> datagram_handler_;
  std::vector<std::unique_ptr<DatagramSocket>> datagram_sockets_;  // by number; immutable
  std::vector<Completion> batch_;
  const std::uint64_t start_ns_;
  bool again_ = false;         // on_turn has work left
  bool submit_apart_ = false;  // as on_turn_end wants it
  bool gathering_ = false;     // in the last wait
  std::uint32_t reaped_ = 0;   // since then
  const bool waits_plainly_;   // neither min_wait nor spin is set
  Moderation moderation_;
  std::uint64_t stop_deadline_ns_ = 0;
  std::uint32_t stop_turn_ = 0;
  std::uint32_t ticks_missed_ = 0;
  std::atomic<std::uint32_t> tick_{0};
  static constexpr std::uint64_t kNotStopping = ~std::uint64_t{0};
  std::atomic<std::uint64_t> stop_descriptors_{kNotStopping};
};

}  // namespace ringcached::net
