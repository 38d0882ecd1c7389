#include "config/ip_network.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>
#include <string>

#include "base/log.h"

namespace ringcached::config {
namespace {

constexpr unsigned kBitsV4 = 32, kBitsV6 = 128;

Status invalid(std::string_view text, const std::string& what) {
  return {StatusCode::kInvalidArgument, "\"" + escaped(text, 60) + "\": " + what};
}

// The bits of byte number `index` that a prefix covers.
std::uint8_t mask(unsigned prefix_bits, unsigned index) {
  const unsigned before = index * 8;
  if (prefix_bits >= before + 8) return 0xff;
  return prefix_bits <= before ? 0 : static_cast<std::uint8_t>(0xff << (before + 8 - prefix_bits));
}

}  // namespace

bool IpNetwork::contains(bool address_v6, const std::array<std::uint8_t, 16>& address) const {
  if (address_v6 != v6) return false;
  for (unsigned i = 0; i * 8 < prefix_bits; ++i) {
    if (((ip[i] ^ address[i]) & mask(prefix_bits, i)) != 0) return false;
  }
  return true;
}

Result<IpNetwork> parse_ip_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string host(text.substr(0, slash));
  IpNetwork network;
  network.v6 = host.find(':') != std::string::npos;
  if (inet_pton(network.v6 ? AF_INET6 : AF_INET, host.c_str(), network.ip.data()) != 1) {
    return invalid(text, "not an address; write one as 10.0.0.0/8, 192.0.2.7 or fd00::/8");
  }
  const unsigned bits = network.v6 ? kBitsV6 : kBitsV4;
  network.prefix_bits = bits;
  if (slash == std::string_view::npos) return network;
  const std::string_view digits = text.substr(slash + 1);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), network.prefix_bits);
  if (error != std::errc{} || end != digits.data() + digits.size() || network.prefix_bits > bits) {
    return invalid(text, "the length of the prefix must be 0 to " + std::to_string(bits));
  }
  for (unsigned i = 0; i < bits / 8; ++i) {
    if ((network.ip[i] & ~mask(network.prefix_bits, i)) == 0) continue;
    return invalid(text, "there are bits set behind the prefix; make them 0, or the prefix longer");
  }
  return network;
}

}  // namespace ringcached::config
