// Decides for any bytes, taken as one datagram, whether the server treats them as it must. Shared by the fuzz
// target, the replay of its corpus and the tests of DatagramService.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/udp.h"
#include "server/datagram_service.h"
#include "support/session_harness.h"

namespace ringcached::testing {

// Takes replies as the engine does, and remembers them.
class CollectedReplies final : public DatagramReplies {
 public:
  explicit CollectedReplies(std::size_t room = kInFlightMax) : room_(room) {}

  std::size_t room() const override { return room_ - datagrams_.size(); }
  std::span<char> append(std::size_t bytes) override {
    RC_CHECK(room() > 0 && bytes > 0 && bytes <= kBytesMax);
    datagrams_.emplace_back(bytes, '?');
    return datagrams_.back();
  }
  void count_dropped() override { ++dropped_; }
  unsigned worker() const override { return 0; }
  int descriptor() const override { return 8; }
  std::string listener_name() const override { return "udp:127.0.0.1:2"; }
  unsigned listener_tag() const override { return 0; }

  unsigned dropped() const { return dropped_; }
  std::size_t wire_bytes() const;
  // The replies, each put together from its datagrams; the broken rule of framing in `fault`, if there is
  // one.
  std::vector<std::string> messages(std::uint16_t request_id, std::string& fault) const;

 private:
  const std::size_t room_;
  std::vector<std::string> datagrams_;
  unsigned dropped_ = 0;
};

inline DatagramPeer local_peer() {
  DatagramPeer peer;
  peer.port = 4711;
  peer.ip = {127, 0, 0, 1};
  return peer;
}
// Of no network that is trusted by default.
inline DatagramPeer foreign_peer() {
  DatagramPeer peer;
  peer.port = 4711;
  peer.ip = {192, 0, 2, 1};
  return peer;
}

std::string framed(std::uint16_t request_id, std::string_view payload);

// The broken rule, or nothing.
std::string check_datagram(std::string_view datagram);

}  // namespace ringcached::testing
