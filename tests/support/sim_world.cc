// The network of the simulated kernel: descriptors, clients, and the verdict at the end.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/assert.h"
#include "net/token.h"
#include "support/sim_state.h"

namespace ringcached::testing {

SimFaults SimFaults::swarm(std::uint64_t seed) {
  SimRandom random(seed ^ 0x5157'4152'4D00'0000ULL);
  auto draw = [&random] {
    static constexpr double kWeights[] = {0, 0, 0.01, 0.05, 0.2, 0.6};
    return kWeights[random.below(std::size(kWeights))];
  };
  auto rare = [&random] {
    static constexpr double kWeights[] = {0, 0, 0.002, 0.01, 0.05};
    return kWeights[random.below(std::size(kWeights))];
  };
  SimFaults faults;
  for (double* fault :
       {&faults.short_receive, &faults.short_send, &faults.buffers_exhausted, &faults.multishot_end,
        &faults.cancel_already, &faults.cancel_late, &faults.delay, &faults.overflow, &faults.post_overflow,
        &faults.turn_interrupted, &faults.wake_delay, &faults.stale, &faults.end_missed}) {
    *fault = draw();
  }
  // Those that end a connection or an arming are kept rare, or a run would hardly get to anything else.
  for (double* fault : {&faults.receive_error, &faults.send_error, &faults.accept_error, &faults.accept_bogus,
                        &faults.post_bad}) {
    *fault = rare();
  }
  for (double* fault : {&faults.datagram_cut, &faults.datagram_lost}) *fault = rare();
  for (double* fault : {&faults.receive_interrupted, &faults.send_interrupted}) *fault = draw();
  return faults;
}

// --- State

bool SimWorld::State::inject(double probability, const char* fault) {
  if (!random.chance(probability)) return false;
  ++injected[fault];
  return true;
}

void SimWorld::State::note(SimTraceEntry entry) {
  entry.event = events;
  entry.time_ns = clock.monotonic_ns();
  trace[traced++ % trace.size()] = entry;
  if (options.trace_aloud) std::fprintf(stderr, "%s\n", render(entry).c_str());
}

void SimWorld::State::violation(const std::string& text) {
  violations.push_back("seed " + std::to_string(seed) + ", event " + std::to_string(events) + ": " + text);
  if (!options.abort_on_violation) return;
  std::fprintf(stderr, "%s\n", violations.back().c_str());
  std::abort();
}

SimRing* SimWorld::State::ring(unsigned id) {
  return id < rings.size() ? rings[id] : nullptr;
}

std::shared_ptr<SimObject> SimWorld::State::object(int descriptor) {
  const auto found = objects.find(descriptor);
  return found == objects.end() ? nullptr : found->second;
}

int SimWorld::State::lowest_free_descriptor() const {
  int descriptor = 3;  // reused at once, as the kernel does
  while (objects.count(descriptor) != 0) ++descriptor;
  return descriptor;
}

void SimWorld::State::open(const std::shared_ptr<SimObject>& object) {
  object->descriptor = lowest_free_descriptor();
  objects[object->descriptor] = object;
}

std::shared_ptr<SimObject> SimWorld::State::open(SimObject::Kind kind) {
  auto object = std::make_shared<SimObject>();
  object->kind = kind;
  open(object);
  return object;
}

int SimWorld::State::close(int descriptor) {
  const auto found = object(descriptor);
  if (found == nullptr) {
    violation("close of descriptor " + std::to_string(descriptor) + ", which is not open");
    return -EBADF;
  }
  objects.erase(descriptor);
  note({.what = "closed", .descriptor = descriptor});
  found->closed = true;
  if (found->in_flight != 0) {
    violation("close of descriptor " + std::to_string(descriptor) + " with " +
              std::to_string(found->in_flight) + " operations in flight");
  } else {
    release(*found);
  }
  if (found->kind == SimObject::Kind::kSocket && !found->used.empty() && inject(faults.stale, "stale")) {
    stale.push_back(found->used[random.below(found->used.size())]);
  }
  return 0;
}

void SimWorld::State::release(SimObject& object) {
  if (object.kind == SimObject::Kind::kListener) {
    for (const ClientId client : object.backlog) break_connection(*clients[client].socket, 0);
    object.backlog.clear();
  }
  if (object.kind != SimObject::Kind::kSocket || object.broken) return;
  object.server_shut_read = true;
  object.server_shut_write = true;
  // Closing over unread bytes resets the connection; what the client was sent stays readable.
  if (!object.to_server.empty()) object.reset_by_server = true;
}

void SimWorld::State::break_connection(SimObject& socket, int error) {
  socket.broken = true;
  socket.pending_error = error;
  socket.reset_by_server = true;
  socket.to_server.clear();
  socket.to_client.clear();
}

std::size_t SimWorld::State::room(const SimObject& socket) const {
  return options.socket_buffer_bytes - std::min(options.socket_buffer_bytes, socket.to_client.size());
}

// What fits of `bytes`, or less; at least one if there is room and something to send.
std::size_t SimWorld::State::send_bytes(SimObject& socket, std::string_view bytes) {
  std::size_t count = std::min(bytes.size(), room(socket));
  if (count > 1 && inject(faults.short_send, "short_send")) {
    count = random.coin() ? 1 : 1 + random.below(count);
  }
  if (socket.client_closed) {
    break_connection(socket,
                     ECONNRESET);  // nobody there: these bytes provoke the reset, the next send sees it
    return count;
  }
  const bool lost = options.canary == SimOptions::Canary::kLoseBytes;
  socket.to_client.append(bytes.substr(0, lost ? count - std::min<std::size_t>(count, 2) : count));
  if (options.canary == SimOptions::Canary::kFlipByte) socket.to_client.back() ^= 1;
  return count;
}

// --- SimWorld

SimWorld::SimWorld(std::uint64_t seed, const SimFaults& faults, const SimOptions& options)
    : state_(std::make_unique<State>(seed, faults, options)) {}

SimWorld::~SimWorld() {
  for (const SimRing* ring : state_->rings) RC_CHECK(ring == nullptr);
}

std::uint64_t SimWorld::seed() const {
  return state_->seed;
}
SimFaults& SimWorld::faults() {
  return state_->faults;
}
SimOptions& SimWorld::options() {
  return state_->options;
}
const Clock& SimWorld::clock() const {
  return state_->clock;
}

std::unique_ptr<net::Ring> SimWorld::create_ring(const net::RingOptions& options) {
  auto ring = std::make_unique<SimRing>(*state_, static_cast<unsigned>(state_->rings.size()), options);
  state_->rings.push_back(ring.get());
  return ring;
}

int SimWorld::listen(bool tcp) {
  const auto listener = state_->open(SimObject::Kind::kListener);
  listener->tcp = tcp;
  return listener->descriptor;
}

int SimWorld::open_datagram() {
  return state_->open(SimObject::Kind::kDatagram)->descriptor;
}

void SimWorld::datagram_arrives(int socket, std::uint16_t port, std::string_view payload) {
  constexpr std::size_t kInboxMax = 256;
  const auto object = state_->object(socket);
  if (object == nullptr || object->inbox.size() >= kInboxMax) return;
  object->inbox.push_back({port, std::string(payload)});
}

std::vector<SimWorld::Datagram> SimWorld::datagrams_take(int socket) {
  const auto object = state_->object(socket);
  return object == nullptr ? std::vector<Datagram>{} : std::exchange(object->outbox, {});
}

void SimWorld::datagrams_block(int socket, bool full) {
  if (const auto object = state_->object(socket)) object->send_blocked = full;
}

int SimWorld::create_pollable() {
  return state_->open(SimObject::Kind::kPollable)->descriptor;
}

void SimWorld::make_readable(int pollable) {
  const auto object = state_->object(pollable);
  RC_CHECK(object != nullptr && object->kind == SimObject::Kind::kPollable);
  ++object->readiness;
}

// --- Clients

ClientId SimWorld::connect(int listener) {
  const auto object = state_->object(listener);
  const auto id = static_cast<ClientId>(state_->clients.size());
  SimClient client;
  client.socket = std::make_shared<SimObject>();
  client.socket->client = id;
  state_->clients.push_back(client);
  if (object == nullptr || object->kind != SimObject::Kind::kListener) {
    state_->break_connection(*client.socket, 0);  // refused
    return id;
  }
  client.socket->tcp = object->tcp;
  object->backlog.push_back(id);
  state_->note({.what = "client connects", .ring = id});
  return id;
}

void SimWorld::client_write(ClientId client, std::string_view bytes) {
  SimObject& socket = *state_->clients.at(client).socket;
  if (socket.broken || socket.client_finished) return;
  if (socket.closed && socket.in_flight == 0) {
    socket.reset_by_server = true;  // bytes for a closed socket are answered by a reset
    return;
  }
  socket.to_server.append(bytes);
  state_->note({.what = "client writes",
                .ring = client,
                .descriptor = socket.descriptor,
                .result = static_cast<std::int64_t>(bytes.size())});
}

std::string SimWorld::client_take(ClientId client) {
  return std::exchange(state_->clients.at(client).received, {});
}

void SimWorld::client_stop_reading(ClientId client) {
  state_->clients.at(client).reading = false;
  state_->note({.what = "client stops reading", .ring = client});
}

void SimWorld::client_resume_reading(ClientId client) {
  state_->clients.at(client).reading = true;
}

void SimWorld::client_half_close(ClientId client) {
  state_->clients.at(client).socket->client_finished = true;
  state_->note({.what = "client half-closes", .ring = client});
}

void SimWorld::client_close(ClientId client) {
  SimObject& socket = *state_->clients.at(client).socket;
  socket.client_finished = true;
  socket.client_closed = true;
  state_->note({.what = "client closes", .ring = client, .descriptor = socket.descriptor});
  socket.to_client.clear();
}

void SimWorld::client_reset(ClientId client) {
  SimObject& socket = *state_->clients.at(client).socket;
  if (socket.broken) return;
  state_->note({.what = "client resets", .ring = client, .descriptor = socket.descriptor});
  state_->break_connection(socket, ECONNRESET);
  socket.reset_by_server = false;
}

bool SimWorld::client_accepted(ClientId client) const {
  return state_->clients.at(client).socket->accepted;
}

bool SimWorld::client_saw_end(ClientId client) const {
  const SimObject& socket = *state_->clients.at(client).socket;
  return socket.server_shut_write && !socket.reset_by_server && !socket.broken && socket.to_client.empty();
}

bool SimWorld::client_saw_reset(ClientId client) const {
  return state_->clients.at(client).socket->reset_by_server;
}

int SimWorld::client_descriptor(ClientId client) const {
  const SimObject& socket = *state_->clients.at(client).socket;
  return socket.closed ? -1 : socket.descriptor;
}

std::size_t SimWorld::client_unread(ClientId client) const {
  return state_->clients.at(client).socket->to_client.size();
}

bool SimWorld::client_broken_by_fault(ClientId client) const {
  return state_->clients.at(client).socket->broken_by_fault;
}

bool SimWorld::client_configured(ClientId client, bool tcp) const {
  const SimObject& socket = *state_->clients.at(client).socket;
  return socket.configured && socket.configured_tcp == tcp;
}

// --- Time, events, verdict

bool SimWorld::step() {
  return state_->step();
}

unsigned SimWorld::settle() {
  unsigned count = 0;
  while (state_->step()) ++count;
  return count;
}

void SimWorld::advance(std::chrono::nanoseconds by) {
  state_->clock.advance_ns(static_cast<std::uint64_t>(by.count()));
}

void SimWorld::step_wall(std::int64_t seconds) {
  state_->clock.step_wall(seconds);
}

bool SimWorld::advance_to_timer() {
  std::uint64_t deadline_ns = 0;
  if (!state_->next_deadline(deadline_ns)) return false;
  const std::uint64_t now_ns = state_->clock.monotonic_ns();
  if (deadline_ns > now_ns) state_->clock.advance_ns(deadline_ns - now_ns);
  return true;
}

const std::vector<std::string>& SimWorld::violations() const {
  return state_->violations;
}

std::string SimWorld::check_clean() const {
  std::string report;
  for (const std::string& line : state_->violations) report += line + "\n";
  const std::string prefix = "seed " + std::to_string(state_->seed) + ", at the end: ";
  for (std::size_t id = 0; id < state_->rings.size(); ++id) {
    const SimRing* ring = state_->rings[id];
    if (ring == nullptr) continue;
    const std::string name = "ring " + std::to_string(id);
    if (ring->operations() != 0) {
      report += prefix + std::to_string(ring->operations()) + " operations in flight on " + name + "\n";
    }
    const auto lent =
        std::count(ring->buffer_states_.begin(), ring->buffer_states_.end(), SimRing::BufferState::kLent);
    if (lent != 0) report += prefix + std::to_string(lent) + " buffers lent by " + name + "\n";
  }
  for (const auto& [descriptor, object] : state_->objects) {
    report += prefix + "descriptor " + std::to_string(descriptor) + " is open\n";
  }
  return report;
}

unsigned SimWorld::open_descriptors() const {
  return static_cast<unsigned>(state_->objects.size());
}

unsigned SimWorld::operations() const {
  unsigned count = 0;
  for (const SimRing* ring : state_->rings) count += ring != nullptr ? ring->operations() : 0;
  return count;
}

unsigned SimWorld::injected(std::string_view fault) const {
  const auto found = state_->injected.find(fault);
  return found == state_->injected.end() ? 0 : found->second;
}

std::string SimWorld::trace() const {
  std::string text;
  const std::uint64_t first = state_->traced - std::min<std::uint64_t>(state_->traced, kSimTraceEntries);
  for (std::uint64_t i = first; i < state_->traced; ++i)
    text += render(state_->trace[i % kSimTraceEntries]) + "\n";
  return text;
}

const char* name_of(SimOperation::Kind kind) {
  static constexpr const char* kNames[] = {"accept", "receive", "receive direct", "receive datagram",
                                           "send",   "cancel",  "timeout",        "poll",
                                           "post",   "wake"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string render(const SimTraceEntry& entry) {
  std::string line = "event " + std::to_string(entry.event) + " +" +
                     std::to_string(entry.time_ns / 1000 % 1'000'000'000) + " us: ring or client " +
                     std::to_string(entry.ring) + " " + entry.what;
  if (entry.token != 0) {
    line += ", operation " + std::to_string(static_cast<unsigned>(net::token_operation(entry.token))) +
            " slot " + std::to_string(net::token_slot(entry.token)) + " generation " +
            std::to_string(net::token_generation(entry.token));
  }
  if (entry.descriptor >= 0) line += ", descriptor " + std::to_string(entry.descriptor);
  if (entry.result != 0) line += ", result " + std::to_string(entry.result);
  return entry.more ? line + ", more" : line;
}

}  // namespace ringcached::testing
