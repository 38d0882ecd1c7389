// What happens by itself: one event at a time, chosen by the seed.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "support/sim_state.h"

namespace ringcached::testing {

using Kind = SimOperation::Kind;

std::uint64_t SimRandom::next() {
  state_ += 0x9E3779B97F4A7C15ULL;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

bool SimRandom::chance(double probability) {
  if (probability <= 0) return false;
  return static_cast<double>(next() >> 11) * 0x1.0p-53 < probability;
}

// --- Which operations can make progress

bool SimRing::runnable(const SimOperation& operation) const {
  if (operation.must_end) return true;
  switch (operation.kind) {
    case Kind::kCancel:
    case Kind::kPost:
      return true;
    case Kind::kTimeout:
      return world_.clock.monotonic_ns() >= operation.deadline_ns;
    case Kind::kWake:
      return wakes_ > 0;
    case Kind::kPoll:
      return operation.object->readiness > 0;
    case Kind::kAccept:
      // As in the kernel: the descriptor is reserved before a client is looked for.
      if (operation.object->kind != SimObject::Kind::kListener) return true;
      return !operation.object->backlog.empty() || (operation.first_try && world_.at_descriptor_limit());
    case Kind::kReceive:
    case Kind::kReceiveDirect: {
      const SimObject& socket = *operation.object;
      if (socket.kind != SimObject::Kind::kSocket) return true;
      // As in the kernel: the buffer is chosen before bytes are looked for.
      if (operation.first_try && lacks_buffer(operation)) return true;
      if (!socket.to_server.empty() || socket.server_shut_read) return true;
      return !operation.deaf && (socket.client_finished || socket.broken);
    }
    case Kind::kReceiveDatagram: {
      const SimObject& socket = *operation.object;
      if (socket.kind != SimObject::Kind::kDatagram) return true;
      return (operation.first_try && free_buffers_.empty()) || !socket.inbox.empty();
    }
    case Kind::kSend: {
      const SimObject& socket = *operation.object;
      if (socket.kind == SimObject::Kind::kDatagram) return !socket.send_blocked;
      if (socket.kind != SimObject::Kind::kSocket) return true;
      return socket.broken || socket.server_shut_write || world_.room(socket) > 0;
    }
  }
  return false;
}

bool SimRing::is_active(const SimOperationPointer& operation) const {
  return std::find(active_.begin(), active_.end(), operation) != active_.end();
}

void SimRing::run(const SimOperationPointer& operation) {
  const bool must_end = operation->must_end;
  operation->must_end = false;
  const bool natural = runnable(*operation);
  if (natural && !(must_end && world_.random.coin())) {
    switch (operation->kind) {
      case Kind::kAccept:
        run_accept(operation);
        break;
      case Kind::kReceive:
      case Kind::kReceiveDirect:
        run_receive(operation);
        break;
      case Kind::kReceiveDatagram:
        run_receive_datagram(operation);
        break;
      case Kind::kSend:
        run_send(operation);
        break;
      case Kind::kPost:
        run_post(operation);
        break;
      case Kind::kTimeout:
        complete(operation, -ETIME);
        break;
      case Kind::kPoll:
        --operation->object->readiness;
        complete_multishot(operation, POLLIN, 0);
        break;
      case Kind::kWake:
        if (world_.inject(std::min(world_.faults.wake_delay, 0.95), "wake_delay")) break;
        wakes_ = 0;
        complete(operation, sizeof(std::uint64_t));
        break;
      case Kind::kCancel:  // done when submitted
        break;
    }
    operation->first_try = false;
  }
  if (must_end && is_active(operation)) complete(operation, -ECANCELED);
}

void SimRing::run_accept(const SimOperationPointer& operation) {
  SimObject& listener = *operation->object;
  if (listener.kind != SimObject::Kind::kListener) return complete(operation, -EINVAL);
  if (world_.at_descriptor_limit()) return complete(operation, -EMFILE);
  if (world_.inject(world_.faults.accept_error, "accept_error")) {
    static constexpr int kErrors[] = {EMFILE, ENFILE, ENOMEM, ECONNABORTED, EINTR, EAGAIN};
    return complete(operation, -kErrors[world_.random.below(std::size(kErrors))]);
  }
  if (world_.inject(world_.faults.accept_bogus, "accept_bogus")) {
    int bogus = 195;  // what kernels 6.6.1 to 6.8-rc3 returned
    while (world_.objects.count(bogus) != 0) ++bogus;
    return complete_multishot(operation, bogus, 0);
  }
  const ClientId client = listener.backlog.front();
  listener.backlog.pop_front();
  const auto& socket = world_.clients[client].socket;
  world_.open(socket);
  socket->accepted = true;
  complete_multishot(operation, socket->descriptor, 0);
}

void SimRing::run_receive(const SimOperationPointer& operation) {
  SimObject& socket = *operation->object;
  if (socket.kind != SimObject::Kind::kSocket) return complete(operation, -ENOTSOCK);
  if (socket.broken) {
    const int error = socket.pending_error;
    socket.pending_error = 0;
    return complete(operation, -error);
  }
  const bool direct = operation->kind == Kind::kReceiveDirect;
  if (lacks_buffer(*operation)) return complete(operation, -ENOBUFS);
  if (socket.server_shut_read || (socket.to_server.empty() && socket.client_finished))
    return complete(operation, 0);
  if (world_.inject(world_.faults.receive_error, "receive_error")) {
    socket.broken_by_fault = true;
    world_.break_connection(socket, 0);
    return complete(operation, -ECONNRESET);
  }
  if (!direct && world_.inject(world_.faults.buffers_exhausted, "buffers_exhausted"))
    return complete(operation, -ENOBUFS);
  if (world_.inject(std::min(world_.faults.receive_interrupted, 0.95), "receive_interrupted"))
    return complete(operation, world_.random.coin() ? -EINTR : -EAGAIN);
  if (direct) return complete(operation, fill_pieces(socket.to_server, operation->pieces));
  std::uint32_t flags = 0;
  const int count = take_buffer(socket.to_server, operation->bytes_max, flags);
  if (operation->bytes_max != 0) return complete(operation, count, flags);
  operation->deaf = world_.inject(world_.faults.end_missed, "end_missed");
  complete_multishot(operation, count, flags);
}

void SimRing::run_receive_datagram(const SimOperationPointer& operation) {
  SimObject& socket = *operation->object;
  if (socket.kind != SimObject::Kind::kDatagram) return complete(operation, -ENOTSOCK);
  if (free_buffers_.empty()) return complete(operation, -ENOBUFS);
  if (world_.inject(world_.faults.buffers_exhausted, "buffers_exhausted"))
    return complete(operation, -ENOBUFS);
  const SimWorld::Datagram datagram = std::move(socket.inbox.front());
  socket.inbox.pop_front();
  std::uint32_t flags = 0;
  const int count = take_buffer(datagram, flags);
  // As in the kernel: a datagram without payload ends the operation.
  if (datagram.payload.empty()) return complete(operation, count, flags);
  complete_multishot(operation, count, flags);
}

// Whole or not at all.
void SimRing::run_send_datagram(const SimOperationPointer& operation) {
  if (operation->message == nullptr || operation->message->msg_namelen != sizeof(sockaddr_in))
    return complete(operation, -EDESTADDRREQ);
  if (world_.inject(world_.faults.send_error, "send_error")) return complete(operation, -ENETUNREACH);
  sockaddr_in peer;
  std::memcpy(&peer, operation->message->msg_name, sizeof peer);
  std::string payload = gather(*operation);
  const auto bytes = static_cast<std::int32_t>(payload.size());
  if (!world_.inject(world_.faults.datagram_lost, "datagram_lost"))
    operation->object->outbox.push_back({ntohs(peer.sin_port), std::move(payload)});
  complete(operation, bytes);
}

void SimRing::run_send(const SimOperationPointer& operation) {
  SimObject& socket = *operation->object;
  if (socket.kind == SimObject::Kind::kDatagram) return run_send_datagram(operation);
  if (socket.kind != SimObject::Kind::kSocket) return complete(operation, -ENOTSOCK);
  if (socket.server_shut_write) return complete_send(operation, -EPIPE);
  if (socket.broken) {
    const int error = socket.pending_error != 0 ? socket.pending_error : EPIPE;
    socket.pending_error = 0;
    return complete_send(operation, -error);
  }
  if (world_.inject(world_.faults.send_error, "send_error")) {
    const bool pipe = world_.random.coin();
    socket.broken_by_fault = true;
    world_.break_connection(socket, pipe ? ECONNRESET : 0);
    return complete_send(operation, pipe ? -EPIPE : -ECONNRESET);
  }
  if (world_.inject(std::min(world_.faults.send_interrupted, 0.95), "send_interrupted"))
    return complete_send(operation, world_.random.coin() ? -EINTR : -EAGAIN);
  complete_send(operation, static_cast<std::int32_t>(world_.send_bytes(socket, gather(*operation))));
}

// Over at once: whole, and nothing is said, or told to be less.
void SimRing::run_silent_send(const SimOperationPointer& operation) {
  const bool refused = world_.inject(world_.faults.short_send, "short_send");
  if (refused || !runnable(*operation)) return complete(operation, -EAGAIN);
  run_send(operation);
}

void SimRing::run_post(const SimOperationPointer& operation) {
  if (world_.inject(world_.faults.post_overflow, "post_overflow")) return complete(operation, -EOVERFLOW);
  SimRing* target = world_.ring(operation->target_ring);
  const bool bad = world_.inject(world_.faults.post_bad, "post_bad");
  if (bad || target == nullptr || !target->enabled_) return complete(operation, -EBADFD);
  target->deliver({{operation->target, operation->post_result, 0}, nullptr}, false);
  complete(operation, 0);
}

// As in the kernel, the target is looked up when the cancel is submitted.
void SimRing::start_cancel(const SimOperationPointer& operation) {
  const auto found = std::find_if(active_.begin(), active_.end(), [&](const SimOperationPointer& candidate) {
    return candidate != operation && candidate->token == operation->target;
  });
  if (found == active_.end()) return complete(operation, -ENOENT);
  const SimOperationPointer target = *found;
  if (world_.inject(world_.faults.cancel_already, "cancel_already")) {
    target->must_end = true;
    return complete(operation, -EALREADY);
  }
  if (runnable(*target) && world_.inject(world_.faults.cancel_late, "cancel_late")) {
    run(target);
    if (!is_active(target)) {
      // A send cut short by the cancel reports its progress, and the cancel may well count as successful.
      const bool cut = target->kind == Kind::kSend && world_.random.coin();
      return complete(operation, cut ? 0 : -ENOENT);
    }
  }
  const bool target_first = world_.random.coin();
  if (target_first) complete(target, -ECANCELED);
  complete(operation, 0);
  if (!target_first) complete(target, -ECANCELED);
}

// --- Completions on their way

void SimRing::complete_multishot(const SimOperationPointer& operation, std::int32_t result,
                                 std::uint32_t flags) {
  const bool overflow = visible_.size() >= options_.completion_entries || !overflowed_.empty() ||
                        world_.inject(world_.faults.overflow, "overflow");
  const bool ends = overflow || world_.inject(world_.faults.multishot_end, "multishot_end");
  if (ends) {
    std::erase(active_, operation);
  } else {
    flags |= net::Completion::kMore;
  }
  deliver({{operation->token, result, flags}, operation}, overflow);
}

void SimRing::complete(const SimOperationPointer& operation, std::int32_t result, std::uint32_t flags) {
  std::erase(active_, operation);
  deliver({{operation->token, result, flags}, operation}, world_.inject(world_.faults.overflow, "overflow"));
}

void SimRing::complete_send(const SimOperationPointer& operation, std::int32_t result) {
  if (operation->silent && result == static_cast<std::int32_t>(operation->data.size())) {
    std::erase(active_, operation);
    return finish(operation);
  }
  complete(operation, result);
}

void SimRing::deliver(Entry entry, bool overflow) {
  world_.note(
      {.what = entry.operation ? "completes" : "delivered",
       .ring = id_,
       .token = entry.completion.token,
       .descriptor = entry.operation && entry.operation->object ? entry.operation->object->descriptor : -1,
       .result = entry.completion.result,
       .more = entry.completion.more()});
  const bool behind = std::any_of(delayed_.begin(), delayed_.end(), [&](const Entry& earlier) {
    return entry.operation != nullptr && earlier.operation == entry.operation;
  });
  if (behind || (!overflow && world_.inject(std::min(world_.faults.delay, 0.95), "delay"))) {
    delayed_.push_back(std::move(entry));
    return;
  }
  make_visible(std::move(entry), overflow);
}

void SimRing::make_visible(Entry entry, bool overflow) {
  if (overflow || visible_.size() >= options_.completion_entries || !overflowed_.empty()) {
    overflowed_.push_back(std::move(entry));
  } else {
    visible_.push_back(std::move(entry));
  }
}

// Any of the delayed ones, but the oldest of its operation.
void SimRing::release_delayed() {
  const Entry& drawn = delayed_[world_.random.below(delayed_.size())];
  auto oldest = delayed_.begin();
  while (oldest->operation != drawn.operation) ++oldest;
  Entry entry = std::move(*oldest);
  delayed_.erase(oldest);
  make_visible(std::move(entry), false);
}

// --- One event

bool SimWorld::State::step() {
  struct Event {
    enum class What : std::uint8_t { kOperation, kDelayed, kDrain, kStale } what;
    std::size_t owner;  // ring id, client id, or index of the stale token
    std::size_t index;
  };
  std::vector<Event> possible;
  for (std::size_t id = 0; id < rings.size(); ++id) {
    if (rings[id] == nullptr) continue;
    const SimRing& ring = *rings[id];
    for (std::size_t i = 0; i < ring.active_.size(); ++i) {
      if (ring.runnable(*ring.active_[i])) possible.push_back({Event::What::kOperation, id, i});
    }
    if (!ring.delayed_.empty()) possible.push_back({Event::What::kDelayed, id, 0});
  }
  for (std::size_t id = 0; id < clients.size(); ++id) {
    if (clients[id].reading && !clients[id].socket->to_client.empty()) {
      possible.push_back({Event::What::kDrain, id, 0});
    }
  }
  for (std::size_t i = 0; i < stale.size(); ++i) possible.push_back({Event::What::kStale, i, 0});
  if (possible.empty()) return false;

  ++events;
  clock.advance_ns(random.below(2000));
  const Event event = possible[random.below(possible.size())];
  switch (event.what) {
    case Event::What::kOperation: {
      const SimOperationPointer operation = rings[event.owner]->active_[event.index];
      rings[event.owner]->run(operation);
      break;
    }
    case Event::What::kDelayed:
      rings[event.owner]->release_delayed();
      break;
    case Event::What::kDrain:
      drain(clients[event.owner]);
      break;
    case Event::What::kStale: {
      static constexpr int kResults[] = {-ECANCELED, -ECONNRESET, 0, 1};
      const SimObject::Used old = stale[event.owner];
      stale.erase(stale.begin() + static_cast<std::ptrdiff_t>(event.owner));
      const int result = kResults[random.below(std::size(kResults))];
      if (SimRing* ring = this->ring(old.ring)) ring->deliver({{old.token, result, 0}, nullptr}, false);
      break;
    }
  }
  return true;
}

void SimWorld::State::drain(SimClient& client) {
  std::string& bytes = client.socket->to_client;
  const std::size_t count = random.coin() ? bytes.size() : 1 + random.below(bytes.size());
  client.received.append(bytes, 0, count);
  bytes.erase(0, count);
}

// Nobody but `ring` has anything to do: its wait may let time pass.
bool SimWorld::State::idle_except(const SimRing& ring) const {
  return std::none_of(rings.begin(), rings.end(), [&](const SimRing* other) {
    return other != nullptr && other != &ring && other->busy();
  });
}

bool SimWorld::State::next_deadline(std::uint64_t& deadline_ns) const {
  bool found = false;
  for (const SimRing* ring : rings) {
    if (ring == nullptr) continue;
    for (const SimOperationPointer& operation : ring->active_) {
      if (operation->kind != Kind::kTimeout) continue;
      if (!found || operation->deadline_ns < deadline_ns) deadline_ns = operation->deadline_ns;
      found = true;
    }
  }
  return found;
}

}  // namespace ringcached::testing
