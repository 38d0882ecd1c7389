// What the simulated kernel knows; private to sim_*.cc. See sim_ring.h for the contract.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/fake_clock.h"
#include "support/sim_ring.h"

namespace ringcached::testing {

// splitmix64: one word of state, good enough to choose events, the same on every machine.
class SimRandom {
 public:
  explicit SimRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  // 0 .. bound - 1; bound > 0.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  bool coin() { return (next() & 1) != 0; }
  // Draws nothing when the fault is off, so that switching one fault does not change the rest of a run.
  bool chance(double probability);

 private:
  std::uint64_t state_;
};

// What a descriptor stands for. Lives as long as the descriptor or an operation refers to it, as in the
// kernel.
struct SimObject {
  enum class Kind : std::uint8_t { kSocket, kListener, kPollable, kDatagram } kind = Kind::kSocket;
  int descriptor = -1;
  bool tcp = true;
  bool closed = false;     // by close_socket()
  unsigned in_flight = 0;  // operations from the queueing call to the reaped final completion
  unsigned sends_in_flight = 0;

  // kListener: clients waiting. kPollable: readiness not yet reported.
  std::deque<ClientId> backlog;
  unsigned readiness = 0;

  // kDatagram: received and not yet read; sent and not yet taken by the test.
  std::deque<SimWorld::Datagram> inbox;
  std::vector<SimWorld::Datagram> outbox;
  bool send_blocked = false;

  // kSocket
  ClientId client = 0;
  std::string to_server;  // sent by the client, not yet received
  std::string to_client;  // in the server's socket buffer
  bool client_finished = false, client_closed = false;
  bool server_shut_read = false, server_shut_write = false;
  bool broken = false;    // reset: nothing moves any more
  int pending_error = 0;  // reported once, as SO_ERROR is
  bool reset_by_server = false;
  bool broken_by_fault = false;
  bool accepted = false, configured = false, configured_tcp = false;
  struct Used {
    unsigned ring;
    net::Token token;
  };
  std::vector<Used> used;  // tokens of its operations, for stale completions
};

struct SimClient {
  std::shared_ptr<SimObject> socket;
  std::string received;
  bool reading = true;
};

struct SimOperation {
  enum class Kind : std::uint8_t {
    kAccept,
    kReceive,
    kReceiveDirect,
    kReceiveDatagram,
    kSend,
    kCancel,
    kTimeout,
    kPoll,
    kPost,
    kWake
  };

  std::uint64_t serial = 0;
  Kind kind = Kind::kAccept;
  net::Token token = 0;
  std::shared_ptr<SimObject> object;  // null: not on a descriptor, or the descriptor was not open
  bool first_try = true;              // not attempted since it was queued
  bool must_end = false;              // a cancel said -EALREADY
  bool deaf = false;                  // kReceive, multishot: the end of the stream is not noticed
  std::uint32_t bytes_max = 0;        // kReceive: once, so many; 0: multishot
  std::span<const iovec> pieces;      // kReceiveDirect
  // kSend
  std::span<const char> data;
  const msghdr* message = nullptr;  // instead of `data`
  std::uint64_t checksum = 0;
  bool silent = false;
  // kCancel, kPost
  net::Token target = 0;
  unsigned target_ring = 0;
  std::int32_t post_result = 0;
  // kTimeout
  std::chrono::nanoseconds delay{0};
  std::uint64_t deadline_ns = 0;

  bool on_descriptor() const {
    return kind == Kind::kAccept || kind == Kind::kReceive || kind == Kind::kReceiveDirect ||
           kind == Kind::kReceiveDatagram || kind == Kind::kSend || kind == Kind::kPoll;
  }
};
using SimOperationPointer = std::shared_ptr<SimOperation>;

class SimRing final : public net::Ring {
 public:
  SimRing(SimWorld::State& world, unsigned id, const net::RingOptions& options);
  ~SimRing() override;

  Status enable() override;
  void accept_multishot(int listener, net::Token token) override;
  void receive_multishot(int socket, net::Token token) override;
  void receive_once(int socket, std::uint32_t bytes_max, net::Token token) override;
  void receive_direct(int socket, std::span<const iovec> pieces, net::Token token) override;
  void receive_datagram_multishot(int socket, const msghdr& shape, net::Token token) override;
  void send(int socket, std::span<const char> data, net::Token token) override;
  void send_silently(int socket, std::span<const char> data, net::Token token) override;
  bool silent_sends_settled() const override;
  void send_message(int socket, const msghdr& message, net::Token token) override;
  void cancel(net::Token target, net::Token token) override;
  void timeout(std::chrono::nanoseconds delay, net::Token token) override;
  void poll_readable_multishot(int descriptor, net::Token token) override;
  void post(net::Ring& target, std::int32_t result, net::Token target_token, net::Token token) override;
  void arm_wake(net::Token token) override;
  void wake() override;
  std::span<char> buffer(std::uint16_t id) override;
  void return_buffers(std::span<const std::uint16_t> ids) override;
  int submit_and_wait(unsigned completions_min, std::chrono::nanoseconds timeout) override;
  int submit_and_gather(unsigned enough, std::chrono::microseconds min_wait) override;
  int submit_and_spin(std::chrono::nanoseconds limit) override;
  unsigned reap(std::span<net::Completion> out) override;
  int close_socket(int socket) override;
  int shutdown_socket(int socket, int how) override;
  int configure_accepted(int socket, bool tcp) override;
  int peer_address(int socket, sockaddr_storage& address, socklen_t& length) override;
  int peek(int socket) override;
  int send_now(int socket, std::span<const char> data) override;

 private:
  friend class SimWorld;
  friend struct SimWorld::State;

  struct Entry {
    net::Completion completion;
    SimOperationPointer operation;  // null: posted by another ring, or stale
  };
  enum class BufferState : std::uint8_t { kFree, kFilled, kLent };

  // sim_ring.cc
  SimOperation& queue(SimOperation::Kind kind, net::Token token);
  SimOperation& queue_on(SimOperation::Kind kind, int descriptor, net::Token token);
  void submit();
  void flush_overflow();
  int wait(unsigned completions_min, std::chrono::nanoseconds timeout);
  void finish(const SimOperationPointer& operation);
  unsigned operations() const;
  bool busy() const { return !queued_.empty() || !visible_.empty() || !overflowed_.empty(); }

  // sim_events.cc
  bool runnable(const SimOperation& operation) const;
  bool lacks_buffer(const SimOperation& operation) const {
    return operation.kind == SimOperation::Kind::kReceive && free_buffers_.empty();
  }
  void run(const SimOperationPointer& operation);
  void run_accept(const SimOperationPointer& operation);
  void run_receive(const SimOperationPointer& operation);
  void run_receive_datagram(const SimOperationPointer& operation);
  void run_send(const SimOperationPointer& operation);
  void run_silent_send(const SimOperationPointer& operation);
  void run_send_datagram(const SimOperationPointer& operation);
  void run_post(const SimOperationPointer& operation);
  void start_cancel(const SimOperationPointer& operation);
  // How many bytes a receive gets of what is there.
  std::size_t draw_receive(std::size_t there, std::size_t room);
  int take_buffer(std::string& bytes, std::size_t bytes_max, std::uint32_t& flags);
  int fill_pieces(std::string& bytes, std::span<const iovec> pieces);
  int take_buffer(const SimWorld::Datagram& datagram, std::uint32_t& flags);
  // A free buffer, to be written to: unpoisoned until seal_buffer().
  std::span<char> open_buffer(std::uint32_t& flags);
  void seal_buffer(std::span<char> buffer);
  void complete_multishot(const SimOperationPointer& operation, std::int32_t result, std::uint32_t flags);
  void complete(const SimOperationPointer& operation, std::int32_t result, std::uint32_t flags = 0);
  // Every end of a send that was tried, whole, short or failed.
  void complete_send(const SimOperationPointer& operation, std::int32_t result);
  void deliver(Entry entry, bool overflow);
  void make_visible(Entry entry, bool overflow);
  void release_delayed();
  bool is_active(const SimOperationPointer& operation) const;

  SimWorld::State& world_;
  const unsigned id_;
  const net::RingOptions options_;
  bool enabled_ = false;
  std::deque<SimOperationPointer> queued_;   // submission queue
  std::vector<SimOperationPointer> active_;  // submitted, no final completion made
  std::vector<Entry> delayed_;               // made, not yet visible; order within one operation is kept
  std::deque<Entry> visible_;                // completion queue
  std::deque<Entry> overflowed_;             // visible after the next submit_and_wait
  std::uint64_t wakes_ = 0;
  std::vector<char> memory_;
  std::vector<BufferState> buffer_states_;
  std::deque<std::uint16_t> free_buffers_;
};

// One line of the trace, rendered only when somebody reads it.
struct SimTraceEntry {
  std::uint64_t event = 0, time_ns = 0;
  const char* what = "";
  unsigned ring = 0;  // or the client
  net::Token token = 0;
  int descriptor = -1;
  std::int64_t result = 0;
  bool more = false;
};
inline constexpr std::size_t kSimTraceEntries = 64;

struct SimWorld::State {
  State(std::uint64_t seed_in, const SimFaults& faults_in, const SimOptions& options_in)
      : seed(seed_in), faults(faults_in), options(options_in), random(seed_in) {}

  // The fault happens, and is counted under its name.
  bool inject(double probability, const char* fault);
  void note(SimTraceEntry entry);
  void violation(const std::string& text);
  SimRing* ring(unsigned id);
  std::shared_ptr<SimObject> object(int descriptor);
  std::shared_ptr<SimObject> open(SimObject::Kind kind);
  void open(const std::shared_ptr<SimObject>& object);
  int lowest_free_descriptor() const;
  bool at_descriptor_limit() const { return static_cast<int>(objects.size()) >= options.descriptors_max; }
  int close(int descriptor);
  void release(SimObject& object);  // the last reference of the server is gone
  void break_connection(SimObject& socket, int error);
  std::size_t room(const SimObject& socket) const;
  std::size_t send_bytes(SimObject& socket, std::string_view bytes);
  bool step();
  bool idle_except(const SimRing& ring) const;
  bool next_deadline(std::uint64_t& deadline_ns) const;
  void drain(SimClient& client);

  const std::uint64_t seed;
  SimFaults faults;
  SimOptions options;
  SimRandom random;
  FakeClock clock;
  std::uint64_t events = 0;
  std::uint64_t next_serial = 1;
  std::vector<SimRing*> rings;  // by id; null once destroyed
  std::map<int, std::shared_ptr<SimObject>> objects;
  std::vector<SimClient> clients;
  std::vector<SimObject::Used> stale;  // to be replayed
  std::vector<std::string> violations;
  std::map<std::string, unsigned, std::less<>> injected;
  std::array<SimTraceEntry, kSimTraceEntries> trace;
  std::uint64_t traced = 0;
};

// Everything a send refers to, so that a change before its completion shows.
std::uint64_t checksum_of(const SimOperation& send);
const char* name_of(SimOperation::Kind kind);
std::string render(const SimTraceEntry& entry);
// The bytes of a send in one piece.
std::string gather(const SimOperation& send);

}  // namespace ringcached::testing
