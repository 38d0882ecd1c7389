#include "config/listen.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <variant>

#include "base/log.h"

namespace ringcached::config {
namespace {

constexpr int kAddressExit = 71;  // memcached's, EX_OSERR of sysexits.h

constexpr std::pair<std::string_view, Protocol> kPrefixProtocols[] = {
    {"negotiating", Protocol::kAuto}, {"ascii", Protocol::kAscii}, {"binary", Protocol::kBinary}};

struct Endpoint {
  std::string_view host;
  std::optional<std::uint16_t> port;
  std::optional<Protocol> protocol;  // of a proto[] prefix
  bool tagged = false;
};

// An error is the half sentence after the place.
using EndpointOrError = std::variant<Endpoint, std::string>;

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::optional<std::string> take_protocol(std::string_view& text, std::optional<Protocol>& protocol) {
  if (!take_prefix(text, "proto[")) return std::nullopt;
  const std::size_t end = text.find("]:");
  if (end == std::string_view::npos) return "proto[ is not closed; write proto[negotiating]:host:port";
  const std::string_view name = text.substr(0, end);
  text.remove_prefix(end + 2);
  if (name == "proxy") return "this build has no proxy; remove the prefix";
  for (const auto& [known, meant] : kPrefixProtocols) {
    if (name == known) protocol = meant;
  }
  if (protocol) return std::nullopt;
  return "unknown protocol \"" + escaped(name, 40) +
         "\"; write proto[ascii], proto[binary] or proto[negotiating]";
}

// memcached's listener prefixes, in their order: [notls:|btls:|mtls:][proto[<p>]:][tag[<t>]:|tag_<t>_:]
std::optional<std::string> take_prefixes(std::string_view& text, Endpoint& endpoint) {
  if (take_prefix(text, "btls:") || take_prefix(text, "mtls:"))
    return "this build lacks TLS; remove the prefix";
  take_prefix(text, "notls:");
  if (auto error = take_protocol(text, endpoint.protocol)) return error;
  const std::string_view closing = text.starts_with("tag[") ? "]:" : text.starts_with("tag_") ? "_:" : "";
  if (closing.empty()) return std::nullopt;
  const std::size_t end = text.find(closing, 4);
  if (end == std::string_view::npos || end == 4 || end - 4 > 8) {
    return "a tag has 1 to 8 characters; write tag[name]:host:port";
  }
  text.remove_prefix(end + 2);
  endpoint.tagged = true;
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
  if (auto error = take_prefixes(text, endpoint)) return *error;
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

// What a listener serves when `asked` for. Authentication leaves one dialect only: what negotiates is held to
// it, the other one is refused, because it would be a way in past the passwords.
std::variant<Protocol, std::string> allowed_protocol(const Config& config, Protocol asked) {
  if (!config.auth.file.empty()) {
    if (asked == Protocol::kBinary)
      return "Cannot use binary protocol when ascii authentication enabled; remove the prefix, or -Y "
             "(auth.file)";
    return Protocol::kAscii;
  }
  if (config.auth.sasl) {
    if (asked == Protocol::kAscii)
      return "Cannot use ascii protocol when SASL is enabled; remove the prefix, or -S (auth.sasl)";
    return Protocol::kBinary;
  }
  return asked;
}

std::optional<std::string> add_address(std::vector<ListenAddress>& listeners, ListenAddress::Kind kind,
                                       std::string_view host, std::uint16_t port, Protocol protocol) {
  const auto same = [&](const ListenAddress& other) {
    return other.kind == kind && other.host == host && other.port == port;
  };
  const auto tag = static_cast<unsigned>(protocol);
  if (const auto other = std::ranges::find_if(listeners, same); other != listeners.end()) {
    if (other->tag == tag) return std::nullopt;
    return "the same address is given with another protocol; keep one of the two";
  }
  ListenAddress address;
  address.kind = kind;
  address.host = host;
  address.port = port;
  address.tag = tag;
  listeners.push_back(std::move(address));
  return std::nullopt;
}

// One for each transport that is served; as in memcached a port behind the host is for both.
std::optional<std::string> add_host(Config& config, std::string_view host, std::optional<std::uint16_t> port,
                                    Protocol protocol) {
  const auto port_or = [&](int otherwise) {
    return port.value_or(static_cast<std::uint16_t>(std::max(otherwise, 0)));
  };
  const NetworkConfig& network = config.network;
  if (network.port != 0) {
    auto error =
        add_address(config.listeners, ListenAddress::Kind::kTcp, host, port_or(network.port), protocol);
    if (error) return error;
  }
  if (network.udp_port == 0) return std::nullopt;
  return add_address(config.listeners, ListenAddress::Kind::kUdp, host, port_or(network.udp_port), protocol);
}

std::optional<std::string> add_endpoint(Draft& draft, std::string_view text) {
  const EndpointOrError parsed = parse_endpoint(text);
  if (const auto* error = std::get_if<std::string>(&parsed)) return *error;
  const Endpoint& endpoint = std::get<Endpoint>(parsed);
  const auto protocol =
      allowed_protocol(draft.config, endpoint.protocol.value_or(draft.config.network.protocol));
  if (const auto* error = std::get_if<std::string>(&protocol)) return *error;
  if (endpoint.tagged) draft.acknowledge("-l tag", "tags serve memcached's proxy, which this build has not");
  return add_host(draft.config, endpoint.host, endpoint.port, std::get<Protocol>(protocol));
}

}  // namespace

Protocol protocol_in_effect(const Config& config) {
  if (!config.auth.file.empty()) return Protocol::kAscii;
  return config.auth.sasl ? Protocol::kBinary : config.network.protocol;
}

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
    address.tag = static_cast<unsigned>(protocol_in_effect(draft.config));
    listeners.push_back(std::move(address));
    return std::nullopt;
  }
  if (network.port == 0 && network.udp_port == 0) {
    return Failure{draft.origin("network.port") +
                       ": nothing to listen on; give a port, or a UNIX socket with -s (network.unix_socket)",
                   64};
  }
  for (const std::string& text : network.listen) {
    if (const auto error = add_endpoint(draft, text)) {
      return Failure{draft.origin("network.listen") + ": \"" + escaped(text, 100) + "\": " + *error,
                     kAddressExit};
    }
  }
  if (network.listen.empty()) {
    const Protocol protocol = protocol_in_effect(draft.config);
    add_host(draft.config, "127.0.0.1", std::nullopt, protocol);
    if (ipv6_loopback) add_host(draft.config, "::1", std::nullopt, protocol);
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
