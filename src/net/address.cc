#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

namespace ringcached::net {

PeerAddress PeerAddress::from(const sockaddr_storage& address) {
  PeerAddress peer;
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    peer.family = AF_INET;
    peer.port = ntohs(v4.sin_port);
    std::memcpy(peer.ip.data(), &v4.sin_addr, sizeof v4.sin_addr);
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    peer.family = AF_INET6;
    peer.port = ntohs(v6.sin6_port);
    std::memcpy(peer.ip.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
  } else if (address.ss_family == AF_UNIX) {
    peer.family = AF_UNIX;
  }
  return peer;
}

std::string PeerAddress::name(const std::string& unix_path) const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family == AF_UNIX) return "unix:" + unix_path;
  if (family != AF_INET && family != AF_INET6) return "unknown";
  inet_ntop(family, ip.data(), text, sizeof text);
  if (family == AF_INET) return std::string("tcp:") + text + ":" + std::to_string(port);
  return std::string("tcp6:[") + text + "]:" + std::to_string(port);
}

void PublishedConnection::open(int descriptor, std::uint16_t listener, const PeerAddress& peer,
                               std::uint32_t tick) {
  const std::uint32_t version = version_.load(std::memory_order_relaxed);
  version_.store(version + 1, std::memory_order_relaxed);
  std::uint64_t words[2];
  std::memcpy(words, peer.ip.data(), sizeof words);
  ip_[0].store(words[0], std::memory_order_release);
  ip_[1].store(words[1], std::memory_order_release);
  place_.store(peer.port | std::uint64_t{listener} << 16 | std::uint64_t{peer.family} << 32,
               std::memory_order_release);
  descriptor_.store(descriptor, std::memory_order_release);
  set_receive_tick(tick);
  set_state(State::kRead);
  version_.store(version + 2, std::memory_order_release);
}

void PublishedConnection::close() {
  descriptor_.store(kClosed, std::memory_order_release);
}

PeerAddress PublishedConnection::peer() const {
  PeerAddress peer;
  const std::uint64_t place = place_.load(std::memory_order_acquire);
  const std::uint64_t words[2] = {ip_[0].load(std::memory_order_acquire),
                                  ip_[1].load(std::memory_order_acquire)};
  std::memcpy(peer.ip.data(), words, sizeof words);
  peer.port = static_cast<std::uint16_t>(place);
  peer.family = static_cast<sa_family_t>(place >> 32);
  return peer;
}

std::optional<PublishedConnection::Snapshot> PublishedConnection::read() const {
  const std::uint32_t version = version_.load(std::memory_order_acquire);
  Snapshot snapshot;
  snapshot.descriptor = descriptor_.load(std::memory_order_acquire);
  snapshot.peer = peer();
  snapshot.listener = listener();
  snapshot.state = state_.load(std::memory_order_relaxed);
  snapshot.receive_tick = receive_tick();
  const bool mixed = version % 2 != 0 || version_.load(std::memory_order_relaxed) != version;
  if (mixed || snapshot.descriptor == kClosed) return std::nullopt;
  return snapshot;
}

}  // namespace ringcached::net
