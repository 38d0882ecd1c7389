#include "protocol/udp.h"

#include "protocol/big_endian.h"

namespace ringcached::protocol {
namespace {

constexpr std::size_t kTotalAt = 4;

bool begins_as_reply(std::string_view payload) {
  constexpr char kBinaryReply = '\x81';
  const char first = payload.front();
  return (first >= 'A' && first <= 'Z') || (first >= '0' && first <= '9') || first == kBinaryReply;
}

}  // namespace

std::optional<UdpRequest> parse_udp_request(std::string_view datagram) {
  if (datagram.size() <= kUdpHeaderBytes || load_big_endian<std::uint16_t>(datagram.data() + kTotalAt) != 1)
    return std::nullopt;
  const std::string_view payload = datagram.substr(kUdpHeaderBytes);
  if (begins_as_reply(payload)) return std::nullopt;
  return UdpRequest{load_big_endian<std::uint16_t>(datagram.data()), payload};
}

void write_udp_header(std::span<char, kUdpHeaderBytes> out, std::uint16_t request_id, std::uint16_t sequence,
                      std::uint16_t total) {
  char* end = out.data();
  for (const std::uint16_t word : {request_id, sequence, total, std::uint16_t{0}})
    end = store_big_endian(end, word);
}

}  // namespace ringcached::protocol
