#include "net/datagram.h"

#include <algorithm>
#include <cstring>

namespace ringcached::net {

msghdr datagram_shape() {
  msghdr shape{};
  shape.msg_namelen = kDatagramNameBytes;
  return shape;
}

std::optional<ReceivedDatagram> read_datagram(std::span<const char> filled) {
  DatagramHeader header;
  if (filled.size() < kDatagramOverheadBytes) return std::nullopt;
  std::memcpy(&header, filled.data(), sizeof header);
  if (header.name_bytes > kDatagramNameBytes) return std::nullopt;
  ReceivedDatagram datagram;
  std::memcpy(&datagram.peer, filled.data() + sizeof header, header.name_bytes);
  datagram.peer_bytes = header.name_bytes;
  const std::span<const char> payload = filled.subspan(kDatagramOverheadBytes);
  datagram.truncated = (header.flags & MSG_TRUNC) != 0 || header.payload_bytes > payload.size();
  datagram.payload = payload.first(std::min<std::size_t>(payload.size(), header.payload_bytes));
  return datagram;
}

}  // namespace ringcached::net
