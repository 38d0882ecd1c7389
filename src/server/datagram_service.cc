#include "server/datagram_service.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include "net/address.h"
#include "protocol/reply.h"
#include "server/binary_session.h"
#include "server/dialect_session.h"
#include "server/negotiation.h"

namespace ringcached::server {
namespace {

static_assert(DatagramReplies::kBytesMax == protocol::kUdpDatagramBytesMax);
static_assert(DatagramReplies::kInFlightMax <= std::numeric_limits<std::uint16_t>::max());

// While it lives, sessions stop after each request.
class OneRequestPerTurn {
 public:
  explicit OneRequestPerTurn(WorkerContext& worker)
      : worker_(worker), before_(std::exchange(worker.requests_per_turn, 1U)) {}
  ~OneRequestPerTurn() { worker_.requests_per_turn = before_; }
  OneRequestPerTurn(const OneRequestPerTurn&) = delete;
  OneRequestPerTurn& operator=(const OneRequestPerTurn&) = delete;

 private:
  WorkerContext& worker_;
  const unsigned before_;
};

// Lays bytes one behind the other into the datagrams of one message.
class MessageWriter {
 public:
  MessageWriter(DatagramReplies& replies, std::uint16_t request_id, std::size_t bytes)
      : replies_(replies), request_id_(request_id), bytes_(bytes) {}

  void write(std::string_view piece) {
    while (!piece.empty()) {
      if (free_.empty()) begin_datagram();
      const std::size_t part = std::min(piece.size(), free_.size());
      std::memcpy(free_.data(), piece.data(), part);
      free_ = free_.subspan(part);
      piece.remove_prefix(part);
    }
  }

 private:
  void begin_datagram() {
    const std::span<char> datagram = replies_.append(protocol::udp_datagram_bytes(bytes_, sequence_));
    protocol::write_udp_header(datagram.first<protocol::kUdpHeaderBytes>(), request_id_,
                               static_cast<std::uint16_t>(sequence_),
                               static_cast<std::uint16_t>(protocol::udp_datagrams(bytes_)));
    free_ = datagram.subspan(protocol::kUdpHeaderBytes);
    ++sequence_;
  }

  DatagramReplies& replies_;
  const std::uint16_t request_id_;
  const std::size_t bytes_;  // of the whole message
  std::size_t sequence_ = 0;
  std::span<char> free_;  // what is left of the datagram begun last
};

}  // namespace

std::string DatagramConnection::peer_name() const {
  net::PeerAddress address;
  address.family = peer_->v6 ? AF_INET6 : AF_INET;
  address.port = peer_->port;
  address.ip = peer_->ip;
  return "udp" + address.name({}).substr(3);
}

bool DatagramService::on_datagram(const DatagramPeer& peer, std::span<const char> datagram,
                                  DatagramReplies& replies) {
  const auto request = protocol::parse_udp_request({datagram.data(), datagram.size()});
  if (!request) return false;
  const OneRequestPerTurn guard(worker_);
  connection_.begin(peer, replies);
  const std::size_t allowance = is_trusted(peer) ? std::numeric_limits<std::size_t>::max() : datagram.size();
  Exchange exchange{request->id, allowance, replies};
  return hold(exchange, request->payload);
}

// Whatever comes of it, nothing is left of it for the next.
bool DatagramService::hold(Exchange& exchange, std::string_view input) {
  try {
    const bool complete = converse(exchange, input);
    connection_.collected().clear();
    return complete;
  } catch (const std::bad_alloc&) {
    worker_.successor.reset();
    net::SendQueue& collected = connection_.collected();
    if (collected.sending()) collected.complete(collected.in_flight_bytes());
    collected.clear();
    throw;
  }
}

bool DatagramService::converse(Exchange& exchange, std::string_view input) {
  std::unique_ptr<ConnectionHandler> handler = make_first_handler(worker_, connection_);
  bool handed_over = false;
  while (!input.empty()) {
    const auto* session = dynamic_cast<const DialectSession*>(handler.get());
    const Consumed consumed = handler->on_data(connection_, input);
    input.remove_prefix(consumed.bytes);
    const bool between = session == nullptr || session->between_requests();
    switch (consumed.next) {
      case Next::kYield:
        // A request that is to wait for later turns: datagrams may be lost.
        if (consumed.bytes == 0) return exchange.replies.count_dropped(), true;
        if (!between && input.empty()) return false;
        if (between) reply(exchange);
        break;
      case Next::kReceive:
      case Next::kReceiveDirect:
        if (!between || !input.empty()) return false;
        reply(exchange);
        break;
      case Next::kClose:
      case Next::kReject:
        reply(exchange);
        return true;
      case Next::kBlocked:
        exchange.replies.count_dropped();
        return true;
      case Next::kHandOver:
        // The first is from the negotiation to the session of the dialect; what a session hands over to is
        // for streams only.
        {
          std::unique_ptr<ConnectionHandler> next = handler->successor();
          if (handed_over || session != nullptr) return refuse(exchange, *handler), true;
          handler = std::move(next);
        }
        if (handler->on_begin(connection_) != Next::kReceive) return refuse(exchange, *handler), true;
        handed_over = true;
        break;
      case Next::kProduce:
        return refuse(exchange, *handler), true;
    }
  }
  return true;
}

// Whatever the request has put out so far was the beginning of something that does not go by datagrams. A
// line of text is no answer to a binary client: it gets none.
void DatagramService::refuse(Exchange& exchange, const ConnectionHandler& handler) {
  worker_.successor.reset();
  connection_.collected().clear();
  if (dynamic_cast<const BinarySession*>(&handler) != nullptr) return exchange.replies.count_dropped();
  connection_.output().append(protocol::reply::kError);
  reply(exchange);
}

void DatagramService::reply(Exchange& exchange) {
  net::SendQueue& collected = connection_.collected();
  const std::size_t bytes = collected.unsent();
  if (bytes == 0) return;
  const std::size_t datagrams = protocol::udp_datagrams(bytes);
  const std::size_t wire_bytes = bytes + datagrams * protocol::kUdpHeaderBytes;
  if (datagrams > exchange.replies.room() || wire_bytes > exchange.reply_bytes_left) {
    exchange.replies.count_dropped();
    return collected.clear();
  }
  exchange.reply_bytes_left -= wire_bytes;
  send(exchange, bytes);
}

void DatagramService::send(Exchange& exchange, std::size_t bytes) {
  net::SendQueue& collected = connection_.collected();
  MessageWriter message(exchange.replies, exchange.request_id, bytes);
  while (collected.unsent() > 0) {
    const net::SendQueue::Batch batch = collected.begin();
    message.write({batch.plain.data(), batch.plain.size()});
    for (std::size_t i = 0; batch.message != nullptr && i < batch.message->msg_iovlen; ++i) {
      const iovec& piece = batch.message->msg_iov[i];
      message.write({static_cast<const char*>(piece.iov_base), piece.iov_len});
    }
    collected.complete(batch.bytes);
  }
}

bool DatagramService::is_trusted(const DatagramPeer& peer) const {
  return std::ranges::any_of(worker_.server.config.udp_clients, [&](const config::IpNetwork& network) {
    return network.contains(peer.v6, peer.ip);
  });
}

}  // namespace ringcached::server
