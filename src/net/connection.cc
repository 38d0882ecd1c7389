#include "net/connection.h"

#include <sys/socket.h>

#include <cerrno>
#include <new>
#include <utility>

namespace ringcached::net {
namespace {

using State = PublishedConnection::State;

// How long a peer may take nothing of the last replies before its connection is cut.
constexpr std::chrono::seconds kDrainStall{10};
// After so many turns a ring has reported what had arrived (Ring::submit_and_wait).
constexpr std::uint32_t kSettlingTurns = 2;
// Sends up to this size are expected to fit into the socket's buffer.
constexpr std::size_t kSilentBytesMax = std::size_t{64} << 10;
// A connection that has sent a large value is expected to send more of them: so many times its input is
// received in pieces that have room for a request's line and little else, so that the rest of the value need
// not be copied out of a lent buffer.
constexpr unsigned kLargeInputs = 4;
constexpr std::uint32_t kLineBytes = 2048;
// After so long without anything it is made sure that the end of the stream has not been missed. Kernels lose
// it for a multishot receive when it comes while bytes before it are being received (liburing issue 1549;
// resets by TCP peers on 6.18 once in 20,000 to a million, UNIX sockets on some far more often): the
// operation waits for ever, and the connection would stay for ever.
constexpr std::chrono::seconds kLookAfter{1};
// How long the peer's end of stream is awaited after ours.
constexpr std::chrono::milliseconds kLinger{500};

// Without the header of vectors of input and output in the public one.
static_assert(sizeof(MemoryPiece) == sizeof(iovec));
static_assert(offsetof(MemoryPiece, data) == offsetof(iovec, iov_base));
static_assert(offsetof(MemoryPiece, bytes) == offsetof(iovec, iov_len));
std::span<const iovec> as_iovecs(std::span<const MemoryPiece> pieces) {
  return {reinterpret_cast<const iovec*>(pieces.data()), pieces.size()};
}

}  // namespace

// Whatever needs the heap for this connection: its handler, its input, its output. When there is nothing to
// be had, this connection ends, with whatever it was doing half done; the others go on.
template <typename Step>
void ClientConnection::with_memory(Step step) {
  try {
    step();
  } catch (const std::bad_alloc&) {
    context_->counters.out_of_memory.add();
    close_begin(CloseReason::kError);
  }
}

void ClientConnection::open(WorkerContext& context, std::uint32_t slot, std::uint32_t generation,
                            int descriptor, std::uint16_t listener) {
  RC_CHECK(lifetime_ == Lifetime::kFree && in_flight_ == 0);
  context_ = &context;
  SendQueue::bind(context.output);
  descriptor_ = descriptor;
  slot_ = slot;
  generation_ = generation;
  lifetime_ = Lifetime::kOpen;
  receive_ = Receive::kPaused;
  input_pending_ = blocked_ = producing_ = lingering_ = broken_ = watcher_ = silent_ = peer_slow_ = false;
  direct_wanted_ = direct_done_ = looked_ = false;
  large_input_ = 0;
  armed_turn_ = full_turn_ = served_turn_ = 0;
  progress_tick_ = context.wheel.now();

  sockaddr_storage address{};
  socklen_t length = sizeof address;
  PeerAddress peer;
  // A peer that is gone already has no address; its end of stream will be seen soon.
  if (context.ring.peer_address(descriptor, address, length) == 0) peer = PeerAddress::from(address);
  published_.open(descriptor, listener, peer, progress_tick_);
}

void ClientConnection::start(WorkerHandler& worker) {
  with_memory([&] { handler_ = worker.on_open(*this); });
  if (lifetime_ == Lifetime::kClosing) return settle();
  if (handler_ == nullptr) {
    drain_begin(CloseReason::kHandler);
  } else {
    schedule_in(context_->ticks(kLookAfter));
  }
  settle();
}

std::string ClientConnection::peer_name() const {
  return published_.peer().name(listener().path);
}

void ClientConnection::become_watcher() {
  watcher_ = true;
  published_.set_state(resting_state());
}

std::string ClientConnection::listener_name() const {
  return listener().name;
}

// --- Events of the receive half

void ClientConnection::on_receive(const Completion& completion) {
  const bool direct = receive_ == Receive::kDirect;
  if (!completion.more()) {
    RC_CHECK(is_armed() && in_flight_ > 0);
    --in_flight_;
    receive_ = Receive::kPaused;
  }
  if (completion.has_buffer()) with_memory([&] { accept_input(completion); });
  if (direct && completion.result > 0) accept_direct(static_cast<std::uint32_t>(completion.result));
  if (completion.result == 0) {
    // End of stream. Kernels end the operation with it; should one not, the close cancels it.
    if (receive_ == Receive::kPaused) receive_ = Receive::kEnded;
  } else if (completion.result < 0) {
    on_receive_error(-completion.result);
  }
  settle();
}

void ClientConnection::accept_input(const Completion& completion) {
  const std::uint16_t id = completion.buffer_id();
  const auto bytes = static_cast<std::uint32_t>(completion.result > 0 ? completion.result : 0);
  context_->buffers.lend(id, bytes);
  if (bytes == 0 || lifetime_ != Lifetime::kOpen) return context_->buffers.give(id);
  count_input(bytes);
  if (bytes == context_->buffers.buffer_bytes() || large_input_ != 0) full_turn_ = context_->turn;
  input_.push(context_->buffers, id);
  input_pending_ = fed_ = true;
  // Above high water no buffer is held: bytes that were under way when the receive was paused go to the tail.
  if (blocked_ || producing_) input_.spill(context_->buffers);
}

void ClientConnection::accept_direct(std::uint32_t bytes) {
  if (lifetime_ != Lifetime::kOpen) return;
  count_input(bytes);
  full_turn_ = context_->turn;  // as far as known here
  handler_->on_direct_bytes(bytes);
  direct_done_ = true;
}

void ClientConnection::count_input(std::uint32_t bytes) {
  context_->counters.bytes_read.add(bytes);
  progress_tick_ = context_->wheel.now();
  published_.set_receive_tick(progress_tick_);
  if (!looked_) return;
  looked_ = false;
  schedule_in(context_->ticks(kLookAfter));
}

void ClientConnection::on_receive_error(int error) {
  switch (error) {
    case ENOBUFS:
      context_->counters.receive_buffers_exhausted.add();
      if (receive_ != Receive::kPaused || lifetime_ == Lifetime::kClosing) return;
      // One that has had some is no longer waiting: it arms again once it has dealt with them.
      if (!fed_ && !is_starved()) context_->starved.push_back(*this);
      return;
    case ECANCELED:
    case EINTR:
    case EAGAIN:
      return;  // settle() arms again if that is wanted
    default:
      // What had arrived before is still handled; nobody can read the replies, but commands take effect.
      if (receive_ == Receive::kPaused) receive_ = Receive::kEnded;
      broken_ = true;
  }
}

bool ClientConnection::feed() {
  const bool wanted = wants_receive();
  if (wanted && !arm_direct()) arm_receive();
  check_invariants();
  return wanted;
}

// Kept input is shown first. A cancel still under way could hit the new operation, which has the same token.
bool ClientConnection::wants_receive() const {
  if (receive_ != Receive::kPaused || cancels_in_flight_ != 0) return false;
  return lifetime_ == Lifetime::kOpen ? !blocked_ && !producing_ && !input_pending_ && !direct_done_
                                      : lingering_;
}

void ClientConnection::update_receive() {
  if (receive_ == Receive::kEnded) return;
  if (is_armed()) {
    const bool elsewhere = direct_wanted_ && input_.empty() && receive_ == Receive::kMultishot;
    const bool unwanted = lifetime_ == Lifetime::kOpen && (blocked_ || producing_ || elsewhere);
    if (unwanted && cancels_in_flight_ == 0) cancel(Operation::kReceive);
    return;
  }
  if (!wants_receive()) return;
  if (arm_direct()) return;
  if (is_starved()) return;
  // Behind those that wait for a buffer: one that has just used up all of them would take them all again.
  if (!context_->starved.empty()) return context_->starved.push_back(*this);
  arm_receive();
}

void ClientConnection::arm_receive() {
  const bool once = large_input_ != 0 && lifetime_ == Lifetime::kOpen;
  if (once) {
    context_->ring.receive_once(descriptor_, kLineBytes, token(Operation::kReceive));
  } else {
    context_->ring.receive_multishot(descriptor_, token(Operation::kReceive));
  }
  receive_ = once ? Receive::kOnce : Receive::kMultishot;
  fed_ = false;
  armed_turn_ = context_->turn;
  ++in_flight_;
}

// False: that is not wanted, or not yet, or the handler has no room after all.
bool ClientConnection::arm_direct() {
  if (!direct_wanted_ || !input_.empty()) return false;
  const std::span<const MemoryPiece> room = handler_->direct_room();
  direct_wanted_ = !room.empty();
  if (room.empty()) return false;
  ListNode<StarvedTag>::unlink();
  context_->ring.receive_direct(descriptor_, as_iovecs(room), token(Operation::kReceive));
  receive_ = Receive::kDirect;
  armed_turn_ = context_->turn;
  ++in_flight_;
  return true;
}

void ClientConnection::cancel(Operation operation) {
  context_->ring.cancel(token(operation), token(Operation::kCancel));
  ++cancels_in_flight_;
  ++in_flight_;
}

void ClientConnection::on_cancel() {
  RC_CHECK(cancels_in_flight_ > 0 && in_flight_ > 0);
  --cancels_in_flight_;
  --in_flight_;
  settle();
}

// --- Handler

void ClientConnection::serve() {
  if (lifetime_ != Lifetime::kOpen || !has_work()) return;
  check_invariants();
  served_turn_ = context_->turn;
  with_memory([&] {
    if (producing_) {
      obey_producer(handler_->on_produce(*this));
    } else if (direct_done_) {
      direct_done_ = false;
      published_.set_state(State::kParse);
      const Next next = handler_->on_direct(*this);
      published_.set_state(resting_state());
      obey_direct(next);
    } else {
      show_input();
    }
  });
  settle();
}

bool ClientConnection::look_ahead() {
  const bool shows = lifetime_ == Lifetime::kOpen && input_pending_ && !blocked_ && !producing_ &&
                     !direct_done_ && !input_.empty();
  return !shows || handler_->on_lookahead(input_.front(context_->buffers));
}

void ClientConnection::show_input() {
  input_pending_ = false;
  if (input_.empty()) return;
  const std::span<const char> input = input_.front(context_->buffers);
  published_.set_state(State::kParse);
  const Consumed consumed = handler_->on_data(*this, input);
  published_.set_state(resting_state());
  RC_CHECK(consumed.bytes <= input.size());
  input_.consume(context_->buffers, consumed.bytes);
  note_large_input(consumed.next);
  obey(consumed.next, input.size() - consumed.bytes);
}

void ClientConnection::note_large_input(Next next) {
  direct_wanted_ = next == Next::kReceiveDirect;
  if (direct_wanted_) {
    large_input_ = kLargeInputs;
  } else if (large_input_ > 0) {
    --large_input_;
  }
}

// What the handler wants after it was given bytes in its own memory: there is no other input.
void ClientConnection::obey_direct(Next next) {
  direct_wanted_ = next == Next::kReceiveDirect;
  obey_producer(direct_wanted_ ? Next::kReceive : next);
}

// What the handler wants that is not being shown input. What has come so far is shown once that is over.
void ClientConnection::obey_producer(Next next) {
  producing_ = false;
  if (next != Next::kReceive && next != Next::kYield && next != Next::kBlocked) return obey(next, 0);
  input_pending_ = !input_.empty();
  if (output_blocked()) block();
}

void ClientConnection::hand_over() {
  std::unique_ptr<ConnectionHandler> successor = handler_->successor();
  RC_CHECK(successor != nullptr);
  handler_ = std::move(successor);
  obey_producer(handler_->on_begin(*this));
}

void ClientConnection::obey(Next next, std::size_t bytes_left) {
  if (next == Next::kClose) return drain_begin(CloseReason::kHandler);
  if (next == Next::kReject) return drain_begin(CloseReason::kError);
  if (next == Next::kHandOver) return hand_over();
  if (next == Next::kProduce) {
    producing_ = true;
    input_.spill(context_->buffers);
    input_pending_ = !input_.empty();
    if (output_blocked()) block();
    return;
  }
  if (output_blocked() || (next == Next::kBlocked && unsent() > context_->options.output_low_water))
    return block();
  if (input_.empty()) return;
  if (next == Next::kReceive || next == Next::kReceiveDirect) {
    input_pending_ = input_.extend(context_->buffers, bytes_left);
    return;
  }
  if (next == Next::kYield) context_->counters.yields.add();
  input_pending_ = true;
}

void ClientConnection::block() {
  blocked_ = true;
  input_.spill(context_->buffers);
  input_pending_ = !input_.empty();
  context_->counters.receives_paused.add();
}

void ClientConnection::unblock_below_low_water() {
  if (blocked_ && unsent() <= context_->options.output_low_water) blocked_ = false;
}

// --- Send half

// Not for what pins items or may well not fit, nor where the end of the connection waits for the send:
// silence is heard only in the next turn, which may be long in coming.
bool ClientConnection::may_send_silently(const Batch& batch) const {
  return batch.message == nullptr && batch.bytes <= kSilentBytesMax && lifetime_ == Lifetime::kOpen &&
         !peer_slow_ && !blocked_ && !context_->stopping &&
         context_->silent_senders.size() < context_->silent_senders.capacity();
}

void ClientConnection::flush() {
  if (sending() || unsent() == 0 || lifetime_ == Lifetime::kClosing) return;
  Batch batch;
  with_memory([&] { batch = begin(); });
  if (lifetime_ == Lifetime::kClosing) return settle();
  ++in_flight_;
  if (may_send_silently(batch)) {
    silent_ = true;
    context_->ring.send_silently(descriptor_, batch.plain, token(Operation::kSend));
    context_->silent_senders.push_back(this);
    // Counted at once: the other workers' `stats` shall not miss them until this worker's next turn.
    context_->counters.bytes_written.add(batch.bytes);
    progress_tick_ = context_->wheel.now();
    return;
  }
  if (batch.message == nullptr) {
    context_->ring.send(descriptor_, batch.plain, token(Operation::kSend));
  } else {
    context_->ring.send_message(descriptor_, *batch.message, token(Operation::kSend));
  }
  published_.set_state(State::kWrite);
}

void ClientConnection::on_silence() {
  if (!silent_) return;
  silent_ = false;
  --in_flight_;
  complete(in_flight_bytes());
  if (lifetime_ != Lifetime::kClosing && unsent() > 0) mark_dirty();
  if (lifetime_ == Lifetime::kOpen && !blocked_) return;
  unblock_below_low_water();
  settle();
}

void ClientConnection::on_send(const Completion& completion) {
  RC_CHECK(sending() && in_flight_ > 0);
  --in_flight_;
  const std::size_t asked = in_flight_bytes();
  const std::size_t sent = completion.result > 0 ? static_cast<std::size_t>(completion.result) : 0;
  complete(sent);
  if (silent_) context_->counters.bytes_written.subtract(asked);
  silent_ = false;
  peer_slow_ = sent < asked;
  if (sent > 0) {
    context_->counters.bytes_written.add(sent);
    progress_tick_ = context_->wheel.now();
    if (sent < asked) context_->counters.sends_short.add();
  } else if (completion.result != -EINTR && completion.result != -EAGAIN) {
    close_begin(CloseReason::kError);
  }
  if (lifetime_ != Lifetime::kClosing) {
    unblock_below_low_water();
    if (unsent() > 0) {
      mark_dirty();
    } else {
      published_.set_state(resting_state());
    }
  }
  settle();
}

// --- Lifetime

void ClientConnection::settle() {
  if (lifetime_ == Lifetime::kOpen && receive_ == Receive::kEnded && !input_pending_ && !blocked_ &&
      !producing_ && !direct_done_)
    finish_stream();
  if (lifetime_ == Lifetime::kDraining && !lingering_ && unsent() == 0 && !sending()) linger_begin();
  if (lifetime_ == Lifetime::kDraining && lingering_ && receive_ == Receive::kEnded) close_begin(reason_);
  if (lifetime_ == Lifetime::kClosing) {
    if (in_flight_ == 0 && !is_ready()) context_->ended.push_back(*this);
  } else {
    if (lifetime_ == Lifetime::kOpen && has_work() && !is_ready()) context_->ready.push_back(*this);
    update_receive();
  }
  check_invariants();
}

void ClientConnection::finish_stream() {
  if (!broken_) with_memory([&] { handler_->on_end_of_stream(*this); });
  if (lifetime_ == Lifetime::kOpen) drain_begin(broken_ ? CloseReason::kError : CloseReason::kPeer);
}

void ClientConnection::drain_begin(CloseReason reason) {
  RC_CHECK(lifetime_ == Lifetime::kOpen);
  lifetime_ = Lifetime::kDraining;
  reason_ = reason;
  forget_input();
  progress_tick_ = context_->wheel.now();
  schedule_in(context_->ticks(kDrainStall));
}

void ClientConnection::forget_input() {
  input_.clear(context_->buffers);
  input_pending_ = blocked_ = producing_ = direct_wanted_ = direct_done_ = false;
  ListNode<ReadyTag>::unlink();
  ListNode<StarvedTag>::unlink();
}

void ClientConnection::linger_begin() {
  lingering_ = true;
  if (receive_ == Receive::kEnded) return;
  published_.set_state(State::kClosing);
  // A failure means that the peer is gone; the receive will say so too.
  context_->ring.shutdown_socket(descriptor_, SHUT_WR);
  schedule_in(context_->ticks(kLinger));
}

void ClientConnection::close_begin(CloseReason reason) {
  if (lifetime_ == Lifetime::kClosing) return;
  RC_CHECK(lifetime_ != Lifetime::kFree);
  lifetime_ = Lifetime::kClosing;
  reason_ = reason;
  published_.set_state(State::kClosing);
  forget_input();
  ListNode<DirtyTag>::unlink();
  IdleWheel::cancel(*this);
  if (!is_armed() && !sending()) return;
  context_->ring.shutdown_socket(descriptor_, SHUT_RDWR);
  if (is_armed() && cancels_in_flight_ == 0) cancel(Operation::kReceive);
  // A silent one waits for nothing.
  if (sending() && !silent_) cancel(Operation::kSend);
}

void ClientConnection::close_now(CloseReason reason) {
  close_begin(reason);
  settle();
}

bool ClientConnection::stop_if_served(std::uint32_t stop_turn) {
  if (lifetime_ != Lifetime::kOpen || blocked_ || has_work() || !is_armed()) return true;
  // The receive must have lived through kSettlingTurns calls of the ring since, and not have been cut by a
  // full buffer.
  const std::uint32_t turn = context_->turn;
  for (const std::uint32_t since : {stop_turn, armed_turn_, full_turn_}) {
    if (turn - since < kSettlingTurns) return false;
  }
  // Nothing to lose on a connection that was quiet for as long as we would linger.
  const bool quiet = context_->wheel.now() - progress_tick_ > context_->ticks(kLinger);
  if (quiet && unsent() == 0 && !sending()) {
    close_now(CloseReason::kShutdown);
  } else {
    drain_begin(CloseReason::kShutdown);
    settle();
  }
  return true;
}

void ClientConnection::release() {
  RC_CHECK(lifetime_ == Lifetime::kClosing && in_flight_ == 0);
  RC_CHECK(!is_ready() && !is_starved());
  clear();
  if (handler_ != nullptr) {
    handler_->on_close(*this, reason_);
    clear();
    handler_.reset();
  }
  published_.close();
  context_->ring.close_socket(descriptor_);
  descriptor_ = -1;
  lifetime_ = Lifetime::kFree;
  context_->counters.connections_closed.add();
}

// --- Deadlines

std::uint32_t ClientConnection::idle_ticks_max() const {
  if (context_->options.idle_timeout.count() == 0 || is_unix() || watcher_) return 0;
  return context_->ticks(context_->options.idle_timeout) + 1;
}

void ClientConnection::schedule_in(std::uint32_t ticks) {
  context_->wheel.schedule(*this, context_->wheel.now() + ticks);
}

void ClientConnection::on_due() {
  const std::uint32_t quiet_ticks = context_->wheel.now() - progress_tick_;
  if (lifetime_ == Lifetime::kOpen) return on_due_open(quiet_ticks);
  const std::uint32_t stall_ticks = context_->ticks(kDrainStall);
  if (!lingering_ && quiet_ticks < stall_ticks) return schedule_in(stall_ticks - quiet_ticks);
  close_now(reason_);
}

void ClientConnection::on_due_open(std::uint32_t quiet_ticks) {
  const std::uint32_t idle_ticks = idle_ticks_max();
  if (idle_ticks != 0 && quiet_ticks >= idle_ticks) {
    context_->counters.idle_kicks.add();
    return close_now(CloseReason::kIdleTimeout);
  }
  const std::uint32_t look_ticks = context_->ticks(kLookAfter);
  if (!looked_ && quiet_ticks < look_ticks) return schedule_in(look_ticks - quiet_ticks);
  if (!looked_) {
    // Thousands may fall silent at the same time.
    if (context_->turn_is_long()) return schedule_in(1);
    look_for_end();
  }
  if (idle_ticks != 0) schedule_in(idle_ticks - quiet_ticks);
}

// A receive that is armed anew finds what there is. Those that end with their first completion miss nothing.
void ClientConnection::look_for_end() {
  looked_ = true;
  if (receive_ != Receive::kMultishot || cancels_in_flight_ != 0) return;
  if (context_->ring.peek(descriptor_) == -EAGAIN) return;
  context_->counters.receives_renewed.add();
  cancel(Operation::kReceive);
}

void ClientConnection::check_invariants() const {
  RC_DCHECK(lifetime_ != Lifetime::kFree);
  RC_DCHECK(in_flight_ == (is_armed() ? 1 : 0) + (sending() ? 1 : 0) + cancels_in_flight_);
  RC_DCHECK(lifetime_ == Lifetime::kOpen || (!input_pending_ && !blocked_ && !producing_ && input_.empty()));
  RC_DCHECK(lifetime_ == Lifetime::kOpen || (!direct_wanted_ && !direct_done_));
  // One way at a time, and none while what came by it waits: the order of the stream.
  RC_DCHECK(receive_ != Receive::kDirect || lifetime_ != Lifetime::kOpen || (input_.empty() && !producing_));
  RC_DCHECK(!direct_done_ || !is_armed());
  RC_DCHECK(!(blocked_ || producing_) || !input_.holds_buffers());
  RC_DCHECK(!blocked_ || unsent() > context_->options.output_low_water);
  RC_DCHECK(!lingering_ || lifetime_ == Lifetime::kDraining || lifetime_ == Lifetime::kClosing);
  RC_DCHECK(!is_starved() || receive_ == Receive::kPaused);
  RC_DCHECK(lifetime_ == Lifetime::kOpen || lifetime_ == Lifetime::kClosing || !is_ready());
  // An idle connection holds neither output nor a receive buffer.
  RC_DCHECK(lifetime_ != Lifetime::kOpen || input_pending_ || is_ready() || !input_.holds_buffers());
}

}  // namespace ringcached::net
