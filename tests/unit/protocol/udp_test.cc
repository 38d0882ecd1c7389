#include "protocol/udp.h"

#include <doctest/doctest.h>

#include <string>

namespace ringcached::protocol {
namespace {

std::string frame(std::uint16_t id, std::uint16_t sequence, std::uint16_t total, std::uint16_t reserved,
                  const std::string& payload) {
  std::string bytes;
  for (const std::uint16_t word : {id, sequence, total, reserved}) {
    bytes.push_back(static_cast<char>(word >> 8));
    bytes.push_back(static_cast<char>(word & 0xff));
  }
  return bytes + payload;
}

TEST_SUITE("udp") {
  TEST_CASE("a request is one datagram with something in it") {
    struct Row {
      std::string datagram;
      int id;  // -1: dropped
    };
    const Row rows[] = {
        {"", -1},
        {"x", -1},
        {std::string(7, '\0'), -1},
        {frame(1, 0, 1, 0, ""), -1},
        {frame(1, 0, 0, 0, "get a\r\n"), -1},
        {frame(1, 0, 2, 0, "get a\r\n"), -1},
        {frame(1, 0, 0x100, 0, "get a\r\n"), -1},
        {frame(1, 1, 2, 0, "get a\r\n"), -1},
        {frame(1, 0, 1, 0, "ERROR\r\n"), -1},
        {frame(1, 0, 1, 0, "VALUE a 0 1\r\nx\r\nEND\r\n"), -1},
        {frame(1, 0, 1, 0, "42\r\n"), -1},
        {frame(1, 0, 1, 0, "HD\r\n"), -1},
        {frame(1, 0, 1, 0, "\x81"), -1},
        {frame(1, 0, 1, 0, "\x80"), 1},
        {frame(1, 0, 1, 0, " get a\r\n"), 1},
        {frame(1, 0, 1, 0, "x"), 1},
        {frame(0, 0, 1, 0, "x"), 0},
        {frame(0xffff, 0, 1, 0, "x"), 0xffff},
        {frame(0x1234, 0xffff, 1, 0xffff, "x"), 0x1234},
    };
    for (const Row& row : rows) {
      const auto request = parse_udp_request(row.datagram);
      CHECK((request ? request->id : -1) == row.id);
      if (request) CHECK(request->payload == std::string_view(row.datagram).substr(8));
    }
  }

  TEST_CASE("a header is what it was made of") {
    char bytes[kUdpHeaderBytes];
    write_udp_header(std::span<char, kUdpHeaderBytes>(bytes), 0xfedc, 0x0102, 0x8001);
    CHECK(std::string(bytes, sizeof bytes) == frame(0xfedc, 0x0102, 0x8001, 0, ""));
  }

  TEST_CASE("replies of every length near a limit are cut into full datagrams and a rest") {
    CHECK(udp_datagrams(0) == 0);
    for (const std::size_t bytes : {1, 2, 1391, 1392, 1393, 2783, 2784, 2785, 5025, 1 << 20}) {
      std::size_t sum = 0;
      const std::size_t datagrams = udp_datagrams(bytes);
      for (std::size_t i = 0; i < datagrams; ++i) {
        const std::size_t size = udp_datagram_bytes(bytes, i);
        CHECK(size > kUdpHeaderBytes);
        CHECK((i + 1 == datagrams ? size <= kUdpDatagramBytesMax : size == kUdpDatagramBytesMax));
        sum += size - kUdpHeaderBytes;
      }
      CHECK(sum == bytes);
    }
    // The 5000-byte value of the specification, with its line and END.
    CHECK(udp_datagrams(5025) == 4);
    CHECK(udp_datagram_bytes(5025, 3) == 857);
  }
}

}  // namespace
}  // namespace ringcached::protocol
