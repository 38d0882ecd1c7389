#include "net/worker.h"

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

namespace ringcached::net {
namespace {

// Completions copied out of the ring at a time.
constexpr std::size_t kBatch = 256;
// How often one connection may be shown its input in a turn, and all of them together. The bound is on the
// time until the replies of a turn leave: a call is a handler's request budget, some 10 microseconds.
constexpr std::size_t kCallsPerConnection = 64;
constexpr std::size_t kCallsPerTurnMax = 512;
// Connections whose input is looked at before the first of them is served: two or three lines of cache each.
constexpr std::size_t kLookaheadMax = 32;
// Of a turn; more than these complete like any other. No memory is to be asked for where sends are begun.
constexpr std::size_t kSilentSendsMax = 4096;
// A timer that is later than this tells that the thread did not run.
constexpr std::chrono::seconds kStandstill{1};
// Slots beyond the limit on connections: those accepted in the moment the limit was reached.
constexpr std::uint32_t kSpareSlots = 64;

// Errors of a turn that mean "go on"; what is behind them shows in the completions or in the next turn.
bool is_transient(int result) {
  return result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY || result == -ETIME;
}

}  // namespace

Worker::Worker(unsigned index, const NetworkOptions& options, const Clock& clock,
               std::span<const ListenerInfo> listeners, std::atomic<std::uint32_t>& connections,
               std::unique_ptr<Ring> ring, std::unique_ptr<WorkerHandler> handler,
               std::vector<Listener> datagram_sockets)
    : clock_(clock),
      connection_count_(connections),
      ring_(std::move(ring)),
      context_(*ring_, options, clock, index, listeners),
      connections_(options.connections_max + kSpareSlots),
      handler_(std::move(handler)),
      batch_(kBatch),
      start_ns_(clock.monotonic_ns()),
      waits_plainly_(options.min_wait.count() == 0 && options.spin.count() == 0),
      moderation_(options.min_wait) {
  context_.silent_senders.reserve(kSilentSendsMax);
  for (Listener& socket : datagram_sockets) {
    const auto number = static_cast<std::uint32_t>(datagram_sockets_.size());
    datagram_sockets_.push_back(std::make_unique<DatagramSocket>(context_, number, std::move(socket)));
  }
}

Worker::~Worker() = default;

Status Worker::begin() {
  Status status = ring_->enable();
  if (!status) return status;
  for (const auto& socket : datagram_sockets_) {
    if (ring_->prepare(socket->info().descriptor, DatagramSocket::kOperationsMax) < 0)
      return {StatusCode::kOutOfMemory, "no memory for the operations of " + socket->info().name};
  }
  ring_->timeout(context_.options.tick, make_token(Operation::kTimer));
  handler_->on_start();
  ring_->arm_wake(make_token(Operation::kWake));
  if (!datagram_sockets_.empty()) datagram_handler_ = handler_->make_datagram_handler();
  if (datagram_handler_ != nullptr) {
    for (const auto& socket : datagram_sockets_) socket->begin(*datagram_handler_);
  }
  return {};
}

bool Worker::run_once() {
  submit_and_wait();
  handler_->on_turn_begin();
  ++context_.turn;
  reap_all();
  hear_silence();
  run_rounds();
  again_ = background_step();
  stop_step();
  flush_sends();
  release_ended();
  recycle_buffers();
  submit_apart_ = handler_->on_turn_end();
  if (!context_.stopping || connections_.taken() != 0) return true;
  if (context_.counters.connections_opened.get() < stop_descriptors_.load(std::memory_order_acquire))
    return true;
  if (!datagram_sockets_ended()) return true;
  end();
  return false;
}

bool Worker::background_step() {
  try {
    return handler_->on_turn();
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void Worker::submit_and_wait() {
  constexpr auto kNoWait = std::chrono::nanoseconds::zero();
  if (submit_apart_) {
    RC_CHECK(is_transient(ring_->submit_and_wait(0, kNoWait)));
    handler_->on_submitted();
  }
  // Those for whom there was no buffer in the last turn shall not wait for an event that feeds them.
  const bool feeding = !context_.starved.empty() && context_.buffers.with_kernel() > 0;
  const bool busy = again_ || feeding || !context_.ready.empty();
  const int result = busy ? ring_->submit_and_wait(0, kNoWait) : wait_for_work();
  RC_CHECK(is_transient(result));
}

int Worker::wait_for_work() {
  if (waits_plainly_) [[likely]]
    return ring_->submit_and_wait(1, kWaitForever);
  return wait_as_configured();
}

int Worker::wait_as_configured() {
  WorkerCounters& counters = context_.counters;
  counters.waits.add();
  const std::uint32_t completions = std::exchange(reaped_, 0);
  if (std::exchange(gathering_, false)) counters.completions_gathered.add(completions);
  if (context_.options.min_wait.count() != 0 && !context_.stopping) {
    // Datagrams are not bound to connections: any number may come.
    const std::uint32_t sources = datagram_sockets_.empty() ? connections_.taken() : Moderation::kEnough;
    const unsigned enough = moderation_.next(clock_.monotonic_ns(), completions, sources);
    gathering_ = enough > 1;
    if (gathering_) {
      counters.waits_gathering.add();
      return ring_->submit_and_gather(enough, context_.options.min_wait);
    }
  }
  if (context_.options.spin.count() != 0) {
    counters.waits_spinning.add();
    const int found = ring_->submit_and_spin(context_.options.spin);
    if (found > 0) counters.spins_successful.add();
    if (found != 0) return found;
  }
  return ring_->submit_and_wait(1, kWaitForever);
}

void Worker::reap_all() {
  while (const unsigned count = ring_->reap(batch_)) {
    reaped_ += count;
    for (unsigned i = 0; i < count; ++i) dispatch(batch_[i]);
    if (count < batch_.size()) return;
  }
}

// What has not failed by now was taken.
void Worker::hear_silence() {
  if (context_.silent_senders.empty() || !ring_->silent_sends_settled()) return;
  for (ClientConnection* connection : context_.silent_senders) connection->on_silence();
  context_.silent_senders.clear();
}

void Worker::dispatch(const Completion& completion) {
  switch (token_operation(completion.token)) {
    case Operation::kReceive:
    case Operation::kSend:
    case Operation::kCancel:
      return dispatch_to_connection(completion);
    case Operation::kHandoff:
      return adopt({completion.result, static_cast<std::uint16_t>(token_slot(completion.token))});
    case Operation::kTimer:
      return on_timer();
    case Operation::kWake:
      return on_wake();
    case Operation::kReceiveDatagram:
    case Operation::kSendDatagram:
    case Operation::kCancelDatagram:
      return dispatch_to_datagram_socket(completion);
    default:
      drop_stale(completion);
  }
}

// These sockets live as long as the worker: no completion can be stale.
void Worker::dispatch_to_datagram_socket(const Completion& completion) {
  const std::uint32_t number = token_slot(completion.token);
  RC_CHECK(number < datagram_sockets_.size());
  DatagramSocket& socket = *datagram_sockets_[number];
  switch (token_operation(completion.token)) {
    case Operation::kReceiveDatagram:
      return socket.on_receive(completion);
    case Operation::kSendDatagram:
      return socket.on_send(completion);
    default:
      return socket.on_cancel();
  }
}

void Worker::dispatch_to_connection(const Completion& completion) {
  ClientConnection* connection =
      connections_.find(token_slot(completion.token), token_generation(completion.token));
  if (connection == nullptr) return drop_stale(completion);
  switch (token_operation(completion.token)) {
    case Operation::kReceive:
      return connection->on_receive(completion);
    case Operation::kSend:
      return connection->on_send(completion);
    default:
      return connection->on_cancel();
  }
}

void Worker::drop_stale(const Completion& completion) {
  context_.counters.stale_completions.add();
  if (!completion.has_buffer()) return;
  context_.buffers.lend(completion.buffer_id(), 0);
  context_.buffers.give(completion.buffer_id());
}

// --- Connections come and go

void Worker::adopt(AcceptedDescriptor accepted) {
  context_.counters.connections_opened.add();
  RC_CHECK(accepted.listener < context_.listeners.size());
  if (ring_->prepare(accepted.descriptor, ClientConnection::kOperationsMax) < 0)
    return turn_away(accepted.descriptor);
  const auto taken = connections_.take();
  if (taken.object == nullptr) return turn_away(accepted.descriptor);
  ClientConnection& connection = *taken.object;
  connection.open(context_, taken.slot, taken.generation, accepted.descriptor, accepted.listener);
  connection.start(*handler_);
}

void Worker::turn_away(int descriptor) {
  // The acceptor keeps below the limit, and no worker has fewer slots than that: memory is what lacks.
  RC_CHECK(connections_.taken() < connections_.slots_max());
  ring_->close_socket(descriptor);
  connection_count_.fetch_sub(1, std::memory_order_relaxed);
  context_.counters.connections_closed.add();
  context_.counters.out_of_memory.add();
}

void Worker::release_ended() {
  while (!context_.ended.empty()) {
    ClientConnection& connection = context_.ended.pop_front();
    handler_->on_close(connection, connection.close_reason());
    connection.release();
    connections_.release(connection.slot());
    connection_count_.fetch_sub(1, std::memory_order_relaxed);
  }
}

void Worker::on_wake() {
  // Armed before the queue is emptied: a descriptor pushed after the last pop finds the wake-up armed.
  ring_->arm_wake(make_token(Operation::kWake));
  AcceptedDescriptor accepted;
  while (queue_.pop(accepted)) adopt(accepted);
  if (context_.stopping || stop_descriptors_.load(std::memory_order_acquire) == kNotStopping) return;
  context_.stopping = true;
  stop_turn_ = context_.turn;
  stop_deadline_ns_ =
      clock_.monotonic_ns() +
      static_cast<std::uint64_t>(std::chrono::nanoseconds(context_.options.stop_deadline).count());
}

void Worker::on_timer() {
  ring_->timeout(context_.options.tick, make_token(Operation::kTimer));
  const std::uint64_t now_ns = clock_.monotonic_ns();
  const std::uint32_t tick = tick_at(now_ns);
  tick_.store(tick, std::memory_order_relaxed);
  context_.wheel.advance(tick,
                         [](IdleWheel::Entry& entry) { static_cast<ClientConnection&>(entry).on_due(); });
  context_.output.blocks.trim();
  for (const auto& socket : datagram_sockets_) socket->on_tick();
  if (datagram_handler_ != nullptr) datagram_handler_->on_tick();
  handler_->on_tick();
  if (context_.stopping && now_ns >= stop_deadline_ns_) force_close_all();
}

// Time in which this thread did not run (a stopped process, a suspended machine) is nobody's idleness: what
// clients sent meanwhile has not been seen.
std::uint32_t Worker::tick_at(std::uint64_t now_ns) {
  const auto tick_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(context_.options.tick).count());
  const auto elapsed = static_cast<std::uint32_t>((now_ns - start_ns_) / tick_ns) - ticks_missed_;
  const std::uint32_t passed = elapsed - context_.wheel.now();
  if (passed <= context_.ticks(kStandstill) + 1) return elapsed;
  ticks_missed_ += passed - 1;
  return context_.wheel.now() + 1;
}

// --- The turn's work

// Memory that several requests need is asked for before the first of them is executed. Returns how many of
// the ready connections were asked, at least one.
std::size_t Worker::look_ahead() {
  std::size_t count = 0;
  context_.ready.visit_while([&](ClientConnection& connection) {
    ++count;
    return connection.look_ahead() && count < kLookaheadMax;
  });
  handler_->on_lookahead_end();
  return count;
}

// Each connection with input is shown it at least once; those that are back in the list for more come after
// them.
void Worker::run_rounds() {
  std::size_t calls = 0;
  std::size_t connections = 0;
  std::size_t looked_at = 0;
  while (!context_.ready.empty()) {
    if (looked_at == 0) looked_at = look_ahead();
    --looked_at;
    ClientConnection& connection = context_.ready.front();
    if (!connection.served_in(context_.turn)) {
      ++connections;
    } else if (calls >= std::min(connections * kCallsPerConnection, kCallsPerTurnMax) ||
               context_.turn_is_long()) {
      return;
    }
    ++calls;
    context_.ready.pop_front();
    connection.serve();
  }
}

void Worker::flush_sends() {
  while (!context_.output.dirty.empty()) {
    static_cast<ClientConnection&>(context_.output.dirty.pop_front()).flush();
  }
}

void Worker::recycle_buffers() {
  context_.buffers.flush();
  // No more of the waiting in a turn than there are buffers: the others would only be turned away again.
  unsigned free = context_.buffers.with_kernel();
  while (free > 0 && !context_.starved.empty()) {
    if (context_.starved.pop_front().feed()) --free;
  }
  for (const auto& socket : datagram_sockets_) socket->feed();
}

// --- The end

void Worker::request_stop(std::uint64_t descriptors) {
  stop_descriptors_.store(descriptors, std::memory_order_release);
  ring_->wake();
}

void Worker::stop_step() {
  if (!context_.stopping) return;
  connections_.for_each_taken([&](ClientConnection& connection) {
    if (!connection.stop_if_served(stop_turn_)) again_ = true;
  });
  for (const auto& socket : datagram_sockets_) socket->stop();
}

bool Worker::datagram_sockets_ended() const {
  return std::ranges::all_of(datagram_sockets_, [](const auto& socket) { return socket->ended(); });
}

void Worker::end() {
  for (const auto& socket : datagram_sockets_) socket->close();
  datagram_handler_.reset();
  handler_->on_stop();
}

void Worker::force_close_all() {
  connections_.for_each_taken(
      [](ClientConnection& connection) { connection.close_now(CloseReason::kShutdown); });
  for (const auto& socket : datagram_sockets_) socket->abandon_replies();
}

}  // namespace ringcached::net
