// The calls of the engine: queueing, the turn, buffers, descriptors. What they set off is in sim_events.cc.
#include "support/sim_ring.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/assert.h"
#include "base/hash.h"
#include "net/datagram.h"
#include "support/sim_state.h"

#if defined(__SANITIZE_ADDRESS__)
#define RC_SIM_POISONING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RC_SIM_POISONING 1
#endif
#endif
#ifdef RC_SIM_POISONING
#include <sanitizer/asan_interface.h>
#endif

namespace ringcached::testing {

namespace {

void poison([[maybe_unused]] std::span<char> bytes) {
#ifdef RC_SIM_POISONING
  ASAN_POISON_MEMORY_REGION(bytes.data(), bytes.size());
#endif
}

void unpoison([[maybe_unused]] std::span<char> bytes) {
#ifdef RC_SIM_POISONING
  ASAN_UNPOISON_MEMORY_REGION(bytes.data(), bytes.size());
#endif
}

constexpr char kScribble = '\xDB';  // in buffers given back, for builds without the address sanitizer

}  // namespace

std::uint64_t checksum_of(const SimOperation& send) {
  if (send.message == nullptr) return hash_key({send.data.data(), send.data.size()}, 1);
  const msghdr& message = *send.message;
  std::uint64_t sum = hash_key({reinterpret_cast<const char*>(&message), sizeof(message)}, 2);
  sum = hash_key({reinterpret_cast<const char*>(message.msg_iov), message.msg_iovlen * sizeof(iovec)}, sum);
  sum = hash_key({static_cast<const char*>(message.msg_name), message.msg_namelen}, sum);
  for (std::size_t i = 0; i < message.msg_iovlen; ++i) {
    const iovec& part = message.msg_iov[i];
    sum = hash_key({static_cast<const char*>(part.iov_base), part.iov_len}, sum);
  }
  return sum;
}

std::string gather(const SimOperation& send) {
  if (send.message == nullptr) return std::string(send.data.data(), send.data.size());
  std::string bytes;
  for (std::size_t i = 0; i < send.message->msg_iovlen; ++i) {
    const iovec& part = send.message->msg_iov[i];
    bytes.append(static_cast<const char*>(part.iov_base), part.iov_len);
  }
  return bytes;
}

SimRing::SimRing(SimWorld::State& world, unsigned id, const net::RingOptions& options)
    : world_(world), id_(id), options_(options) {
  memory_.resize(std::size_t{options.receive_buffers} * options.receive_buffer_bytes, kScribble);
  buffer_states_.resize(options.receive_buffers, BufferState::kFree);
  for (unsigned i = 0; i < options.receive_buffers; ++i)
    free_buffers_.push_back(static_cast<std::uint16_t>(i));
  poison(memory_);
}

SimRing::~SimRing() {
  unpoison(memory_);
  std::vector<SimOperationPointer> left(queued_.begin(), queued_.end());
  left.insert(left.end(), active_.begin(), active_.end());
  for (const auto* entries : {&visible_, &overflowed_}) {
    for (const Entry& entry : *entries) {
      if (entry.operation && !entry.completion.more()) left.push_back(entry.operation);
    }
  }
  for (const Entry& entry : delayed_) {
    if (entry.operation && !entry.completion.more()) left.push_back(entry.operation);
  }
  for (const SimOperationPointer& operation : left) {
    if (operation->object == nullptr) continue;
    const SimObject& object = *operation->object;
    if (object.kind == SimObject::Kind::kSocket) {
      world_.violation("ring " + std::to_string(id_) +
                       " destroyed with an operation in flight on descriptor " +
                       std::to_string(object.descriptor));
    }
    finish(operation);
  }
  const auto lent = std::count(buffer_states_.begin(), buffer_states_.end(), BufferState::kLent);
  if (lent != 0) {
    world_.violation("ring " + std::to_string(id_) + " destroyed with " + std::to_string(lent) +
                     " buffers lent");
  }
  world_.rings[id_] = nullptr;
}

Status SimRing::enable() {
  if (enabled_) world_.violation("ring " + std::to_string(id_) + " enabled twice");
  enabled_ = true;
  return Status::ok();
}

// --- Queueing

SimOperation& SimRing::queue(SimOperation::Kind kind, net::Token token) {
  if (!enabled_) world_.violation("operation queued on ring " + std::to_string(id_) + " before enable()");
  if (queued_.size() >= options_.submission_entries) submit();
  auto operation = std::make_shared<SimOperation>();
  operation->serial = world_.next_serial++;
  operation->kind = kind;
  operation->token = token;
  queued_.push_back(operation);
  return *operation;
}

SimOperation& SimRing::queue_on(SimOperation::Kind kind, int descriptor, net::Token token) {
  SimOperation& operation = queue(kind, token);
  operation.object = world_.object(descriptor);
  if (operation.object == nullptr) {
    world_.violation("operation on descriptor " + std::to_string(descriptor) + ", which is not open");
    return operation;
  }
  SimObject& object = *operation.object;
  ++object.in_flight;
  if (object.used.size() < 8) object.used.push_back({id_, token});
  if (kind == SimOperation::Kind::kSend && ++object.sends_in_flight > 1 &&
      object.kind != SimObject::Kind::kDatagram) {
    world_.violation("two sends in flight on descriptor " + std::to_string(descriptor));
  }
  return operation;
}

void SimRing::accept_multishot(int listener, net::Token token) {
  queue_on(SimOperation::Kind::kAccept, listener, token);
}

void SimRing::receive_multishot(int socket, net::Token token) {
  queue_on(SimOperation::Kind::kReceive, socket, token);
}

void SimRing::receive_once(int socket, std::uint32_t bytes_max, net::Token token) {
  if (bytes_max == 0) world_.violation("a receive of nothing");
  queue_on(SimOperation::Kind::kReceive, socket, token).bytes_max = bytes_max;
}

void SimRing::receive_direct(int socket, std::span<const iovec> pieces, net::Token token) {
  for (const iovec& piece : pieces) {
    if (piece.iov_len == 0) world_.violation("an empty piece to receive into");
  }
  if (pieces.empty()) world_.violation("a receive into nothing");
  queue_on(SimOperation::Kind::kReceiveDirect, socket, token).pieces = pieces;
}

void SimRing::receive_datagram_multishot(int socket, const msghdr& shape, net::Token token) {
  if (shape.msg_namelen != net::kDatagramNameBytes || shape.msg_controllen != 0) {
    world_.violation("a shape of received datagrams that is not net/datagram.h's");
  }
  queue_on(SimOperation::Kind::kReceiveDatagram, socket, token);
}

void SimRing::send(int socket, std::span<const char> data, net::Token token) {
  SimOperation& operation = queue_on(SimOperation::Kind::kSend, socket, token);
  operation.data = data;
  operation.checksum = checksum_of(operation);
}

void SimRing::send_silently(int socket, std::span<const char> data, net::Token token) {
  send(socket, data, token);
  queued_.back()->silent = true;
}

bool SimRing::silent_sends_settled() const {
  const auto silent = [](const Entry& entry) {
    return entry.operation != nullptr && entry.operation->silent;
  };
  return std::none_of(queued_.begin(), queued_.end(),
                      [](const SimOperationPointer& operation) { return operation->silent; }) &&
         std::none_of(delayed_.begin(), delayed_.end(), silent) &&
         std::none_of(visible_.begin(), visible_.end(), silent) &&
         std::none_of(overflowed_.begin(), overflowed_.end(), silent);
}

void SimRing::send_message(int socket, const msghdr& message, net::Token token) {
  SimOperation& operation = queue_on(SimOperation::Kind::kSend, socket, token);
  operation.message = &message;
  operation.checksum = checksum_of(operation);
}

void SimRing::cancel(net::Token target, net::Token token) {
  queue(SimOperation::Kind::kCancel, token).target = target;
}

void SimRing::timeout(std::chrono::nanoseconds delay, net::Token token) {
  queue(SimOperation::Kind::kTimeout, token).delay = delay;
}

void SimRing::poll_readable_multishot(int descriptor, net::Token token) {
  queue_on(SimOperation::Kind::kPoll, descriptor, token);
}

void SimRing::post(net::Ring& target, std::int32_t result, net::Token target_token, net::Token token) {
  auto* ring = dynamic_cast<SimRing*>(&target);
  RC_CHECK(ring != nullptr);
  SimOperation& operation = queue(SimOperation::Kind::kPost, token);
  operation.target_ring = ring->id_;
  operation.target = target_token;
  operation.post_result = result;
}

void SimRing::arm_wake(net::Token token) {
  queue(SimOperation::Kind::kWake, token);
}

void SimRing::wake() {
  ++wakes_;
}

// --- Buffers

std::span<char> SimRing::buffer(std::uint16_t id) {
  if (id >= buffer_states_.size() || buffer_states_[id] != BufferState::kLent) {
    world_.violation("buffer " + std::to_string(id) + " asked for, which is not lent");
    if (id >= buffer_states_.size()) return {};
  }
  return std::span(memory_).subspan(std::size_t{id} * options_.receive_buffer_bytes,
                                    options_.receive_buffer_bytes);
}

void SimRing::return_buffers(std::span<const std::uint16_t> ids) {
  for (const std::uint16_t id : ids) {
    if (id >= buffer_states_.size() || buffer_states_[id] != BufferState::kLent) {
      world_.violation("buffer " + std::to_string(id) + " returned, which is not lent");
      continue;
    }
    const std::span<char> bytes = buffer(id);
    std::fill(bytes.begin(), bytes.end(), kScribble);
    poison(bytes);
    buffer_states_[id] = BufferState::kFree;
    free_buffers_.push_back(id);
  }
}

std::size_t SimRing::draw_receive(std::size_t there, std::size_t room) {
  const std::size_t count = std::min(there, room);
  if (!world_.inject(world_.faults.short_receive, "short_receive")) return count;
  return world_.random.coin() ? 1 : 1 + world_.random.below(count);
}

int SimRing::fill_pieces(std::string& bytes, std::span<const iovec> pieces) {
  std::size_t room = 0;
  for (const iovec& piece : pieces) room += piece.iov_len;
  const std::size_t count = draw_receive(bytes.size(), room);
  std::size_t filled = 0;
  for (const iovec& piece : pieces) {
    const std::size_t part = std::min(piece.iov_len, count - filled);
    std::memcpy(piece.iov_base, bytes.data() + filled, part);
    filled += part;
  }
  bytes.erase(0, count);
  return static_cast<int>(count);
}

int SimRing::take_buffer(std::string& bytes, std::size_t bytes_max, std::uint32_t& flags) {
  const std::size_t room = options_.receive_buffer_bytes;
  const std::size_t count = draw_receive(bytes.size(), bytes_max == 0 ? room : std::min(room, bytes_max));
  const std::span<char> memory = open_buffer(flags);
  std::memcpy(memory.data(), bytes.data(), count);
  seal_buffer(memory);
  bytes.erase(0, count);
  return static_cast<int>(count);
}

std::span<char> SimRing::open_buffer(std::uint32_t& flags) {
  const std::uint16_t id = free_buffers_.front();
  free_buffers_.pop_front();
  const std::span<char> memory = std::span(memory_).subspan(std::size_t{id} * options_.receive_buffer_bytes,
                                                            options_.receive_buffer_bytes);
  unpoison(memory);
  buffer_states_[id] = BufferState::kFilled;
  flags = net::Completion::kHasBuffer | std::uint32_t{id} << net::Completion::kBufferShift;
  return memory;
}

void SimRing::seal_buffer(std::span<char> buffer) {
  poison(buffer);
}

int SimRing::take_buffer(const SimWorld::Datagram& datagram, std::uint32_t& flags) {
  const std::span<char> memory = open_buffer(flags);
  RC_CHECK(memory.size() > net::kDatagramOverheadBytes);
  std::size_t room = memory.size() - net::kDatagramOverheadBytes;
  if (!datagram.payload.empty() && world_.inject(world_.faults.datagram_cut, "datagram_cut")) {
    room = std::min<std::size_t>(room, world_.random.below(datagram.payload.size()));
  }
  const std::size_t count = std::min(room, datagram.payload.size());
  const bool cut = count < datagram.payload.size();
  const net::DatagramHeader header{sizeof(sockaddr_in), 0, static_cast<std::uint32_t>(count),
                                   cut ? std::uint32_t{MSG_TRUNC} : 0};
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  peer.sin_port = htons(datagram.port);
  std::memcpy(memory.data(), &header, sizeof header);
  std::memcpy(memory.data() + sizeof header, &peer, sizeof peer);
  std::memcpy(memory.data() + net::kDatagramOverheadBytes, datagram.payload.data(), count);
  seal_buffer(memory);
  return static_cast<int>(net::kDatagramOverheadBytes + count);
}

// --- The turn

void SimRing::submit() {
  while (!queued_.empty()) {
    const SimOperationPointer operation = queued_.front();
    queued_.pop_front();
    active_.push_back(operation);
    world_.note({.what = name_of(operation->kind),
                 .ring = id_,
                 .token = operation->token,
                 .descriptor = operation->object ? operation->object->descriptor : -1});
    if (operation->on_descriptor() && (operation->object == nullptr || operation->object->closed)) {
      complete(operation, -EBADF);
    } else if (operation->silent) {
      run_silent_send(operation);
    } else if (operation->kind == SimOperation::Kind::kCancel) {
      start_cancel(operation);
    } else if (operation->kind == SimOperation::Kind::kTimeout) {
      operation->deadline_ns =
          world_.clock.monotonic_ns() +
          static_cast<std::uint64_t>(std::max<std::int64_t>(operation->delay.count(), 0));
    }
  }
}

void SimRing::flush_overflow() {
  while (!overflowed_.empty() && visible_.size() < options_.completion_entries) {
    visible_.push_back(std::move(overflowed_.front()));
    overflowed_.pop_front();
  }
}

int SimRing::submit_and_wait(unsigned completions_min, std::chrono::nanoseconds timeout) {
  if (!enabled_) world_.violation("turn of ring " + std::to_string(id_) + " before enable()");
  if (world_.inject(std::min(world_.faults.turn_interrupted, 0.95), "turn_interrupted")) {
    static constexpr int kErrors[] = {EINTR, EAGAIN, EBUSY};
    const int error = kErrors[world_.random.below(std::size(kErrors))];
    if (error == EINTR) submit();
    flush_overflow();
    return -error;
  }
  submit();
  flush_overflow();
  // Events that happen to be over by the time of the call's return, wanted or not.
  for (std::uint64_t extra = world_.random.below(4); extra > 0; --extra) world_.step();
  if (timeout == std::chrono::nanoseconds::zero()) return 0;
  return wait(completions_min, timeout);
}

int SimRing::wait(unsigned completions_min, std::chrono::nanoseconds timeout) {
  const bool limited = timeout != net::kWaitForever;
  const std::uint64_t end_ns =
      limited ? world_.clock.monotonic_ns() + static_cast<std::uint64_t>(timeout.count()) : UINT64_MAX;
  // No more than fit, as in the kernel.
  completions_min = std::min(completions_min, options_.completion_entries);
  while (visible_.size() < completions_min) {
    if (world_.clock.monotonic_ns() >= end_ns) return -ETIME;
    if (world_.step()) continue;
    if (!overflowed_.empty()) {
      flush_overflow();
      continue;
    }
    std::uint64_t wake_ns = UINT64_MAX;
    if (!world_.options.waits_advance_clock || !world_.idle_except(*this)) return limited ? -ETIME : -EINTR;
    world_.next_deadline(wake_ns);
    wake_ns = std::min(wake_ns, end_ns);
    if (wake_ns == UINT64_MAX) return -EINTR;  // nothing will ever happen unless the test does something
    world_.clock.advance_ns(wake_ns - world_.clock.monotonic_ns());
  }
  return 0;
}

int SimRing::submit_and_gather(unsigned enough, std::chrono::microseconds min_wait) {
  const int result = submit_and_wait(enough, min_wait);
  if (!visible_.empty() || (result != 0 && result != -ETIME)) return result;
  return wait(1, net::kWaitForever);
}

int SimRing::submit_and_spin(std::chrono::nanoseconds limit) {
  const int result = submit_and_wait(1, limit);
  return result == 0 || result == -ETIME ? static_cast<int>(visible_.size()) : result;
}

unsigned SimRing::reap(std::span<net::Completion> out) {
  unsigned count = 0;
  while (count < out.size() && !visible_.empty()) {
    const Entry entry = std::move(visible_.front());
    visible_.pop_front();
    if (entry.completion.has_buffer()) {
      const std::uint16_t id = entry.completion.buffer_id();
      buffer_states_[id] = BufferState::kLent;
      unpoison(buffer(id));
    }
    if (entry.operation && !entry.completion.more()) finish(entry.operation);
    out[count++] = entry.completion;
  }
  return count;
}

// The caller has seen the final completion: what the operation held is free.
void SimRing::finish(const SimOperationPointer& operation) {
  if (operation->object == nullptr) return;
  SimObject& object = *operation->object;
  if (operation->kind == SimOperation::Kind::kSend) {
    --object.sends_in_flight;
    if (checksum_of(*operation) != operation->checksum) {
      world_.violation("memory of a send on descriptor " + std::to_string(object.descriptor) +
                       " changed before its completion");
    }
  }
  if (--object.in_flight == 0 && object.closed) world_.release(object);
}

unsigned SimRing::operations() const {
  auto finals = [](const auto& entries) {
    return std::count_if(entries.begin(), entries.end(), [](const Entry& entry) {
      return entry.operation != nullptr && !entry.completion.more();
    });
  };
  return static_cast<unsigned>(queued_.size() + active_.size()) +
         static_cast<unsigned>(finals(delayed_) + finals(visible_) + finals(overflowed_));
}

// --- Descriptor calls

int SimRing::close_socket(int socket) {
  return world_.close(socket);
}

int SimRing::shutdown_socket(int socket, int how) {
  const auto object = world_.object(socket);
  if (object == nullptr) {
    world_.violation("shutdown of descriptor " + std::to_string(socket) + ", which is not open");
    return -EBADF;
  }
  if (object->kind == SimObject::Kind::kListener) return -EINVAL;
  if (object->kind != SimObject::Kind::kSocket) return -ENOTSOCK;
  if (object->broken) return -ENOTCONN;
  if (how != SHUT_WR) object->server_shut_read = true;
  if (how != SHUT_RD) object->server_shut_write = true;
  return 0;
}

// The two calls by which a bogus descriptor is found out: not a duty of the caller to know.
int SimRing::configure_accepted(int socket, bool tcp) {
  const auto object = world_.object(socket);
  if (object == nullptr) return -EBADF;
  if (object->kind == SimObject::Kind::kPollable) return -ENOTSOCK;
  object->configured = true;
  object->configured_tcp = tcp;
  return 0;
}

int SimRing::peek(int socket) {
  const auto object = world_.object(socket);
  if (object == nullptr) {
    world_.violation("a look at descriptor " + std::to_string(socket) + ", which is not open");
    return -EBADF;
  }
  if (object->kind != SimObject::Kind::kSocket) return -ENOTSOCK;
  if (object->broken) return -std::exchange(object->pending_error, 0);
  if (!object->to_server.empty()) return 1;
  return object->client_finished ? 0 : -EAGAIN;
}

int SimRing::peer_address(int socket, sockaddr_storage& address, socklen_t& length) {
  const auto object = world_.object(socket);
  if (object == nullptr) return -EBADF;
  if (object->kind == SimObject::Kind::kPollable) return -ENOTSOCK;
  if (object->kind == SimObject::Kind::kListener || object->broken) return -ENOTCONN;
  address = {};
  if (!object->tcp) {
    address.ss_family = AF_UNIX;
    length = sizeof(sa_family_t);  // clients do not bind: an unnamed address
    return 0;
  }
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  peer.sin_port = htons(static_cast<std::uint16_t>(20000 + object->client % 40000));
  std::memcpy(&address, &peer, sizeof(peer));
  length = sizeof(peer);
  return 0;
}

int SimRing::send_now(int socket, std::span<const char> data) {
  const auto object = world_.object(socket);
  if (object == nullptr) {
    world_.violation("send_now on descriptor " + std::to_string(socket) + ", which is not open");
    return -EBADF;
  }
  if (object->kind != SimObject::Kind::kSocket) return -ENOTSOCK;
  if (object->broken || object->server_shut_write) return -EPIPE;
  if (world_.inject(world_.faults.send_error, "send_error")) {
    object->broken_by_fault = true;
    world_.break_connection(*object, 0);
    return -EPIPE;
  }
  if (world_.room(*object) == 0 && !data.empty()) return -EAGAIN;
  return static_cast<int>(world_.send_bytes(*object, {data.data(), data.size()}));
}

}  // namespace ringcached::testing
