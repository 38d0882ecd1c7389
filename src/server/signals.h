// The process's signals, taken by the main thread at a place of its choice instead of in handlers.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include "ringcached/status.h"

namespace ringcached::server {

enum class SignalEvent : std::uint8_t {
  kNone,      // the time is up
  kStop,      // SIGTERM, SIGINT or SIGUSR1, or request_stop(): end orderly
  kStopFast,  // another of these after a stop has begun: end now
  kReload,    // SIGHUP
  kWoken,     // wake(), or the descriptor can be written to
};

// Blocks SIGTERM, SIGINT, SIGUSR1 and SIGHUP for the calling thread and those it starts, and ignores SIGPIPE:
// make it before the first thread, and after Daemon::detach. One per process. wait() belongs to one thread.
class SignalSet {
 public:
  static Result<SignalSet> create();

  SignalSet(SignalSet&& other) noexcept
      : signals_(std::exchange(other.signals_, -1)),
        requests_(std::exchange(other.requests_, -1)),
        wakes_(std::exchange(other.wakes_, -1)),
        stopping_(other.stopping_),
        last_signal_(other.last_signal_) {}
  SignalSet& operator=(SignalSet&&) = delete;
  // The signals stay blocked: a late one must not kill a process that is putting its house in order.
  ~SignalSet();

  // Without `timeout` until something comes. `writable`: a descriptor to look at as well; -1: none.
  SignalEvent wait(std::optional<std::chrono::milliseconds> timeout = std::nullopt, int writable = -1);
  // The signal behind the last event, 0 if it was none.
  int last_signal() const { return last_signal_; }

  // Makes wait() return kStop (or kStopFast), as a signal would. Any thread; async-signal-safe.
  void request_stop() const;
  // Makes wait() return kWoken, once for all calls before it does. Any thread.
  void wake() const;

 private:
  SignalSet(int signals, int requests, int wakes) : signals_(signals), requests_(requests), wakes_(wakes) {}
  SignalEvent stop_event();
  std::optional<SignalEvent> take();

  int signals_;   // signalfd
  int requests_;  // eventfd
  int wakes_;     // another
  bool stopping_ = false;
  int last_signal_ = 0;
};

}  // namespace ringcached::server
