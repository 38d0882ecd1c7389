// ringcached's engine as a library: a completion-driven TCP, UNIX-socket and UDP server on io_uring, or on
// epoll where that is forbidden.
//
// One acceptor thread owns a ring with multishot accepts and hands each accepted descriptor to a worker; each
// worker is one thread with one ring, one receive-buffer ring and any number of connections. The user
// supplies handlers: bytes in, bytes out, no descriptor in sight.
//
// UDP has no connections: each worker has a socket of its own for each UDP address, and a handler that is
// shown one datagram at a time.
//
// Threads: everything of a WorkerHandler, its connections and their outputs happens on that worker's thread.
// Network's own calls may come from any thread unless said otherwise.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringcached/status.h"

namespace ringcached {

// Keeps referenced bytes alive until they are sent. Called exactly once per reference, on the worker's
// thread.
struct OutputPin {
  void (*release)(void* owner, void* item) = nullptr;
  void* owner = nullptr;
  void* item = nullptr;
};

// The bytes a connection still has to send. Replies of a whole turn are gathered and leave in one send.
class Output {
 public:
  // The most that room() can be asked for at once.
  static constexpr std::size_t kRoomBytesMax = 5120;

  // At least `bytes` of contiguous space to write into; commit() makes the written part of it output.
  // The pointer is valid until the next call on this object.
  char* room(std::size_t bytes) {
    return static_cast<std::size_t>(limit_ - cursor_) >= bytes ? cursor_ : grow(bytes);
  }
  // Space left behind room()'s pointer without growing; useful to decide between copying and referencing.
  std::size_t available() const { return static_cast<std::size_t>(limit_ - cursor_); }
  void commit(std::size_t bytes) { cursor_ += bytes; }

  // Copies; any length.
  void append(std::string_view bytes) {
    // The subtraction wraps for nothing to append, which may have no address and must not reach memcpy.
    if (bytes.size() - 1 >= available()) return append_slow(bytes);
    std::memcpy(cursor_, bytes.data(), bytes.size());
    cursor_ += bytes.size();
  }
  // Sends `bytes` from where they lie; they must not change until pin.release was called.
  void reference(std::span<const char> bytes, OutputPin pin);
  // Bytes not yet handed to the kernel or not yet acknowledged by it. Exact.
  std::size_t pending() const;

 protected:
  Output() = default;
  ~Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  char* cursor_ = nullptr;
  char* limit_ = nullptr;

 private:
  char* grow(std::size_t bytes);
  void append_slow(std::string_view bytes);
};

enum class CloseReason : std::uint8_t { kPeer, kHandler, kError, kIdleTimeout, kShutdown };

// A client's connection as its handler sees it. Valid from on_open to the handler's destruction.
class Connection {
 public:
  virtual Output& output() = 0;
  // Index of the worker, and of the connection's descriptor for logs and `stats conns`.
  virtual unsigned worker() const = 0;
  virtual int descriptor() const = 0;
  // "tcp:127.0.0.1:4711", "tcp6:[::1]:4711", "unix:/path"; formatted on call.
  virtual std::string peer_name() const = 0;
  virtual std::string listener_name() const = 0;
  virtual bool is_unix() const = 0;
  // ListenAddress::tag of the listener it came by.
  virtual unsigned listener_tag() const = 0;
  // From here on the client only listens: no idle timeout, and `stats conns` calls it conn_watch.
  virtual void become_watcher() = 0;
  // Output appended now is still sent. False once the connection has begun to close.
  virtual bool is_open() const { return true; }
  // Other connections of this worker have work in this turn, or may have some by now that nobody knows of
  // because the turn has lasted long (fairness, see Next::kYield).
  virtual bool others_waiting() const = 0;
  // Unsent output is above the high-water mark: stop producing and return kBlocked.
  virtual bool output_blocked() const = 0;

 protected:
  ~Connection() = default;
};

// What a handler wants after it looked at its input.
enum class Next : std::uint8_t {
  kReceive,  // call again when more bytes have come; unconsumed bytes are kept and shown again in front of
             // them
  kYield,    // call again in this worker's round with the unconsumed bytes, after the others had their turn
  kBlocked,  // output_blocked(): call again with the unconsumed bytes once enough output was sent
  kClose,    // send what is pending, then close; input is ignored
  kReject,   // the same, for a client that broke the protocol: the reason is CloseReason::kError
  // There is more output to make, whatever the client sends: call on_produce() in this worker's rounds, and
  // after that whenever the output is below the marks. Nothing is received meanwhile.
  kProduce,
  // Another handler goes on: successor() replaces this one, begins, and is shown the unconsumed bytes.
  kHandOver,
  // As kReceive, with the wish that what comes next is put where direct_room() says, without a copy in
  // between. Bytes that have come already are shown to on_data() first. No output is to be waited for.
  kReceiveDirect,
};

// Memory to be filled.
struct MemoryPiece {
  char* data = nullptr;
  std::size_t bytes = 0;
};

struct Consumed {
  std::size_t bytes = 0;
  Next next = Next::kReceive;
};

// A call that throws std::bad_alloc, as Output does when the heap has nothing for it, ends the connection
// (CloseReason::kError, counted); the worker goes on.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  // Consume requests from the front of `input`. Never called with empty input. The span is valid during the
  // call.
  virtual Consumed on_data(Connection& connection, std::span<const char> input) = 0;
  // Several connections have input: on_data() will soon be called with this, unless something comes between.
  // The handler may look at it to ask for the memory that it will need. Nothing may be consumed or put out.
  // False: that is enough, let those be served that were asked.
  virtual bool on_lookahead(std::span<const char> /*input*/) { return true; }
  // After Next::kProduce: appends some output, a bounded piece per call. The answer is as of on_data, which
  // does not see the input before this is over.
  virtual Next on_produce(Connection& /*connection*/) { return Next::kClose; }
  // After Next::kReceiveDirect: where the next bytes of the stream are to go. Pieces and memory are the
  // handler's, and stay as they are until on_direct_bytes() or its destruction. None: on_data() shall be
  // shown them.
  virtual std::span<const MemoryPiece> direct_room() { return {}; }
  // The next `bytes` of the stream, at least one, are in the room. Nothing may be put out yet.
  virtual void on_direct_bytes(std::size_t /*bytes*/) {}
  // Soon after that, once others have had their turn: goes on with them. The answer is as of on_data().
  virtual Next on_direct(Connection& /*connection*/) { return Next::kReceive; }
  // After Next::kHandOver: the handler that takes this one's place; not null. This one is destroyed next,
  // without on_close.
  virtual std::unique_ptr<ConnectionHandler> successor() { return nullptr; }
  // First call to a handler that took another's place.
  virtual Next on_begin(Connection& /*connection*/) { return Next::kReceive; }
  // The peer has ended its stream; `connection` closes after pending output. Bytes left unconsumed are
  // dropped.
  virtual void on_end_of_stream(Connection& /*connection*/) {}
  // Last call before destruction; no output can be sent any more.
  virtual void on_close(Connection& /*connection*/, CloseReason /*reason*/) {}
};

// Who sent a datagram. Plain values: an address may be kept.
struct DatagramPeer {
  bool v6 = false;
  std::uint16_t port = 0;
  std::array<std::uint8_t, 16> ip{};  // network order; the first 4 for IPv4
};

// Where replies to one datagram go. They are copied and sent from the engine's memory, to the datagram's
// source. What may be under way per socket is bounded: beyond that replies are dropped, for a sender that
// nobody paces can ask for more than any network takes.
class DatagramReplies {
 public:
  // Of one datagram: what passes an Ethernet with room for headers and tunnels.
  static constexpr std::size_t kBytesMax = 1400;
  // The bound on datagrams of one socket under way: somewhat above a reply of 1 MiB.
  static constexpr std::size_t kInFlightMax = 1024;

  // How many append() can take now; at most kInFlightMax. Answers of several datagrams, which are of use only
  // as a whole, look here first.
  virtual std::size_t room() const = 0;
  // One datagram of `bytes`, 1 to kBytesMax, to be filled before the next call on this object. Precondition:
  // room() > 0.
  virtual std::span<char> append(std::size_t bytes) = 0;
  // Counts a reply that was not sent, for want of room or because the source may not have it.
  virtual void count_dropped() = 0;
  // As those of a Connection; the descriptor is the socket's, the name "udp:127.0.0.1:11211".
  virtual unsigned worker() const = 0;
  virtual int descriptor() const = 0;
  virtual std::string listener_name() const = 0;
  virtual unsigned listener_tag() const = 0;

 protected:
  ~DatagramReplies() = default;
};

class DatagramHandler {
 public:
  virtual ~DatagramHandler() = default;
  // `payload` may be empty and is valid during the call. False: malformed, dropped and counted as such. It
  // may throw std::bad_alloc: then nothing is sent, and one dropped reply counted.
  virtual bool on_datagram(const DatagramPeer& peer, std::span<const char> payload,
                           DatagramReplies& replies) = 0;
  // About every NetworkOptions::tick.
  virtual void on_tick() {}
};

// One per worker thread.
class WorkerHandler {
 public:
  virtual ~WorkerHandler() = default;
  // On the worker's thread before it serves, and after it has served its last connection.
  virtual void on_start() {}
  virtual void on_stop() {}
  virtual std::unique_ptr<ConnectionHandler> on_open(Connection& connection) = 0;
  // After on_start, if there are UDP addresses; null: datagrams are not read. Destroyed before on_stop.
  virtual std::unique_ptr<DatagramHandler> make_datagram_handler() { return nullptr; }
  // Before the connection's last handler is told and destroyed.
  virtual void on_close(Connection& /*connection*/, CloseReason /*reason*/) {}
  // After the on_lookahead() of some connections, before the first on_data() of theirs.
  virtual void on_lookahead_end() {}
  // Once per turn, after the batch of completions was handled and before sleeping. Return true to be called
  // again at once (background work left), false to sleep until the next completion or tick. It may throw
  // std::bad_alloc: what it could not do is left to the next call.
  virtual bool on_turn() { return false; }
  // About every NetworkOptions::tick, on an idle worker too.
  virtual void on_tick() {}

  // --- The marks of a turn, for who measures it; everything else of this worker happens between the first
  // two. The wait for completions is over. Nothing of them has been looked at.
  virtual void on_turn_begin() {}
  // All is done but the system call that sends the turn's output and waits. True: submit apart from the wait,
  // at the price of a system call, and tell on_submitted() in between.
  virtual bool on_turn_end() { return false; }
  // After an on_turn_end() that asked for it: the kernel has what was to be sent, but for what sockets were
  // too full to take.
  virtual void on_submitted() {}
};

class NetworkHandler {
 public:
  virtual ~NetworkHandler() = default;
  // Called by start(), on its thread.
  virtual std::unique_ptr<WorkerHandler> make_worker(unsigned worker) = 0;
  // Something failed for good while serving (a listener that can accept no more); the rest goes on. On the
  // acceptor's thread.
  virtual void on_failure(const Status& /*failure*/) {}
};

enum class Handoff : std::uint8_t { kMessageRing, kEventfd };
// Which worker gets an accepted connection. kLeastConnections: the one that has the fewest, in turn among
// equals.
enum class Placement : std::uint8_t { kLeastConnections, kRoundRobin };
// The kernel interface. kAuto: io_uring, and epoll where io_uring is not available.
enum class IoBackend : std::uint8_t { kAuto, kUring, kEpoll };
// Of io_uring; epoll has no levels.
enum class IoLevel : std::uint8_t { kAuto, k6_1, k6_12, k6_18 };

struct ListenAddress {
  enum class Kind : std::uint8_t { kTcp, kUnix, kUdp } kind = Kind::kTcp;
  std::string host;           // kTcp, kUdp: numeric address or name; empty or "*" for all
  std::uint16_t port = 0;     // kTcp, kUdp: 0 for an ephemeral port
  std::string path;           // kUnix
  unsigned unix_mode = 0700;  // kUnix: access mode of the socket file
  unsigned tag = 0;           // the user's; Connection::listener_tag() tells it
};

inline constexpr const char* kAutoCongestion = "auto";
inline constexpr const char* kSystemCongestion = "system";

struct NetworkOptions {
  std::vector<ListenAddress> listeners;
  unsigned workers = 0;     // 0: one per CPU of the affinity mask
  bool pin_workers = true;  // to the CPUs of the affinity mask given to the process, in order
  // If not empty, instead of that: worker i runs on the CPUs worker_cpus[i % size], which may be several,
  std::vector<std::vector<unsigned>> worker_cpus;
  // and, if not empty, its ring and buffers come from the NUMA node worker_nodes[i % size].
  std::vector<unsigned> worker_nodes;
  Handoff handoff = Handoff::kMessageRing;
  Placement placement = Placement::kLeastConnections;
  IoBackend io_backend = IoBackend::kAuto;
  IoLevel io_level = IoLevel::kAuto;
  unsigned connections_max = 1024;  // 1 to 16 million
  bool refuse_fast = true;          // at the limit: send the refusal line and close; else stop accepting
  std::string refusal_line;         // empty: close silently
  int listen_backlog = 1024;
  // Of TCP connections: a name the kernel knows ("cubic", "bbr"), kSystemCongestion for what the system gives
  // every socket, or kAutoCongestion: the cheapest for listeners on loopback addresses, else the system's.
  std::string congestion_control = kAutoCongestion;
  std::chrono::seconds idle_timeout{0};                  // 0: never; UNIX-socket clients are exempt
  std::size_t output_high_water = std::size_t{1} << 20;  // bytes unsent per connection
  std::size_t output_low_water = std::size_t{256} << 10;
  unsigned ring_entries = 1024;    // submission queue; the completion queue is 8 times as long
  unsigned receive_buffers = 256;  // per worker, power of two
  // Also the bound on a datagram, with some 44 bytes of overhead: longer ones are dropped as malformed.
  unsigned receive_buffer_bytes = 16384;
  // A worker that has much to do sleeps at least that long, to wake up for several requests at once: fewer
  // turns, and up to so much more latency. Not at low load, and not longer than it takes until 16
  // completions, or one for each connection, are there. 0: it wakes up for the first. At most a second.
  std::chrono::microseconds min_wait{0};
  // How long a worker looks for completions before it sleeps: processor time for the latency of a wake-up. A
  // worker that gathers does not. 0: not at all. At most a second.
  std::chrono::microseconds spin{0};
  std::chrono::milliseconds tick{250};
  std::chrono::milliseconds stop_deadline{5000};  // how long stop() lets unsent answers drain
};

// One worker's share, at the time of the call.
struct WorkerStats {
  std::uint64_t current_connections = 0, total_connections = 0;
  std::uint64_t bytes_read = 0, bytes_written = 0;
};

// The figures `stats` shows; sums over all threads at the time of the call.
struct NetworkStats {
  IoBackend io_backend = IoBackend::kUring;  // in use: not kAuto
  std::uint64_t current_connections = 0, total_connections = 0, rejected_connections = 0;
  std::uint64_t connection_structures = 0;
  std::uint64_t bytes_read = 0, bytes_written = 0;
  std::uint64_t yields = 0, idle_kicks = 0;
  // With min_wait or spin: how often workers waited; of these gathering, with how many completions, and
  // spinning, with how often success.
  std::uint64_t waits = 0, waits_gathering = 0, completions_gathered = 0;
  std::uint64_t waits_spinning = 0, spins_successful = 0;
  bool kernel_gathers = false;                  // the kernel's minimum wait is used
  std::uint64_t connections_out_of_memory = 0;  // ended because the heap had nothing for them
  std::uint64_t listen_disabled = 0, time_in_listen_disabled_us = 0;
  bool accepting = true;
  std::uint64_t receive_buffers = 0,
                receive_buffer_bytes = 0;  // of all workers; bytes of all buffers together
  std::uint64_t receive_buffers_free = 0;  // not holding input that is still to be served
  std::uint64_t receive_buffers_exhausted = 0;
  std::uint64_t receives_renewed = 0;  // the kernel had not told of the end of a stream, or of bytes
  std::uint64_t receives_paused = 0, sends_short = 0, stale_completions = 0, accept_errors = 0;
  std::uint64_t handoff_retries = 0, output_blocks = 0, output_block_bytes = 0;
  std::uint64_t datagrams_received = 0, datagrams_sent = 0;
  std::uint64_t datagrams_malformed = 0;       // of those received: cut, or refused by the handler
  std::uint64_t datagram_replies_dropped = 0;  // as the handler counts them
  std::uint64_t datagram_send_errors = 0;      // datagrams the kernel refused to send
  std::vector<WorkerStats> workers;            // by index; empty before start()
};

struct ConnectionInfo {
  int descriptor = -1;
  std::string peer, listener;
  bool is_listener = false;
  bool is_datagram = false;  // a UDP socket; it has no peer, and `peer` is its own address
  const char* state = "";    // memcached's names: conn_listening, conn_read, conn_parse_cmd, conn_mwrite,
                             // conn_watch, conn_closing
  std::uint64_t idle_seconds = 0;  // since the last bytes from the client
  unsigned worker = 0;
};

class Network {
 public:
  // Binds all listeners and creates all rings; nothing serves yet. On failure nothing is left behind. The
  // handler must outlive the Network.
  static Result<std::unique_ptr<Network>> create(const NetworkOptions& options, NetworkHandler& handler);
  virtual ~Network() = default;

  // Starts the threads. Call once.
  virtual Status start() = 0;
  // Begins an orderly end: accepts no more, answers what has arrived, closes. Returns at once;
  // async-signal-safe.
  virtual void stop() = 0;
  // Returns when every thread has ended.
  virtual void join() = 0;

  virtual unsigned workers() const = 0;
  // Why epoll is in use although IoBackend::kAuto was asked for: the cause by name and the remedy. Else ok.
  virtual Status io_fallback() const = 0;
  // Why the kernel's minimum wait is not used although NetworkOptions::min_wait is set, and io_uring is used.
  // Else ok. Workers gather all the same, at the price of another system call where nothing comes.
  virtual Status min_wait_fallback() const = 0;
  virtual NetworkStats stats() const = 0;
  virtual std::vector<ConnectionInfo> connections() const = 0;
  // Bound addresses, with the real port where 0 was asked.
  virtual std::vector<ListenAddress> bound() const = 0;
};

// The kernel features found, one line each, for --features; and why io_uring is not available if it is not.
struct IoFeatures {
  bool available = false;
  Status reason;  // when not available: the cause by name and the remedy
  IoLevel level = IoLevel::k6_1;
  struct Entry {
    std::string name;
    bool present = false;
    std::string note;
  };
  std::vector<Entry> entries;
};
IoFeatures probe_io_features(IoLevel highest = IoLevel::kAuto);

}  // namespace ringcached
