#include "net/acceptor.h"

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "base/assert.h"

namespace ringcached::net {
namespace {

constexpr std::size_t kBatch = 64;
// memcached's interval for looking whether it may accept again.
constexpr std::chrono::milliseconds kRetryInterval{10};
// An error that repeats so often without a success is treated as a shortage, lest the loop spin on it.
constexpr unsigned kErrorsInRowMax = 16;

std::vector<HandoffPort> ports_of(const std::vector<Worker*>& workers) {
  std::vector<HandoffPort> ports;
  ports.reserve(workers.size());
  for (Worker* worker : workers) ports.push_back(worker->port());
  return ports;
}

}  // namespace

Acceptor::Acceptor(const NetworkOptions& options, const Clock& clock, std::vector<Listener> listeners,
                   std::vector<Worker*> workers, std::atomic<std::uint32_t>& connections,
                   std::unique_ptr<Ring> ring, std::function<void(const Status&)> failed)
    : options_(options),
      clock_(clock),
      connection_count_(connections),
      failed_(std::move(failed)),
      ring_(std::move(ring)),
      workers_(std::move(workers)),
      handoff_(*ring_, options.handoff, options.placement, ports_of(workers_)),
      batch_(kBatch) {
  ports_.reserve(listeners.size());
  for (Listener& listener : listeners) ports_.emplace_back(std::move(listener));
}

Status Acceptor::begin() {
  Status status = ring_->enable();
  if (!status) return status;
  // Posts, and its timer, wake-up and what is left of them.
  constexpr unsigned kOwnOperations = HandoffSender::kPostsMax + 16;
  bool prepared = ring_->prepare(-1, kOwnOperations) == 0;
  constexpr unsigned kOperationsOfPort = 2;  // the accept and its cancel
  for (const Port& port : ports_) {
    prepared = prepared && ring_->prepare(port.listener.descriptor(), kOperationsOfPort) == 0;
  }
  if (!prepared) return {StatusCode::kOutOfMemory, "no memory for the operations of the acceptor"};
  ring_->arm_wake(make_token(Operation::kWake));
  arm_accepts();
  return {};
}

bool Acceptor::run_once() {
  const int result = ring_->submit_and_wait(1, kWaitForever);
  RC_CHECK(result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY || result == -ETIME);
  while (const unsigned count = ring_->reap(batch_)) {
    for (unsigned i = 0; i < count; ++i) dispatch(batch_[i]);
    if (count < batch_.size()) break;
  }
  if (const unsigned abandoned = handoff_.take_abandoned(); abandoned != 0) {
    connection_count_.fetch_sub(abandoned, std::memory_order_relaxed);
    counters_.accept_errors.add(abandoned);
  }
  if (handoff_.waiting() != 0) start_timer();
  return !stopping_ || !stop_complete();
}

void Acceptor::dispatch(const Completion& completion) {
  switch (token_operation(completion.token)) {
    case Operation::kAccept:
      return on_accept(completion);
    case Operation::kPost:
      return handoff_.on_post(completion);
    case Operation::kCancel:
      return on_cancel(token_slot(completion.token));
    case Operation::kTimer:
      return on_timer();
    case Operation::kWake:
      if (stop_requested_.load(std::memory_order_acquire)) {
        stop_begin();
      } else {
        ring_->arm_wake(make_token(Operation::kWake));
      }
      return;
    default:
      RC_CHECK(false && "a completion nobody asked for");
  }
}

// --- Accepting

void Acceptor::on_accept(const Completion& completion) {
  const std::uint32_t number = token_slot(completion.token);
  RC_CHECK(number < ports_.size());
  Port& port = ports_[number];
  if (!completion.more()) port.armed = false;
  if (completion.result >= 0) {
    port.errors_in_row = 0;
    on_accepted(completion.result, static_cast<std::uint16_t>(number));
  } else if (completion.result != -ECANCELED) {
    on_accept_error(-completion.result, port);
  }
  arm_accepts();
}

void Acceptor::on_accepted(int descriptor, std::uint16_t listener) {
  const int error = ring_->configure_accepted(descriptor, !ports_[listener].listener.is_unix());
  if (error == -EBADF || error == -ENOTSOCK) {
    // Some kernels returned a number that is no descriptor (liburing issue 1062). It may be somebody else's:
    // hands off.
    counters_.accept_errors.add();
    return;
  }
  if (stopping_) {
    ring_->close_socket(descriptor);
  } else if (!at_limit()) {
    admit({descriptor, listener});
  } else if (options_.refuse_fast) {
    refuse(descriptor);
  } else {
    park({descriptor, listener});
  }
  if (!options_.refuse_fast && at_limit()) pause(Pause::kLimit);
}

bool Acceptor::at_limit() const {
  return connection_count_.load(std::memory_order_relaxed) >= options_.connections_max;
}

void Acceptor::admit(AcceptedDescriptor accepted) {
  connection_count_.fetch_add(1, std::memory_order_relaxed);
  counters_.total_connections.add();
  handoff_.send(accepted);
}

void Acceptor::park(AcceptedDescriptor accepted) {
  try {
    parked_.push_back(accepted);
  } catch (const std::bad_alloc&) {
    counters_.accept_errors.add();
    ring_->close_socket(accepted.descriptor);
  }
}

void Acceptor::refuse(int descriptor) {
  // First: who was refused finds itself counted.
  counters_.rejected_connections.add();
  // The socket is new, so its buffer takes the line whole; should it not, the client sees a bare close.
  if (!options_.refusal_line.empty()) ring_->send_now(descriptor, options_.refusal_line);
  ring_->close_socket(descriptor);
}

void Acceptor::on_accept_error(int error, Port& port) {
  counters_.accept_errors.add();
  switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
      return pause(Pause::kResources);
    case EINVAL:
    case EBADF:
    case ENOTSOCK:
    case EOPNOTSUPP:
    case EFAULT:
      port.dead = true;
      return tell_of_failure(port, error);
    default:
      // The connection was gone before it was accepted, or a signal came.
      if (++port.errors_in_row >= kErrorsInRowMax) pause(Pause::kResources);
  }
}

void Acceptor::tell_of_failure(const Port& port, int error) {
  try {
    failed_({StatusCode::kInternal, "cannot accept on " + port.listener.info().name +
                                        " any more: " + std::strerror(error) + "; restart the server"});
  } catch (const std::bad_alloc&) {
    // The others go on; accept_errors tells of it.
  }
}

void Acceptor::arm_accepts() {
  if (stopping_ || paused_ != Pause::kNone) return;
  for (std::uint32_t i = 0; i < ports_.size(); ++i) {
    Port& port = ports_[i];
    // A cancel under way could hit the new operation, which has the same token.
    if (port.armed || port.dead || port.cancels_in_flight != 0) continue;
    port.armed = true;
    ring_->accept_multishot(port.listener.descriptor(), make_token(Operation::kAccept, i));
  }
}

void Acceptor::cancel_accepts() {
  for (std::uint32_t i = 0; i < ports_.size(); ++i) {
    Port& port = ports_[i];
    if (!port.armed || port.cancels_in_flight != 0) continue;
    ++port.cancels_in_flight;
    ring_->cancel(make_token(Operation::kAccept, i), make_token(Operation::kCancel, i));
  }
}

void Acceptor::on_cancel(std::uint32_t listener) {
  RC_CHECK(listener < ports_.size() && ports_[listener].cancels_in_flight > 0);
  --ports_[listener].cancels_in_flight;
  // It may have missed an operation that was about to complete and goes on.
  if (stopping_ || paused_ != Pause::kNone) {
    cancel_accepts();
  } else {
    arm_accepts();
  }
}

// --- Pauses

void Acceptor::pause(Pause reason) {
  start_timer();
  if (paused_ != Pause::kNone || stopping_) return;
  paused_ = reason;
  paused_since_ns_ = clock_.monotonic_ns();
  accepting_.store(false, std::memory_order_relaxed);
  counters_.listen_disabled.add();
  cancel_accepts();
}

void Acceptor::resume() {
  constexpr std::uint64_t kNanosecondsPerMicrosecond = 1000;
  paused_ = Pause::kNone;
  const std::uint64_t paused_ns = clock_.monotonic_ns() - paused_since_ns_;
  counters_.time_in_listen_disabled_us.add(paused_ns / kNanosecondsPerMicrosecond);
  accepting_.store(true, std::memory_order_relaxed);
  arm_accepts();
}

void Acceptor::start_timer() {
  if (timer_armed_) return;
  timer_armed_ = true;
  ring_->timeout(kRetryInterval, make_token(Operation::kTimer));
}

void Acceptor::on_timer() {
  timer_armed_ = false;
  if (stopping_) return handoff_.abandon_waiting();
  handoff_.retry();
  if (paused_ == Pause::kNone) return;
  while (!parked_.empty() && !at_limit()) {
    admit(parked_.front());
    parked_.erase(parked_.begin());
  }
  if (!options_.refuse_fast && at_limit()) return start_timer();
  resume();
}

// --- The end

void Acceptor::request_stop() {
  stop_requested_.store(true, std::memory_order_release);
  ring_->wake();
}

void Acceptor::stop_begin() {
  stopping_ = true;
  accepting_.store(false, std::memory_order_relaxed);
  cancel_accepts();
  for (const AcceptedDescriptor& parked : std::exchange(parked_, {})) ring_->close_socket(parked.descriptor);
  // Whatever is waiting for a worker gets one more chance before the timer gives it up.
  handoff_.retry();
}

bool Acceptor::stop_complete() {
  for (const Port& port : ports_) {
    if (port.armed || port.cancels_in_flight != 0) return false;
  }
  if (handoff_.in_flight() != 0 || handoff_.waiting() != 0) return false;
  for (Port& port : ports_) ring_->close_socket(port.listener.release_descriptor());
  ports_.clear();  // removes the socket files
  for (unsigned i = 0; i < workers_.size(); ++i) workers_[i]->request_stop(handoff_.delivered(i));
  return true;
}

}  // namespace ringcached::net
