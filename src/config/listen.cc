#include "config/listen.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <variant>

#include "base/log.h"

namespace ringcached::config {
namespace {

constexpr int kAddressExit = 71;  // memcached's, EX_OSERR of sysexits.h

struct Endpoint {
  std::string_view host;
  std::optional<std::uint16_t> port;
  bool tagged = false;
};

// An error is the half sentence after the place.
using EndpointOrError = std::variant<Endpoint, std::string>;

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// memcached's listener prefixes, in their order: [notls:|btls:|mtls:][proto[<p>]:][tag[<t>]:|tag_<t>_:]
std::optional<std::string> take_prefixes(std::string_view& text, bool& tagged) {
  if (take_prefix(text, "btls:") || take_prefix(text, "mtls:"))
    return "this build lacks TLS; remove the prefix";
  take_prefix(text, "notls:");
  if (text.starts_with("proto[")) {
    const std::size_t end = text.find("]:");
    if (end == std::string_view::npos) return "proto[ is not closed; write proto[negotiating]:host:port";
    if (text.substr(6, end - 6) != "negotiating") {
      return "one protocol per listener is not supported; remove the prefix and use -B for all";
    }
    text.remove_prefix(end + 2);
  }
  const std::string_view closing = text.starts_with("tag[") ? "]:" : text.starts_with("tag_") ? "_:" : "";
  if (closing.empty()) return std::nullopt;
  const std::size_t end = text.find(closing, 4);
  if (end == std::string_view::npos || end == 4 || end - 4 > 8) {
    return "a tag has 1 to 8 characters; write tag[name]:host:port";
  }
  text.remove_prefix(end + 2);
  tagged = true;
  return std::nullopt;
}

// The host and what follows it: empty, or ":<port>".
std::optional<std::string> split_host(std::string_view text, std::string_view& host, std::string_view& rest) {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return "the bracket is not closed; write [address]:port";
    host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
    if (host.empty()) return "no address in the brackets; write [address]:port or *";
    if (!rest.empty() && rest.front() != ':') return "only :port may follow the bracket";
    return std::nullopt;
  }
  const std::size_t colon = text.find(':');
  // Two colons without brackets: an IPv6 address, which then has no port.
  if (colon != std::string_view::npos && text.find(':', colon + 1) != std::string_view::npos) {
    host = text;
    rest = {};
    return std::nullopt;
  }
  host = text.substr(0, colon);
  rest = colon == std::string_view::npos ? std::string_view{} : text.substr(colon);
  if (host.empty()) return "no address before the port; write *:port for all addresses";
  return std::nullopt;
}

EndpointOrError parse_endpoint(std::string_view text) {
  Endpoint endpoint;
  if (auto error = take_prefixes(text, endpoint.tagged)) return *error;
  std::string_view rest;
  if (auto error = split_host(text, endpoint.host, rest)) return *error;
  if (rest.empty()) return endpoint;
  rest.remove_prefix(1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), port);
  if (error != std::errc{} || end != rest.data() + rest.size() || rest.empty() || port == 0) {
    return "Invalid port number: \"" + escaped(rest, 40) + "\"; give 1 to 65535";
  }
  endpoint.port = port;
  return endpoint;
}

void add_address(std::vector<ListenAddress>& listeners, ListenAddress::Kind kind, std::string_view host,
                 std::uint16_t port) {
  const auto same = [&](const ListenAddress& other) {
    return other.kind == kind && other.host == host && other.port == port;
  };
  if (std::ranges::any_of(listeners, same)) return;
  ListenAddress address;
  address.kind = kind;
  address.host = host;
  address.port = port;
  listeners.push_back(std::move(address));
}

}  // namespace

std::vector<std::string> split_addresses(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    const std::string_view part = list.substr(0, list.find_first_of(",;"));
    list.remove_prefix(std::min(part.size() + 1, list.size()));
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

std::optional<Failure> resolve_listeners(Draft& draft, bool ipv6_loopback) {
  const NetworkConfig& network = draft.config.network;
  std::vector<ListenAddress>& listeners = draft.config.listeners;
  listeners.clear();
  if (!network.unix_socket.empty()) {
    ListenAddress address;
    address.kind = ListenAddress::Kind::kUnix;
    address.path = network.unix_socket;
    address.unix_mode = network.unix_mode;
    listeners.push_back(std::move(address));
    return std::nullopt;
  }
  if (network.port == 0 && network.udp_port == 0) {
    return Failure{draft.origin("network.port") +
                       ": nothing to listen on; give a port, or a UNIX socket with -s (network.unix_socket)",
                   64};
  }
  // One for each protocol that is served; as in memcached a port behind the host is for both.
  const auto add_host = [&](std::string_view host, std::optional<std::uint16_t> port) {
    const auto port_or = [&](int otherwise) {
      return port.value_or(static_cast<std::uint16_t>(std::max(otherwise, 0)));
    };
    if (network.port != 0) add_address(listeners, ListenAddress::Kind::kTcp, host, port_or(network.port));
    if (network.udp_port != 0)
      add_address(listeners, ListenAddress::Kind::kUdp, host, port_or(network.udp_port));
  };
  for (const std::string& text : network.listen) {
    const EndpointOrError parsed = parse_endpoint(text);
    if (const auto* error = std::get_if<std::string>(&parsed)) {
      return Failure{draft.origin("network.listen") + ": \"" + escaped(text, 100) + "\": " + *error,
                     kAddressExit};
    }
    const Endpoint& endpoint = std::get<Endpoint>(parsed);
    if (endpoint.tagged)
      draft.acknowledge("-l tag", "tags serve memcached's proxy, which this build has not");
    add_host(endpoint.host, endpoint.port);
  }
  if (network.listen.empty()) {
    add_host("127.0.0.1", std::nullopt);
    if (ipv6_loopback) add_host("::1", std::nullopt);
  }
  return std::nullopt;
}

std::optional<Failure> resolve_udp_clients(Draft& draft) {
  draft.config.udp_clients.clear();
  for (const std::string& text : draft.config.network.udp_clients) {
    const Result<IpNetwork> network = parse_ip_network(text);
    if (!network) return Failure{draft.origin("network.udp_clients") + ": " + network.status().message(), 1};
    draft.config.udp_clients.push_back(network.value());
  }
  return std::nullopt;
}

bool ipv6_loopback_available() {
  const int descriptor = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return false;
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const bool bound = ::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ::close(descriptor);
  return bound;
}

}  // namespace ringcached::config
