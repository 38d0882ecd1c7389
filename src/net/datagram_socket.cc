#include "net/datagram_socket.h"

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "base/assert.h"

namespace ringcached::net {
namespace {

DatagramPeer peer_of(const sockaddr_storage& address) {
  DatagramPeer peer;
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    peer.port = ntohs(v4.sin_port);
    std::memcpy(peer.ip.data(), &v4.sin_addr, sizeof v4.sin_addr);
  } else {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    peer.v6 = true;
    peer.port = ntohs(v6.sin6_port);
    std::memcpy(peer.ip.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
  }
  return peer;
}

}  // namespace

DatagramSocket::DatagramSocket(WorkerContext& context, std::uint32_t number, Listener socket)
    : context_(context),
      number_(number),
      socket_(std::move(socket)),
      info_(socket_.info()),
      shape_(datagram_shape()) {}

void DatagramSocket::begin(DatagramHandler& handler) {
  handler_ = &handler;
  feed();
}

// --- Receiving

void DatagramSocket::feed() {
  if (handler_ == nullptr || armed_ || failed_ || stopping_) return;
  if (context_.buffers.with_kernel() == 0) return;  // it would end at once
  context_.ring.receive_datagram_multishot(info_.descriptor, shape_, receive_token());
  armed_ = true;
}

void DatagramSocket::on_receive(const Completion& completion) {
  if (!completion.more()) {
    RC_CHECK(armed_);
    armed_ = false;
  }
  if (completion.has_buffer()) return accept_datagram(completion);
  switch (-completion.result) {
    case ENOBUFS:
      context_.counters.receive_buffers_exhausted.add();
      return;
    case 0:
    case ECANCELED:
    case EINTR:
    case EAGAIN:
      return;
    default:
      failed_ = true;
  }
}

void DatagramSocket::accept_datagram(const Completion& completion) {
  const std::uint16_t id = completion.buffer_id();
  const auto bytes = static_cast<std::uint32_t>(completion.result > 0 ? completion.result : 0);
  context_.buffers.lend(id, bytes);
  context_.counters.datagrams_received.add();
  receive_tick_.store(context_.wheel.now(), std::memory_order_relaxed);
  try {
    if (!show(context_.buffers.unread(id))) context_.counters.datagrams_malformed.add();
  } catch (const std::bad_alloc&) {
    take_back_appended();
    count_dropped();
  }
  context_.buffers.give(id);
  send_appended();
}

bool DatagramSocket::show(std::span<const char> filled) {
  const auto datagram = read_datagram(filled);
  if (!datagram) return false;
  const sa_family_t family = datagram->peer.ss_family;
  if (family != AF_INET && family != AF_INET6) return false;
  context_.counters.bytes_read.add(datagram->payload.size());
  if (datagram->truncated) return false;
  current_ = *datagram;
  return handler_->on_datagram(peer_of(current_.peer), current_.payload, *this);
}

// --- Sending

std::uint32_t DatagramSocket::take_slot() {
  if (free_.empty()) {
    // With the room that the index needs in either list, whatever becomes of it.
    const std::size_t count = slots_.size() + 1;
    if (appended_.capacity() < count) appended_.reserve(2 * count);
    if (free_.capacity() < count) free_.reserve(2 * count);
    slots_.push_back(std::make_unique<Reply>());
    return static_cast<std::uint32_t>(slots_.size() - 1);
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  return index;
}

std::span<char> DatagramSocket::append(std::size_t bytes) {
  RC_CHECK(bytes > 0 && bytes <= kBytesMax && room() > 0);
  const std::uint32_t index = take_slot();
  appended_.push_back(index);
  Reply& reply = *slots_[index];
  reply.peer = current_.peer;
  reply.piece = {reply.bytes.data(), bytes};
  reply.message = {};
  reply.message.msg_name = &reply.peer;
  reply.message.msg_namelen = current_.peer_bytes;
  reply.message.msg_iov = &reply.piece;
  reply.message.msg_iovlen = 1;
  return {reply.bytes.data(), bytes};
}

void DatagramSocket::send_appended() {
  for (const std::uint32_t index : appended_) {
    Reply& reply = *slots_[index];
    context_.ring.send_message(info_.descriptor, reply.message, send_token(index));
    reply.in_flight = true;
    ++in_flight_;
    sent_since_tick_ = true;
  }
  appended_.clear();
}

void DatagramSocket::take_back_appended() {
  free_.insert(free_.end(), appended_.begin(), appended_.end());
  appended_.clear();
}

void DatagramSocket::on_send(const Completion& completion) {
  const std::uint32_t index = token_generation(completion.token);
  RC_CHECK(index < slots_.size() && slots_[index]->in_flight && in_flight_ > 0);
  slots_[index]->in_flight = false;
  --in_flight_;
  free_.push_back(index);
  if (completion.result < 0) return context_.counters.datagram_send_errors.add();
  context_.counters.datagrams_sent.add();
  context_.counters.bytes_written.add(static_cast<std::uint64_t>(completion.result));
}

void DatagramSocket::on_tick() {
  failed_ = false;
  feed();
  if (!sent_since_tick_ && in_flight_ == 0) {
    slots_.clear();
    free_.clear();
  }
  sent_since_tick_ = false;
}

// --- The end

void DatagramSocket::cancel(Token target) {
  context_.ring.cancel(target, make_token(Operation::kCancelDatagram, number_));
  ++cancels_in_flight_;
}

void DatagramSocket::stop() {
  stopping_ = true;
  if (armed_ && cancels_in_flight_ == 0) cancel(receive_token());
}

void DatagramSocket::on_cancel() {
  RC_CHECK(cancels_in_flight_ > 0);
  --cancels_in_flight_;
}

void DatagramSocket::abandon_replies() {
  if (cancels_in_flight_ != 0) return;
  for (std::uint32_t index = 0; index < slots_.size(); ++index) {
    if (slots_[index]->in_flight) cancel(send_token(index));
  }
}

void DatagramSocket::close() {
  RC_CHECK(ended());
  if (socket_.descriptor() >= 0) context_.ring.close_socket(socket_.release_descriptor());
}

}  // namespace ringcached::net
