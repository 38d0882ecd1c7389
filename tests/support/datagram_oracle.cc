#include "support/datagram_oracle.h"

namespace ringcached::testing {
namespace {

std::uint16_t word(std::string_view datagram, std::size_t index) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(datagram[2 * index]) << 8 |
                                    static_cast<unsigned char>(datagram[2 * index + 1]));
}

// What answers by something else than a reply, or says how the server has been asked.
bool comparable_with_tcp(std::string_view payload) {
  for (const std::string_view word : {"stats", "watch", "lru_crawler", "shutdown"}) {
    if (payload.find(word) != std::string_view::npos) return false;
  }
  return true;
}

config::Config with_default_clients() {
  config::Config config;
  for (const std::string& text : config.network.udp_clients) {
    config.udp_clients.push_back(config::parse_ip_network(text).value());
  }
  return config;
}

// The datagram from a stranger, then to a new server from a friend, then a simple one that must not notice
// it.
class DatagramCheck {
 public:
  explicit DatagramCheck(std::string_view datagram) : datagram_(datagram) {}

  std::string run() {
    const auto request = protocol::parse_udp_request(datagram_);
    CollectedReplies foreign;
    SessionHarness other({}, with_default_clients());
    server::DatagramService(other.worker()).on_datagram(foreign_peer(), datagram_, foreign);
    if (foreign.wire_bytes() > datagram_.size()) return "a stranger got more bytes than it sent";
    SessionHarness fresh({}, with_default_clients());
    server::DatagramService service(fresh.worker());
    CollectedReplies replies;
    const bool whole = service.on_datagram(local_peer(), datagram_, replies);
    if (!request && (whole || replies.wire_bytes() > 0)) return "a malformed datagram was accepted";
    std::string all;
    for (const std::string& message : replies.messages(request ? request->id : 0, fault_)) all += message;
    if (fault_.empty() && request) compare_with_tcp(request->payload, all, replies.dropped());
    if (fault_.empty()) check_unchanged(service);
    return fault_;
  }

 private:
  void compare_with_tcp(std::string_view payload, const std::string& replies, unsigned dropped) {
    if (dropped > 0 || !comparable_with_tcp(payload)) return;
    SessionHarness tcp;
    if (!tcp.feed(payload).starts_with(replies)) fault_ = "the replies are not those of a connection";
  }

  void check_unchanged(server::DatagramService& service) {
    CollectedReplies replies;
    std::vector<std::string> messages;
    if (service.on_datagram(local_peer(), framed(99, "get no-such-key\r\n"), replies)) {
      messages = replies.messages(99, fault_);
    }
    if (messages != std::vector<std::string>{"END\r\n"}) fault_ = "the datagram before left something behind";
  }

  std::string_view datagram_;
  std::string fault_;
};

}  // namespace

std::size_t CollectedReplies::wire_bytes() const {
  std::size_t bytes = 0;
  for (const std::string& datagram : datagrams_) bytes += datagram.size();
  return bytes;
}

std::vector<std::string> CollectedReplies::messages(std::uint16_t request_id, std::string& fault) const {
  std::vector<std::string> found;
  std::size_t sequence = 0;
  for (const std::string& datagram : datagrams_) {
    const bool framed = datagram.size() > protocol::kUdpHeaderBytes && word(datagram, 0) == request_id &&
                        word(datagram, 1) == sequence && word(datagram, 2) > sequence &&
                        word(datagram, 3) == 0;
    if (!framed) {
      fault = "a reply in a wrong frame";
      return {};
    }
    if (sequence == 0) found.emplace_back();
    found.back() += datagram.substr(protocol::kUdpHeaderBytes);
    const bool last = ++sequence == word(datagram, 2);
    if (!last && datagram.size() != protocol::kUdpDatagramBytesMax) fault = "a datagram that is not full";
    if (last) sequence = 0;
  }
  if (sequence != 0) fault = "a message that is not whole";
  return found;
}

std::string framed(std::uint16_t request_id, std::string_view payload) {
  std::string datagram(protocol::kUdpHeaderBytes, '\0');
  protocol::write_udp_header(std::span(datagram).first<protocol::kUdpHeaderBytes>(), request_id, 0, 1);
  return datagram.append(payload);
}

std::string check_datagram(std::string_view datagram) {
  return DatagramCheck(datagram).run();
}

}  // namespace ringcached::testing
