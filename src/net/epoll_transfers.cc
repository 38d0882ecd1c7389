// The epoll ring's system calls on sockets: one attempt each, which completes or parks its operation.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "net/datagram.h"
#include "net/epoll_ring.h"

namespace ringcached::net {

namespace {

using Kind = EpollOperation::Kind;

// Receives or accepts of one descriptor in a turn; then the others have theirs.
constexpr unsigned kReadsPerTurn = 16;

int attempt(const EpollOperation& operation) {
  constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
  if (operation.kind != Kind::kSendMessage) {
    return result_of(::send(operation.descriptor, operation.memory, operation.number, kFlags));
  }
  return result_of(::sendmsg(operation.descriptor, static_cast<const msghdr*>(operation.memory), kFlags));
}

}  // namespace

// --- Sending

void EpollRing::start_send(const EpollOperation& operation) {
  const auto index = static_cast<std::size_t>(operation.descriptor);
  const bool others_wait = index < watches_.size() && watches_[index].first_send != kNone;
  const int result = others_wait ? -EAGAIN : attempt(operation);
  if (result == -EAGAIN) return park_send(operation);
  complete(operation.token, result);
}

void EpollRing::send_silently_now(const EpollOperation& operation) {
  const int result = attempt(operation);
  if (result < 0 || static_cast<std::uint64_t>(result) < operation.number) complete(operation.token, result);
}

void EpollRing::park_send(const EpollOperation& operation) {
  Watch& watch = watch_of(operation.descriptor);
  if (!watch.wants_writable) {
    if (const int error = register_watch(operation.descriptor, watch, true); error < 0) {
      return complete(operation.token, error);
    }
  }
  const Place place = parked_.add(operation);
  Place* link = &watch.first_send;
  while (*link != kNone) link = &parked_.next(*link);
  *link = place;
}

void EpollRing::resume_sends(int descriptor) {
  Watch& watch = watch_of(descriptor);
  if (watch.first_send == kNone) {
    // UNIX and UDP sockets tell whenever something has left them.
    if (watch.wants_writable) register_watch(descriptor, watch, false);
    return;
  }
  while (watch.first_send != kNone) {
    const Place place = watch.first_send;
    const int result = attempt(parked_.at(place));
    if (result == -EAGAIN) return;
    end(place, result);
  }
}

// --- Reading

void EpollRing::read(int descriptor) {
  Watch& watch = watch_of(descriptor);
  for (unsigned i = 0; i < kReadsPerTurn; ++i) {
    if (!watch.readable || watch.reader == kNone) return;
    if (!has_room()) break;
    read_once(watch);
  }
  if (!watch.readable || watch.reader == kNone || watch.unfinished) return;
  watch.unfinished = true;
  unfinished_.push_back(descriptor);
}

void EpollRing::read_once(Watch& watch) {
  const EpollOperation& operation = parked_.at(watch.reader);
  switch (operation.kind) {
    case Kind::kAccept:
      return accept_once(watch, operation);
    case Kind::kReceive:
      return receive_some(watch, operation);
    case Kind::kReceiveDirect:
      return receive_direct_once(watch, operation);
    case Kind::kReceiveDatagram:
      return receive_datagram_once(watch, operation);
    default:
      watch.readable = false;
      complete(operation.token, POLLIN, Completion::kMore);
  }
}

void EpollRing::accept_once(Watch& watch, const EpollOperation& operation) {
  const int result = result_of(accept4(operation.descriptor, nullptr, nullptr, SOCK_CLOEXEC));
  if (result == -EAGAIN) {
    watch.readable = false;
  } else if (result >= 0) {
    complete(operation.token, result, Completion::kMore);
  } else {
    end(watch.reader, result);
  }
}

// The buffer the next receive fills.
std::uint16_t EpollRing::open_buffer() {
  const std::uint16_t id = free_buffers_.back();
  if constexpr (RC_POISONS_BUFFERS != 0) buffers_.on_filled(id);
  return id;
}

// What a receive into open_buffer() has led to. True: `bytes` of the buffer are lent.
bool EpollRing::filled(Watch& watch, const EpollOperation& operation, long bytes) {
  const int error = bytes < 0 ? -errno : 0;
  const bool is_end = bytes == 0 && operation.kind == Kind::kReceive;
  if (error == 0 && !is_end) {
    const std::uint32_t id = free_buffers_.back();
    free_buffers_.pop_back();
    const std::uint32_t flags = Completion::kHasBuffer | id << Completion::kBufferShift;
    const bool once = operation.kind == Kind::kReceive && operation.number != 0;
    if (once) {
      end(watch.reader, static_cast<std::int32_t>(bytes), flags);
    } else {
      complete(operation.token, static_cast<std::int32_t>(bytes), flags | Completion::kMore);
    }
    return true;
  }
  if constexpr (RC_POISONS_BUFFERS != 0) buffers_.hide(free_buffers_.back());
  if (error == -EAGAIN) {
    watch.readable = watch.thorough = false;
  } else {
    end(watch.reader, error);
  }
  return false;
}

void EpollRing::receive_some(Watch& watch, const EpollOperation& operation) {
  if (free_buffers_.empty()) return end(watch.reader, -ENOBUFS);
  std::span<char> room = buffers_.buffer(open_buffer());
  if (operation.number != 0) room = room.first(std::min<std::size_t>(room.size(), operation.number));
  const ssize_t bytes = recv(operation.descriptor, room.data(), room.size(), MSG_DONTWAIT);
  if (filled(watch, operation, bytes)) note_short_read(watch, static_cast<std::size_t>(bytes), room.size());
}

void EpollRing::receive_direct_once(Watch& watch, const EpollOperation& operation) {
  const auto* const pieces = static_cast<const iovec*>(operation.memory);
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces);
  message.msg_iovlen = operation.number;
  const int result = result_of(recvmsg(operation.descriptor, &message, MSG_DONTWAIT));
  if (result == -EAGAIN) {
    watch.readable = watch.thorough = false;
    return;
  }
  std::size_t room = 0;
  for (const iovec& piece : std::span(pieces, operation.number)) room += piece.iov_len;
  end(watch.reader, result);
  if (result > 0) note_short_read(watch, static_cast<std::size_t>(result), room);
}

// Less than there was room for: nothing is left, as far as a short read tells that.
void EpollRing::note_short_read(Watch& watch, std::size_t bytes, std::size_t room) {
  if (bytes < room && watch.stream_drains && !watch.thorough) watch.readable = false;
}

void EpollRing::receive_datagram_once(Watch& watch, const EpollOperation& operation) {
  if (free_buffers_.empty()) return end(watch.reader, -ENOBUFS);
  const auto& shape = *static_cast<const msghdr*>(operation.memory);
  const std::size_t overhead = sizeof(DatagramHeader) + shape.msg_namelen + shape.msg_controllen;
  if (buffers_.buffer(0).size() < overhead) return end(watch.reader, -EFAULT);
  const std::span<char> room = buffers_.buffer(open_buffer());
  char* const name = room.data() + sizeof(DatagramHeader);
  iovec payload{room.data() + overhead, room.size() - overhead};
  msghdr message{};
  message.msg_name = name;
  message.msg_namelen = shape.msg_namelen;
  message.msg_control = name + shape.msg_namelen;
  message.msg_controllen = shape.msg_controllen;
  message.msg_iov = &payload;
  message.msg_iovlen = 1;
  const ssize_t bytes = recvmsg(operation.descriptor, &message, MSG_DONTWAIT);
  const bool lent = filled(watch, operation, bytes < 0 ? bytes : bytes + static_cast<ssize_t>(overhead));
  if (!lent) return;
  const DatagramHeader header{message.msg_namelen, static_cast<std::uint32_t>(message.msg_controllen),
                              static_cast<std::uint32_t>(bytes),
                              static_cast<std::uint32_t>(message.msg_flags)};
  std::memcpy(room.data(), &header, sizeof header);
}

}  // namespace ringcached::net
