// What receive_datagram_multishot() puts into a lent buffer:
//
//   +-----------+-----------------------+-------------------------+---------+
//   | header 16 | name, `shape` long    | control, `shape` long   | payload |
//   +-----------+-----------------------+-------------------------+---------+
//
// The layout is the kernel's (struct io_uring_recvmsg_out, 6.0); nobody but this file and the simulated
// kernel knows it.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace ringcached::net {

struct DatagramHeader {
  std::uint32_t name_bytes = 0;     // of the address as it is, even when it was cut
  std::uint32_t control_bytes = 0;  // likewise
  std::uint32_t payload_bytes = 0;  // likewise
  std::uint32_t flags = 0;          // MSG_TRUNC: the payload was cut
};
static_assert(sizeof(DatagramHeader) == 16);

// Room for the sender's address: IPv4 or IPv6.
inline constexpr std::size_t kDatagramNameBytes = sizeof(sockaddr_in6);
// A buffer has room for a payload that is shorter by this much.
inline constexpr std::size_t kDatagramOverheadBytes = sizeof(DatagramHeader) + kDatagramNameBytes;

// What to give to receive_datagram_multishot(): room for a name, no control data.
msghdr datagram_shape();

struct ReceivedDatagram {
  sockaddr_storage peer{};
  socklen_t peer_bytes = 0;
  std::span<const char> payload;  // in the lent buffer
  bool truncated = false;         // it did not fit the buffer: the rest is lost
};

// `filled`: the used part of the buffer. Nothing if it is not what datagram_shape() leads to.
std::optional<ReceivedDatagram> read_datagram(std::span<const char> filled);

}  // namespace ringcached::net
