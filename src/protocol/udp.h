// The frame around requests and replies that travel as datagrams: 8 bytes, big-endian (spec 11).
//
//    0         2          4             6          8
//    +---------+----------+-------------+----------+---------+
//    | request | sequence | datagrams   | reserved | payload |
//    |   id    | number   | of message  |    0     |         |
//    +---------+----------+-------------+----------+---------+
//
// A request is one datagram. A reply is one message of as many datagrams as it takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace ringcached::protocol {

inline constexpr std::size_t kUdpHeaderBytes = 8;
inline constexpr std::size_t kUdpDatagramBytesMax = 1400;
inline constexpr std::size_t kUdpPayloadBytesMax = kUdpDatagramBytesMax - kUdpHeaderBytes;

struct UdpRequest {
  std::uint16_t id = 0;
  std::string_view payload;  // not empty
};

// Nothing for a datagram that is to be dropped without an answer: nothing behind the header, part of a
// request of several datagrams, or a reply. Sequence number and reserved bytes are not looked at.
//
// A reply begins with a capital letter, a digit or 0x81; no request does. Were a reply answered, a single
// datagram with a forged source would keep two servers busy with each other's errors for ever.
std::optional<UdpRequest> parse_udp_request(std::string_view datagram);

// How many datagrams a reply of `bytes` takes.
constexpr std::size_t udp_datagrams(std::size_t bytes) {
  return (bytes + kUdpPayloadBytesMax - 1) / kUdpPayloadBytesMax;
}

// Bytes, with header, of datagram number `sequence` of a reply of `bytes`. Precondition: there is such a
// datagram.
constexpr std::size_t udp_datagram_bytes(std::size_t bytes, std::size_t sequence) {
  const std::size_t left = bytes - sequence * kUdpPayloadBytesMax;
  return kUdpHeaderBytes + (left < kUdpPayloadBytesMax ? left : kUdpPayloadBytesMax);
}

// The header of datagram `sequence` of `total`, into `out`.
void write_udp_header(std::span<char, kUdpHeaderBytes> out, std::uint16_t request_id, std::uint16_t sequence,
                      std::uint16_t total);

}  // namespace ringcached::protocol
