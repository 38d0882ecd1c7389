// Requests that come as datagrams (spec 11): each datagram is a short conversation of its own, held with the
// same handlers as a connection, whose replies are collected, framed and sent back to where it came from.
//
// Nothing is kept from one datagram to the next: a request that is not complete in its datagram is dropped.
// What takes more than a reply (watching, dumping) is refused. A source that is not among network.udp_clients
// gets no more bytes than it sent, because that source may be forged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "net/send_queue.h"
#include "protocol/udp.h"
#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

// The connection that the handlers of a datagram see: its output goes nowhere by itself.
class DatagramConnection final : public Connection {
 public:
  // More could never be sent.
  static constexpr std::size_t kReplyBytesMax = DatagramReplies::kInFlightMax * protocol::kUdpPayloadBytesMax;

  DatagramConnection() { collected_.bind(pool_); }
  ~DatagramConnection() { collected_.clear(); }

  void begin(const DatagramPeer& peer, const DatagramReplies& replies) {
    peer_ = &peer;
    replies_ = &replies;
  }
  net::SendQueue& collected() { return collected_; }
  void on_tick() { pool_.blocks.trim(); }

  // --- Connection
  Output& output() override { return collected_; }
  unsigned worker() const override { return replies_->worker(); }
  int descriptor() const override { return replies_->descriptor(); }
  std::string peer_name() const override;
  std::string listener_name() const override { return replies_->listener_name(); }
  bool is_unix() const override { return false; }
  unsigned listener_tag() const override { return replies_->listener_tag(); }
  void become_watcher() override {}
  // So that a session stops after each request, and its reply can be told from the next one's.
  bool others_waiting() const override { return true; }
  bool output_blocked() const override { return collected_.unsent() > kReplyBytesMax; }

 private:
  net::OutputPool pool_;
  net::SendQueue collected_;
  const DatagramPeer* peer_ = nullptr;
  const DatagramReplies* replies_ = nullptr;
};

class DatagramService final : public DatagramHandler {
 public:
  // `worker` must outlive it.
  explicit DatagramService(WorkerContext& worker) : worker_(worker) {}

  bool on_datagram(const DatagramPeer& peer, std::span<const char> datagram,
                   DatagramReplies& replies) override;
  void on_tick() override { connection_.on_tick(); }

 private:
  // One datagram's way to its replies.
  struct Exchange {
    std::uint16_t request_id = 0;
    std::size_t reply_bytes_left = 0;
    DatagramReplies& replies;
  };
  bool hold(Exchange& exchange, std::string_view input);
  // False when the input ends inside a request.
  bool converse(Exchange& exchange, std::string_view input);
  void refuse(Exchange& exchange, const ConnectionHandler& handler);
  // Sends what was collected as one message, or drops it.
  void reply(Exchange& exchange);
  void send(Exchange& exchange, std::size_t bytes);
  bool is_trusted(const DatagramPeer& peer) const;

  WorkerContext& worker_;
  DatagramConnection connection_;
};

}  // namespace ringcached::server
