// The acceptor: one ring with a multishot accept per listener; every accepted descriptor is counted,
// configured and handed to a worker, or refused at the limit.
//
// When descriptors or memory run out, or the limit is reached without refuse_fast, all accepts are cancelled
// and a timer tries again: arming an accept that fails at once would spin.
//
// No thread lives here, as with Worker.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/counter.h"
#include "net/handoff.h"
#include "net/listener.h"
#include "net/ring.h"
#include "net/worker.h"
#include "ringcached/network.h"

namespace ringcached::net {

// One writer, the acceptor; any thread reads.
struct AcceptorCounters {
  Counter total_connections, rejected_connections, accept_errors;
  Counter listen_disabled, time_in_listen_disabled_us;
};

class Acceptor {
 public:
  // `connections` as for Worker. `failed` is told of a listener that cannot go on.
  Acceptor(const NetworkOptions& options, const Clock& clock, std::vector<Listener> listeners,
           std::vector<Worker*> workers, std::atomic<std::uint32_t>& connections, std::unique_ptr<Ring> ring,
           std::function<void(const Status&)> failed);

  // --- The acceptor's thread.
  Status begin();
  // One turn. False when an orderly end is complete: the listeners are closed and the workers were told to
  // stop.
  bool run_once();

  // --- Any thread; async-signal-safe.
  void request_stop();

  // --- Any thread.
  const AcceptorCounters& counters() const { return counters_; }
  std::uint64_t handoff_retries() const { return handoff_.retries(); }
  bool accepting() const { return accepting_.load(std::memory_order_relaxed); }

 private:
  enum class Pause : std::uint8_t { kNone, kLimit, kResources };
  struct Port {
    explicit Port(Listener listener_in) : listener(std::move(listener_in)) {}
    Listener listener;
    bool armed = false;
    bool dead = false;
    unsigned cancels_in_flight = 0;
    unsigned errors_in_row = 0;
  };

  void dispatch(const Completion& completion);
  void on_accept(const Completion& completion);
  void on_accepted(int descriptor, std::uint16_t listener);
  void on_accept_error(int error, Port& port);
  void on_cancel(std::uint32_t listener);
  void on_timer();
  void admit(AcceptedDescriptor accepted);
  void refuse(int descriptor);
  void park(AcceptedDescriptor accepted);
  void tell_of_failure(const Port& port, int error);
  bool at_limit() const;
  void pause(Pause reason);
  void resume();
  void arm_accepts();
  void cancel_accepts();
  void start_timer();
  void stop_begin();
  bool stop_complete();

  const NetworkOptions& options_;
  const Clock& clock_;
  std::atomic<std::uint32_t>& connection_count_;
  std::function<void(const Status&)> failed_;
  std::unique_ptr<Ring> ring_;
  std::vector<Port> ports_;
  std::vector<Worker*> workers_;
  HandoffSender handoff_;
  std::vector<Completion> batch_;
  // Accepted in the moment the limit was reached without refuse_fast; they come first when there is room
  // again.
  std::vector<AcceptedDescriptor> parked_;
  Pause paused_ = Pause::kNone;
  std::uint64_t paused_since_ns_ = 0;
  bool timer_armed_ = false;
  bool stopping_ = false;
  std::atomic<bool> stop_requested_{false};
  std::atomic<bool> accepting_{true};
  AcceptorCounters counters_;
};

}  // namespace ringcached::net
