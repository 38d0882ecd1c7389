// One worker's socket of a UDP address: a multishot receive, and any number of replies under way up to a
// bound.
//
//   receive    paused | armed
//   replies    each in a slot of its own, from append() until its send has completed; slots are kept while
//   there
//              is traffic and freed by a tick without
//
// Closing in three steps, as with connections: stop() cancels the receive, ended() becomes true when no
// operation is in flight, and only then close() gives the descriptor back. What the socket still holds unread
// at the stop is lost, as a datagram may be.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/datagram.h"
#include "net/listener.h"
#include "net/ring.h"
#include "net/token.h"
#include "net/worker_context.h"
#include "ringcached/network.h"

namespace ringcached::net {

class DatagramSocket final : private DatagramReplies {
 public:
  // At a time: the receive and its cancel, the replies and theirs.
  static constexpr unsigned kOperationsMax = 2 + 2 * DatagramReplies::kInFlightMax;

  // `number` names the socket in tokens. `context` must outlive it.
  DatagramSocket(WorkerContext& context, std::uint32_t number, Listener socket);
  DatagramSocket(const DatagramSocket&) = delete;
  DatagramSocket& operator=(const DatagramSocket&) = delete;

  // --- The worker's thread.
  // Begins to receive; `handler` must live until ended().
  void begin(DatagramHandler& handler);
  void on_receive(const Completion& completion);
  void on_send(const Completion& completion);
  void on_cancel();
  // Buffers may be available again. Called once per turn.
  void feed();
  void on_tick();
  void stop();
  // Does not wait for the replies under way any more.
  void abandon_replies();
  bool ended() const { return !armed_ && in_flight_ == 0 && cancels_in_flight_ == 0; }
  // Precondition: ended().
  void close();

  // --- Any thread.
  const ListenerInfo& info() const { return info_; }
  std::uint32_t receive_tick() const { return receive_tick_.load(std::memory_order_relaxed); }

 private:
  // Its memory belongs to the send while that is in flight, so it does not move.
  struct Reply {
    msghdr message{};
    iovec piece{};
    sockaddr_storage peer;
    bool in_flight = false;
    std::array<char, kBytesMax> bytes;
  };

  Token receive_token() const { return make_token(Operation::kReceiveDatagram, number_); }
  Token send_token(std::uint32_t index) const { return make_token(Operation::kSendDatagram, number_, index); }
  void cancel(Token target);
  void accept_datagram(const Completion& completion);
  bool show(std::span<const char> filled);
  void send_appended();
  std::uint32_t take_slot();
  void take_back_appended();

  // --- DatagramReplies
  std::size_t room() const override { return kInFlightMax - in_flight_ - appended_.size(); }
  std::span<char> append(std::size_t bytes) override;
  void count_dropped() override { context_.counters.datagram_replies_dropped.add(); }
  unsigned worker() const override { return context_.index; }
  int descriptor() const override { return info_.descriptor; }
  std::string listener_name() const override { return info_.name; }
  unsigned listener_tag() const override { return info_.tag; }

  WorkerContext& context_;
  const std::uint32_t number_;
  Listener socket_;
  const ListenerInfo info_;
  const msghdr shape_;  // of the receive in flight
  DatagramHandler* handler_ = nullptr;
  ReceivedDatagram current_;  // what the handler is being shown

  std::vector<std::unique_ptr<Reply>> slots_;
  std::vector<std::uint32_t> free_;      // indices of slots_
  std::vector<std::uint32_t> appended_;  // likewise, by the handler at work
  std::size_t in_flight_ = 0;            // sends
  unsigned cancels_in_flight_ = 0;
  bool armed_ = false;
  bool failed_ = false;  // the receive ended by an error: tried again with the next tick
  bool stopping_ = false;
  bool sent_since_tick_ = false;
  std::atomic<std::uint32_t> receive_tick_{0};
};

}  // namespace ringcached::net
