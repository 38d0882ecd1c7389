#include "config/ip_network.h"

#include <arpa/inet.h>

#include "config_support.h"

using namespace ringcached;
using namespace ringcached::config;
using namespace ringcached::config::testing;

namespace {

bool contains(const char* network, const std::string& address) {
  std::array<std::uint8_t, 16> ip{};
  const bool v6 = address.find(':') != std::string::npos;
  REQUIRE(inet_pton(v6 ? AF_INET6 : AF_INET, address.c_str(), ip.data()) == 1);
  const auto parsed = parse_ip_network(network);
  REQUIRE_MESSAGE(parsed.is_ok(), network);
  return parsed.value().contains(v6, ip);
}

}  // namespace

TEST_SUITE("ip_network") {
  TEST_CASE("which addresses are in a network") {
    struct Row {
      const char* network;
      std::vector<std::string> inside, outside;
    };
    const Row rows[] = {
        {"127.0.0.0/8", {"127.0.0.1", "127.255.255.255"}, {"126.0.0.1", "128.0.0.1", "::1", "7f00::"}},
        {"10.20.0.0/15", {"10.20.0.1", "10.21.255.255"}, {"10.22.0.0", "10.19.255.255"}},
        {"192.0.2.7", {"192.0.2.7"}, {"192.0.2.6", "192.0.2.8"}},
        {"192.0.2.6/31", {"192.0.2.6", "192.0.2.7"}, {"192.0.2.5", "192.0.2.8"}},
        {"0.0.0.0/0", {"0.0.0.0", "255.255.255.255"}, {"::", "::1"}},
        {"128.0.0.0/1", {"128.0.0.0", "255.255.255.255"}, {"127.255.255.255"}},
        {"::1", {"::1"}, {"::", "::2", "127.0.0.1"}},
        {"fd00::/8", {"fd00::", "fdff::1"}, {"fc00::1", "fe00::1"}},
        {"2001:db8::/33", {"2001:db8:7fff::1"}, {"2001:db8:8000::1"}},
        {"::/0", {"::", "ffff::"}, {"0.0.0.0"}},
    };
    for (const Row& row : rows) {
      for (const std::string& address : row.inside) CHECK_MESSAGE(contains(row.network, address), address);
      for (const std::string& address : row.outside)
        CHECK_FALSE_MESSAGE(contains(row.network, address), address);
    }
  }

  TEST_CASE("what is no network is refused with the remedy") {
    const std::pair<const char*, const char*> rows[] = {
        {"", "not an address"},
        {"localhost", "not an address"},
        {"10.0.0", "not an address"},
        {"10.0.0.0.0", "not an address"},
        {"::g", "not an address"},
        {"/8", "not an address"},
        {"10.0.0.0/", "must be 0 to 32"},
        {"10.0.0.0/33", "must be 0 to 32"},
        {"10.0.0.0/-1", "must be 0 to 32"},
        {"10.0.0.0/8x", "must be 0 to 32"},
        {"::/129", "must be 0 to 128"},
        {"10.0.0.1/8", "bits set behind"},
        {"fd00::1/8", "bits set behind"},
        {"10.0.0.0/99999999999", "must be 0 to 32"},
    };
    for (const auto& [text, part] : rows) {
      const auto parsed = parse_ip_network(text);
      REQUIRE_FALSE_MESSAGE(parsed.is_ok(), text);
      CHECK_MESSAGE(config::testing::contains(parsed.status().message(), part), parsed.status().message());
    }
  }

  TEST_CASE("as an option: the loopback by default, a list in its place, and errors with their place") {
    CHECK(config_of({}).udp_clients.size() == 2);
    const Config config = config_of({"--udp-clients", "10.0.0.0/8,fd00::/8", "--udp-clients", "192.0.2.1"});
    REQUIRE(config.udp_clients.size() == 3);
    CHECK(config.udp_clients[1].v6);
    CHECK(config.udp_clients[2].prefix_bits == 32);
    const Error error = error_of({"--udp-clients", "10.0.0.0/8,10.0.0.0/40"});
    CHECK(error.exit_code == 1);
    CHECK(
        error.text ==
        "--udp-clients 10.0.0.0/8,10.0.0.0/40: \"10.0.0.0/40\": the length of the prefix must be 0 to 32\n");
  }
}
