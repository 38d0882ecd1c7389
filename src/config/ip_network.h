// A range of IP addresses as people write it: 127.0.0.0/8, ::1, 10.1.2.3.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "ringcached/status.h"

namespace ringcached::config {

struct IpNetwork {
  bool v6 = false;
  std::array<std::uint8_t, 16> ip{};  // network order; the first 4 for IPv4
  unsigned prefix_bits = 0;

  // `address` as `ip`. An IPv4 address is in no IPv6 network, and the other way round.
  bool contains(bool address_v6, const std::array<std::uint8_t, 16>& address) const;
};

// An address alone is a network of one. The message says what is wrong and what to write instead.
Result<IpNetwork> parse_ip_network(std::string_view text);

}  // namespace ringcached::config
