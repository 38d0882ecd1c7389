// One client's connection: three independent axes instead of one big state, and the events that move them.
//
//   lifetime   free -> open -> draining -> closing -> free
//                open:     input goes to the handler, output to the peer
//                draining: no more input for the handler; pending output is sent, then the write side is shut
//                down
//                          and the peer's end of stream awaited for a moment (lingering), so that a reset
//                          cannot overtake the last reply
//                closing:  shutdown and cancel were issued; waits until no operation is in flight
//   receive    armed | paused (output above high water, no buffer left, output or work to do first) | ended
//                armed: into lent buffers, multishot; or into the handler's own memory (direct), one at a
//                time, as long as it has large values to come; or once, little, to see whether another
//                follows
//   send       idle | in flight (SendQueue::sending)
//
// The descriptor is closed and the slot freed only when in_flight_ is zero. Every event ends in settle(),
// which brings the axes into a legal combination; check_invariants() says which ones are.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "net/address.h"
#include "net/idle_wheel.h"
#include "net/input_queue.h"
#include "net/ring.h"
#include "net/send_queue.h"
#include "net/token.h"
#include "net/worker_context.h"
#include "ringcached/network.h"

namespace ringcached::net {

class ClientConnection final : public Connection,
                               public SendQueue,
                               public ListNode<ReadyTag>,
                               public ListNode<StarvedTag>,
                               public IdleWheel::Entry {
 public:
  // At a time: a receive, a send, and the cancels of both.
  static constexpr unsigned kOperationsMax = 4;

  ClientConnection() = default;

  // --- The worker's side.
  // Takes over `descriptor`; `slot` and `generation` name this object in tokens.
  void open(WorkerContext& context, std::uint32_t slot, std::uint32_t generation, int descriptor,
            std::uint16_t listener);
  // Gives the connection the handler that `worker` makes for it, and begins to receive; a null handler closes
  // it.
  void start(WorkerHandler& worker);
  void on_receive(const Completion& completion);
  void on_send(const Completion& completion);
  // The ring has nothing to say about the silent send in flight, if there is one: it was taken whole.
  void on_silence();
  void on_cancel();
  // Its deadline on the wheel has come.
  void on_due();
  // Shows input to the handler, once. Called when the connection was taken from the ready list.
  void serve();
  // Shows the input that serve() will show to the handler ahead of time; its answer, true if there is none.
  bool look_ahead();
  // Begins the send of everything pending, if none is in flight. Called when taken from the dirty list.
  void flush();
  // There is a buffer for it. Called when taken from the starved list; false if it has no use for one now.
  bool feed();
  // Orderly end of the server: begins to drain if everything that had arrived before `stop_turn` was
  // answered. False if only another look at the kernel can tell.
  bool stop_if_served(std::uint32_t stop_turn);
  // Ends without waiting for output.
  void close_now(CloseReason reason);
  // Destroys the handler and closes the descriptor. Precondition: taken from the ended list.
  void release();

  std::uint32_t slot() const { return slot_; }
  CloseReason close_reason() const { return reason_; }
  // It was shown input in this turn already.
  bool served_in(std::uint32_t turn) const { return served_turn_ == turn; }
  // Any thread.
  const PublishedConnection& published() const { return published_; }
  // Bytes of input kept on the heap.
  std::size_t input_tail_bytes() const { return input_.tail_bytes(); }
  void check_invariants() const;

  // --- Connection
  Output& output() override { return *this; }
  unsigned worker() const override { return context_->index; }
  int descriptor() const override { return descriptor_; }
  std::string peer_name() const override;
  std::string listener_name() const override;
  bool is_unix() const override { return listener().is_unix; }
  unsigned listener_tag() const override { return listener().tag; }
  void become_watcher() override;
  bool is_open() const override { return lifetime_ == Lifetime::kOpen; }
  bool others_waiting() const override { return !context_->ready.empty() || context_->turn_is_long(); }
  bool output_blocked() const override { return unsent() > context_->options.output_high_water; }

 private:
  enum class Lifetime : std::uint8_t { kFree, kOpen, kDraining, kClosing };
  enum class Receive : std::uint8_t { kPaused, kMultishot, kOnce, kDirect, kEnded };

  Token token(Operation operation) const { return make_token(operation, slot_, generation_); }
  const ListenerInfo& listener() const { return context_->listeners[published_.listener()]; }
  bool is_ready() const { return ListNode<ReadyTag>::linked(); }
  bool is_starved() const { return ListNode<StarvedTag>::linked(); }
  PublishedConnection::State resting_state() const {
    return watcher_ ? PublishedConnection::State::kWatch : PublishedConnection::State::kRead;
  }
  bool has_work() const { return (input_pending_ || producing_ || direct_done_) && !blocked_; }
  bool is_armed() const { return receive_ != Receive::kPaused && receive_ != Receive::kEnded; }

  template <typename Step>
  void with_memory(Step step);
  void accept_input(const Completion& completion);
  void accept_direct(std::uint32_t bytes);
  void count_input(std::uint32_t bytes);
  void on_receive_error(int error);
  void show_input();
  bool may_send_silently(const Batch& batch) const;
  void obey(Next next, std::size_t bytes_left);
  void obey_producer(Next next);
  void obey_direct(Next next);
  void forget_input();
  void note_large_input(Next next);
  void hand_over();
  void block();
  void unblock_below_low_water();
  void settle();
  void finish_stream();
  void drain_begin(CloseReason reason);
  void linger_begin();
  void close_begin(CloseReason reason);
  bool wants_receive() const;
  void update_receive();
  void arm_receive();
  bool arm_direct();
  void cancel(Operation operation);
  void schedule_in(std::uint32_t ticks);
  std::uint32_t idle_ticks_max() const;
  void on_due_open(std::uint32_t quiet_ticks);
  void look_for_end();

  int descriptor_ = -1;  // first: it fits in behind the wheel's entry
  WorkerContext* context_ = nullptr;
  std::unique_ptr<ConnectionHandler> handler_;
  InputQueue input_;
  std::uint32_t slot_ = 0;
  std::uint32_t generation_ = 0;
  std::uint32_t armed_turn_ = 0;     // turn in which the receive was armed
  std::uint32_t served_turn_ = 0;    // last turn in which the handler was called
  std::uint32_t full_turn_ = 0;      // last turn in which a whole buffer was filled: there may be more
  std::uint32_t progress_tick_ = 0;  // of the last bytes received or sent
  std::uint8_t in_flight_ = 0;       // operations whose last completion has not been seen
  std::uint8_t cancels_in_flight_ = 0;
  Lifetime lifetime_ = Lifetime::kFree;
  Receive receive_ = Receive::kPaused;
  CloseReason reason_ = CloseReason::kPeer;
  bool input_pending_ : 1 = false;    // there is input the handler has not been asked about
  bool blocked_ : 1 = false;          // above high water, until below low water
  bool producing_ : 1 = false;        // the handler makes output and is shown no input
  bool watcher_ : 1 = false;          // never idle
  bool lingering_ : 1 = false;        // write side shut down, peer's end of stream awaited
  bool fed_ : 1 = false;              // got input since the receive was armed
  bool broken_ : 1 = false;           // the receive ended by an error
  bool silent_ : 1 = false;           // the send in flight completes only if it is not taken whole
  bool peer_slow_ : 1 = false;        // the last send was not taken whole
  bool direct_wanted_ : 1 = false;    // the handler has memory for what comes next
  bool direct_done_ : 1 = false;      // some of it was filled, and the handler has not gone on with it
  bool looked_ : 1 = false;           // since the last input it was made sure that more is waited for
  std::uint8_t large_input_ : 3 = 0;  // receives to go that expect another large value
  PublishedConnection published_;
};

// Of the 400 bytes an idle connection may cost, handler and slot number included.
static_assert(sizeof(ClientConnection) <= 256);

}  // namespace ringcached::net
