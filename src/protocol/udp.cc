#include "protocol/udp.h"

namespace ringcached::protocol {
namespace {

constexpr std::size_t kIdAt = 0, kSequenceAt = 2, kTotalAt = 4, kReservedAt = 6;

std::uint16_t read_16(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[at]) << 8 |
                                    static_cast<unsigned char>(bytes[at + 1]));
}

bool begins_as_reply(std::string_view payload) {
  constexpr char kBinaryReply = '\x81';
  const char first = payload.front();
  return (first >= 'A' && first <= 'Z') || (first >= '0' && first <= '9') || first == kBinaryReply;
}

void write_16(std::span<char, kUdpHeaderBytes> out, std::size_t at, std::uint16_t value) {
  out[at] = static_cast<char>(value >> 8);
  out[at + 1] = static_cast<char>(value & 0xff);
}

}  // namespace

std::optional<UdpRequest> parse_udp_request(std::string_view datagram) {
  if (datagram.size() <= kUdpHeaderBytes || read_16(datagram, kTotalAt) != 1) return std::nullopt;
  const std::string_view payload = datagram.substr(kUdpHeaderBytes);
  if (begins_as_reply(payload)) return std::nullopt;
  return UdpRequest{read_16(datagram, kIdAt), payload};
}

void write_udp_header(std::span<char, kUdpHeaderBytes> out, std::uint16_t request_id, std::uint16_t sequence,
                      std::uint16_t total) {
  write_16(out, kIdAt, request_id);
  write_16(out, kSequenceAt, sequence);
  write_16(out, kTotalAt, total);
  write_16(out, kReservedAt, 0);
}

}  // namespace ringcached::protocol
