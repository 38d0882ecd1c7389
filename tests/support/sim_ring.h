// A simulated kernel for the engine: rings, sockets, clients and the clock, all driven by one seed.
//
// SimWorld owns listeners, sockets, clients, time and the state of any number of SimRings. One test thread
// drives everything: the real acceptor and workers call submit_and_wait() of their rings, which never blocks
// but lets the world run events; the test plays the clients. One generator decides order, delay and result of
// every event, so a seed and the same calls give the same run. Every message names the seed.
//
//   SimWorld world(seed, SimFaults::swarm(seed));
//   int listener = world.listen();
//   auto ring = world.create_ring({.receive_buffers = 16, .receive_buffer_bytes = 512});
//   ClientId client = world.connect(listener);
//   world.client_write(client, "get k\r\n");
//   ... turns of the engine over *ring ...
//   CHECK(world.client_take(client) == "END\r\n");
//   CHECK(world.check_clean() == "");   // after the engine has closed everything and the rings are destroyed
//
// Duties of the caller that are watched (violations(), check_clean()): one send per socket in flight; no
// operation on a descriptor that is not open; no close while an operation is in flight on the descriptor;
// memory of a send unchanged until its completion; only lent buffers are returned; no turn from before
// enable(); nothing in flight on a socket when a ring is destroyed. Buffers that are not lent are poisoned
// under the address sanitizer.
//
// Time: events take 0 to 2 simulated microseconds each. The clock jumps only by advance(),
// advance_to_timer(), or, with `waits_advance_clock`, when a ring waits with a limit and no event is possible
// anywhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "net/ring.h"

namespace ringcached::testing {

// Probabilities in [0, 1], each drawn whenever the fault could happen. All zero: a perfect kernel, random
// order only.
struct SimFaults {
  double short_receive = 0;      // fewer bytes than there are, down to 1
  double short_send = 0;         // fewer bytes than fit, down to 1
  double buffers_exhausted = 0;  // a receive ends with -ENOBUFS although buffers are left
  double multishot_end = 0;      // a multishot operation ends with a successful completion (no kMore)
  double end_missed = 0;  // a multishot receive that has had bytes does not notice that these were the last
  double receive_error = 0;   // -ECONNRESET; the connection is gone
  double send_error = 0;      // -EPIPE or -ECONNRESET; the connection is gone. A datagram: -ENETUNREACH, once
  double accept_error = 0;    // EMFILE ENFILE ENOMEM ECONNABORTED EINTR EAGAIN; the client keeps waiting
  double accept_bogus = 0;    // a positive descriptor that is not open; the client keeps waiting
  double cancel_already = 0;  // cancel: -EALREADY; its target ends soon after, with any outcome
  double cancel_late = 0;  // the target gets its event first: -ENOENT, or a cancelled send with partial count
  double delay = 0;        // a completion becomes visible some events later, after others (order within one
                           // multishot operation is kept)
  double overflow = 0;     // a completion overflows: visible after the next submit_and_wait; ends a multishot
  double post_overflow = 0;     // post: -EOVERFLOW, nothing delivered
  double post_bad = 0;          // post: -EBADFD, nothing delivered
  double turn_interrupted = 0;  // submit_and_wait returns -EINTR, -EAGAIN or -EBUSY, having submitted or not
  double wake_delay = 0;        // a wake is noticed only some events later, together with others
  double datagram_cut = 0;      // a datagram is reported as cut although it would have fitted
  double datagram_lost = 0;     // a datagram sent is lost on its way
  double receive_interrupted = 0;  // a receive ends with -EINTR or -EAGAIN, nothing lost
  double send_interrupted = 0;     // a send ends with -EINTR or -EAGAIN, nothing sent
  double stale = 0;  // after a close: a completion with the token of an old operation on that descriptor

  // Swarm testing: each fault is off, rare, common or extreme, drawn from the seed.
  static SimFaults swarm(std::uint64_t seed);
};

struct SimOptions {
  std::size_t socket_buffer_bytes =
      65536;                   // server to client, per connection: a full one makes sends short or wait
  int descriptors_max = 1024;  // open descriptors; beyond it accept fails with -EMFILE
  bool waits_advance_clock = false;
  bool abort_on_violation = false;  // print and abort at the place instead of collecting
  // Not faults that a server has to bear, but lies: a test that does not notice them is worth nothing. One
  // byte of each send is changed, or the last bytes of each are lost.
  enum class Canary : std::uint8_t { kNone, kFlipByte, kLoseBytes } canary = Canary::kNone;
  bool trace_aloud = false;  // every event to stderr, as trace() has the last of them
};

using ClientId = unsigned;

class SimRing;

class SimWorld {
 public:
  explicit SimWorld(std::uint64_t seed, const SimFaults& faults = {}, const SimOptions& options = {});
  // Every ring must be destroyed before.
  ~SimWorld();
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  std::uint64_t seed() const;
  SimFaults& faults();    // may be changed at any time, for example zeroed to let a run finish
  SimOptions& options();  // likewise

  // --- What the engine is given.
  std::unique_ptr<net::Ring> create_ring(const net::RingOptions& options);
  // A listening descriptor. Closed by the engine with close_socket(), as any other.
  int listen(bool tcp = true);
  // A bound datagram socket. It has no clients but what datagram_arrives() is told, and replies pile up until
  // datagrams_take().
  int open_datagram();
  // One datagram from 127.0.0.1 and the given port; it waits in the socket. Lost when too many wait.
  void datagram_arrives(int socket, std::uint16_t port, std::string_view payload);
  struct Datagram {
    std::uint16_t port = 0;  // whom it was sent to
    std::string payload;
  };
  std::vector<Datagram> datagrams_take(int socket);
  // While full, sends wait.
  void datagrams_block(int socket, bool full);
  // A descriptor for poll_readable_multishot (a signalfd): make_readable() gives one completion each.
  int create_pollable();
  void make_readable(int pollable);
  const Clock& clock() const;

  // --- Clients. Ids count from 0 and stay valid for the life of the world.
  ClientId connect(int listener);
  void client_write(ClientId client, std::string_view bytes);
  // Bytes received since the last call. A client reads by itself, an event at a time, unless stopped.
  std::string client_take(ClientId client);
  void client_stop_reading(ClientId client);
  void client_resume_reading(ClientId client);
  void client_half_close(ClientId client);  // end of stream after what was written; still reads
  void client_close(ClientId client);       // end of stream; what comes then provokes a reset
  void client_reset(ClientId client);       // at once; bytes not yet received are lost
  bool client_accepted(ClientId client) const;
  bool client_saw_end(ClientId client) const;    // everything sent was received, then end of stream
  bool client_saw_reset(ClientId client) const;  // by the server
  // Bytes on their way to the client: a reset may overtake none of them.
  std::size_t client_unread(ClientId client) const;
  bool client_broken_by_fault(ClientId client) const;  // receive_error or send_error hit it
  // The server's descriptor of this connection; -1 before accept and after close.
  int client_descriptor(ClientId client) const;
  // configure_accepted() was called, with this value of `tcp`.
  bool client_configured(ClientId client, bool tcp) const;

  // --- Time and events.
  // Runs one event that is possible now; false when there is none. submit_and_wait() does the same.
  bool step();
  // Runs events until none is possible; returns how many. The rings still have to be reaped.
  unsigned settle();
  void advance(std::chrono::nanoseconds by);
  // The wall clock alone, as by an operator.
  void step_wall(std::int64_t seconds);
  // Jumps to the next timeout operation of any ring; false when none is armed.
  bool advance_to_timer();

  // --- Verdict.
  // Each with the seed. Empty for a caller that has kept its duties so far.
  const std::vector<std::string>& violations() const;
  // Violations, and what is left over: operations in flight (of living rings), buffers lent, descriptors
  // open. One per line, empty when clean.
  std::string check_clean() const;
  unsigned open_descriptors() const;
  // In flight or queued, all rings; completions not yet reaped count.
  unsigned operations() const;
  // How often a fault was injected, by the name of its SimFaults member; to assert that a run was not too
  // kind.
  unsigned injected(std::string_view fault) const;
  // The last events, one a line: what was queued, what completed and how, what clients did.
  std::string trace() const;

 private:
  friend class SimRing;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ringcached::testing
