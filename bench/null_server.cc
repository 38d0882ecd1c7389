// The floor: what answering memcached's text protocol costs on this kernel when nothing is cached. It finds
// the ends of lines, skips the data of sets by their length, and answers fixed bytes: every get hits the same
// value, every set is STORED.
//
// One ring, one thread: multishot accept, multishot receive into a provided-buffer ring, one send per
// connection and turn, and one system call per turn. Nearly all of its time is the kernel's TCP, paid once
// per batch: 2.9 to 3.8 us for a batch of one request, 3.3 to 4.8 us for 16 (Linux 6.18, 2 cores shared with
// other work, 50 connections). These variants, run interleaved, differed by less than one and the same
// differs between rounds:
//
//   - plain send(2) calls at the end of the turn;
//   - 64, 512 and 4096 receive buffers of 2, 4 and 16 KiB.
//
// The options of null_options.h switch on what else io_uring has; docs/techniques.md says what came of it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <latch>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/bench_ring.h"
#include "bench/null_options.h"
#include "net/min_wait.h"

namespace ringcached::bench {
namespace {

// A request line longer than this is not one the load generators send; the connection is closed.
constexpr std::size_t kLineBytesMax = 4096;
// Identical replies of a turn are sent straight from a block of repetitions of about this size.
constexpr std::size_t kRunBytes = 64 * 1024;

// One kind of reply, and the same one repeated.
struct Template {
  // The value, if there is one, ends `tail_bytes` before the reply does.
  explicit Template(const std::string& reply, std::size_t value_bytes = 0, std::size_t tail_bytes = 0)
      : bytes(reply.size()), value_size(value_bytes), tail_size(tail_bytes) {
    do run += reply;
    while (run.size() + bytes <= kRunBytes);
  }
  std::string_view one() const { return std::string_view(run).substr(0, bytes); }
  std::size_t bytes;
  std::size_t value_size;
  std::size_t tail_size;
  std::string run;
};

struct Connection {
  std::string line_begin;         // of a line that is not complete yet
  std::size_t data_left = 0;      // of a value being skipped, with its CRLF
  const Template* run = nullptr;  // replies owed: `run_count` times this ...
  std::size_t run_count = 0;
  std::string mixed;          // ... or, when the kinds mix, these bytes
  std::string sending;        // keeps `mixed`, or a copy of the run, while the kernel reads it
  std::vector<iovec> pieces;  // of the run, where sends are of pieces
  msghdr message{};
  std::string_view last_send;  // what the kernel was given last, or what of it did not fit
  bool blocked = false;        // last_send waits for room in the socket buffer
  bool dirty = false;          // in the list of those to look at when the turn ends
  bool ended = false;          // nothing more will be received
};

constexpr std::size_t kValueTailBytes = 7;  // "\r\nEND\r\n"

// The servers of one process, a thread each.
struct Crew {
  explicit Crew(unsigned threads) : rings(threads), ready(threads) {}
  std::vector<int> rings;  // descriptors
  std::latch ready;
};

class NullServer {
 public:
  NullServer(const NullOptions& options, Crew& crew, unsigned number)
      : options_(options),
        crew_(crew),
        number_(number),
        value_("VALUE k 0 " + std::to_string(options.value_bytes) + "\r\n" +
                   std::string(options.value_bytes, 'v') + "\r\nEND\r\n",
               options.value_bytes, kValueTailBytes),
        stored_("STORED\r\n"),
        version_("VERSION 0 null server\r\n"),
        error_("ERROR\r\n") {}

  Status open();
  [[noreturn]] void serve();

 private:
  void on_accept(const io_uring_cqe& cqe);
  void begin(int socket);
  void on_receive(const io_uring_cqe& cqe);
  void on_send(const io_uring_cqe& cqe);
  bool consume(Connection& connection, std::string_view data);
  bool execute(Connection& connection, std::string_view line);
  void reply(Connection& connection, const Template& kind);
  void mark_dirty(std::uint32_t id, Connection& connection);
  void flush(std::uint32_t id);
  void send(std::uint32_t id, Connection& connection, bool is_run);
  void send_pieces(std::uint32_t id, Connection& connection);
  void on_notification(const io_uring_cqe& cqe);
  void close_connection(std::uint32_t id);

  const NullOptions options_;
  Crew& crew_;
  const unsigned number_;
  const Template value_;
  const Template stored_;
  const Template version_;
  const Template error_;
  int listener_ = -1;
  unsigned accepted_ = 0;
  bool zero_copy_judged_ = false;
  BenchRing ring_;
  std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor
  std::vector<std::uint32_t> dirty_;
};

int listen_tcp(const NullOptions& options) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) return -1;
  const int on = 1;
  if (options.threads > 1) setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // accepted sockets inherit it
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options.port);
  if (inet_pton(AF_INET, options.address.c_str(), &address.sin_addr) != 1) return -1;
  // On loopback the cheapest is the best, as ringcached finds (net/congestion.h).
  constexpr std::string_view kCongestion = "reno";
  if (ntohl(address.sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET) {
    setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, kCongestion.data(), kCongestion.size());
  }
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return -1;
  return listen(listener, 4096) == 0 ? listener : -1;
}

int listen_unix(const NullOptions& options) {
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (listener < 0 || options.unix_path.size() >= sizeof(address.sun_path)) return -1;
  options.unix_path.copy(address.sun_path, options.unix_path.size());
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return -1;
  return listen(listener, 4096) == 0 ? listener : -1;
}

Status NullServer::open() {
  const bool accepts = number_ == 0 || !options_.posts;
  if (accepts) {
    listener_ = options_.unix_path.empty() ? listen_tcp(options_) : listen_unix(options_);
    if (listener_ < 0)
      return {StatusCode::kUnavailable, std::string("cannot listen: ") + std::strerror(errno)};
  }
  if (Status status = ring_.open(options_.ring); !status) return status;
  crew_.rings[number_] = ring_.descriptor();
  crew_.ready.arrive_and_wait();
  if (accepts) ring_.accept_multishot(listener_, 0);
  return Status::ok();
}

void NullServer::serve() {
  std::vector<std::uint32_t> turn;
  for (;;) {
    ring_.submit_and_wait(dirty_.empty() ? 1 : 0);
    ring_.reap([this](const io_uring_cqe& cqe) {
      switch (BenchRing::operation_of(cqe)) {
        case Operation::kAccept:
          return on_accept(cqe);
        case Operation::kReceive:
          return on_receive(cqe);
        case Operation::kSend:
          return on_send(cqe);
        case Operation::kPosted:
          if (cqe.res >= 0) begin(cqe.res);
          return;
        case Operation::kTimer:
        case Operation::kOther:
          return;
      }
    });
    turn.swap(dirty_);
    for (const std::uint32_t id : turn) flush(id);
    turn.clear();
  }
}

void NullServer::on_accept(const io_uring_cqe& cqe) {
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) ring_.accept_multishot(listener_, 0);
  if (cqe.res < 0) return;
  const std::size_t target = accepted_++ % crew_.rings.size();
  if (options_.posts && target != number_) return ring_.post(cqe.res, crew_.rings[target]);
  const int socket = options_.ring.techniques.installs ? ring_.install(cqe.res) : cqe.res;
  if (socket >= 0) begin(socket);
}

void NullServer::begin(int socket) {
  const auto id = static_cast<std::uint32_t>(socket);
  if (id >= connections_.size()) connections_.resize(id + 1);
  connections_[id] = std::make_unique<Connection>();
  ring_.receive_multishot(socket, id);
}

void NullServer::on_receive(const io_uring_cqe& cqe) {
  const std::uint32_t id = BenchRing::id_of(cqe);
  Connection& connection = *connections_[id];
  if (cqe.res > 0) {
    bool good = true;
    ring_.take_received(cqe, [&](std::string_view data) { good = good && consume(connection, data); });
    if (!good) ring_.shut_down(static_cast<int>(id));  // ends the receive, which closes
    if (connection.run_count != 0 || !connection.mixed.empty()) mark_dirty(id, connection);
  }
  if ((cqe.flags & IORING_CQE_F_MORE) != 0) return;
  if (cqe.res > 0 || cqe.res == -ENOBUFS) {
    ring_.receive_multishot(static_cast<int>(id), id);
    return;
  }
  connection.ended = true;
  mark_dirty(id, connection);
}

// Takes everything in; false if this cannot be a client we know.
bool NullServer::consume(Connection& connection, std::string_view data) {
  while (!data.empty()) {
    if (connection.data_left != 0) {
      const std::size_t skipped = std::min(connection.data_left, data.size());
      data.remove_prefix(skipped);
      connection.data_left -= skipped;
      if (connection.data_left == 0) reply(connection, stored_);
      continue;
    }
    const void* newline = std::memchr(data.data(), '\n', data.size());
    if (newline == nullptr) {
      connection.line_begin += data;
      return connection.line_begin.size() <= kLineBytesMax;
    }
    const auto line_bytes = static_cast<std::size_t>(static_cast<const char*>(newline) - data.data()) + 1;
    std::string_view line = data.substr(0, line_bytes);
    data.remove_prefix(line_bytes);
    if (connection.line_begin.empty()) {
      if (!execute(connection, line)) return false;
      continue;
    }
    connection.line_begin += line;
    const bool good = execute(connection, connection.line_begin);
    connection.line_begin.clear();
    if (!good) return false;
  }
  return true;
}

// "get <key>", "set <key> <flags> <exptime> <bytes>", "version", "quit"; `line` ends in LF.
bool NullServer::execute(Connection& connection, std::string_view line) {
  if (line.starts_with("get ")) {
    reply(connection, value_);
    return true;
  }
  if (line.starts_with("set ")) {
    const std::size_t space = line.rfind(' ');
    std::size_t bytes = 0;
    const auto parsed = std::from_chars(line.data() + space + 1, line.data() + line.size(), bytes);
    if (parsed.ec != std::errc()) return false;
    connection.data_left = bytes + 2;
    return true;
  }
  if (line.starts_with("quit")) return false;
  reply(connection, line.starts_with("version") ? version_ : error_);
  return true;
}

void NullServer::reply(Connection& connection, const Template& kind) {
  if (connection.mixed.empty() && (connection.run_count == 0 || connection.run == &kind)) {
    connection.run = &kind;
    ++connection.run_count;
    return;
  }
  for (; connection.run_count != 0; --connection.run_count) connection.mixed += connection.run->one();
  connection.mixed += kind.one();
}

void NullServer::mark_dirty(std::uint32_t id, Connection& connection) {
  if (connection.dirty) return;
  connection.dirty = true;
  dirty_.push_back(id);
}

// One send at a time: whatever is owed, unless an earlier send waits for room. A send of an earlier turn that
// did not complete by now was taken whole (bench_ring.h).
void NullServer::flush(std::uint32_t id) {
  Connection& connection = *connections_[id];
  connection.dirty = false;
  if (connection.blocked) return;
  const bool is_run = connection.run_count != 0;
  if (is_run) {
    const Template& kind = *connection.run;
    const std::size_t count = std::min(connection.run_count, kind.run.size() / kind.bytes);
    connection.last_send = std::string_view(kind.run).substr(0, count * kind.bytes);
    connection.run_count -= count;
  } else if (!connection.mixed.empty()) {
    connection.sending.swap(connection.mixed);
    connection.mixed.clear();
    connection.last_send = connection.sending;
  } else {
    if (connection.ended) close_connection(id);
    return;
  }
  send(id, connection, is_run);
  if (connection.ended || connection.run_count != 0) mark_dirty(id, connection);
}

void NullServer::send(std::uint32_t id, Connection& connection, bool is_run) {
  const int socket = static_cast<int>(id);
  // Zero copy only from what never changes.
  if (is_run && options_.zero_copy_bytes != 0 && connection.last_send.size() >= options_.zero_copy_bytes)
    return ring_.send_zero_copy(socket, connection.last_send, id);
  if (is_run && options_.sends_pieces && connection.run->value_size != 0) return send_pieces(id, connection);
  if (is_run && options_.copies) {
    connection.sending = connection.last_send;
    connection.last_send = connection.sending;
  }
  ring_.send(socket, connection.last_send, id);
}

// Every reply of the run as three pieces, as if each value lay where a store keeps it.
void NullServer::send_pieces(std::uint32_t id, Connection& connection) {
  connection.pieces.clear();
  const Template& kind = *connection.run;
  const std::size_t header_size = kind.bytes - kind.value_size - kind.tail_size;
  for (std::size_t begin = 0; begin != connection.last_send.size();) {
    for (const std::size_t size : {header_size, kind.value_size, kind.tail_size}) {
      connection.pieces.push_back({const_cast<char*>(connection.last_send.data() + begin), size});
      begin += size;
    }
  }
  connection.message.msg_iov = connection.pieces.data();
  connection.message.msg_iovlen = connection.pieces.size();
  ring_.send_message(static_cast<int>(id), connection.message, id);
}

// The kernel is done with the bytes of a zero-copy send.
void NullServer::on_notification(const io_uring_cqe& cqe) {
  if (zero_copy_judged_) return;
  zero_copy_judged_ = true;
  const bool copied = (static_cast<std::uint32_t>(cqe.res) & abi::kZeroCopyUsageCopied) != 0;
  std::fprintf(stderr, "null_server: zero copy: the kernel %s\n",
               copied ? "copied all the same" : "did not copy");
}

// A send that did not go out whole, or, where sends are loud, any.
void NullServer::on_send(const io_uring_cqe& cqe) {
  if ((cqe.flags & IORING_CQE_F_NOTIF) != 0) return on_notification(cqe);
  const std::uint32_t id = BenchRing::id_of(cqe);
  Connection& connection = *connections_[id];
  const bool failed = cqe.res < 0 && cqe.res != -EAGAIN;
  if (failed) {  // the peer is gone: owe it nothing; the receive ends by itself
    connection.run_count = 0;
    connection.mixed.clear();
    connection.last_send = {};
  } else {
    connection.last_send.remove_prefix(static_cast<std::size_t>(std::max(cqe.res, 0)));
  }
  connection.blocked = !connection.last_send.empty();
  if (connection.blocked) {
    ring_.send_rest(static_cast<int>(id), connection.last_send, id);
  } else if (connection.run_count != 0 || !connection.mixed.empty() || connection.ended) {
    mark_dirty(id, connection);
  }
}

void NullServer::close_connection(std::uint32_t id) {
  ring_.close_socket(static_cast<int>(id));
  connections_[id].reset();
}

bool pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(core), &set);
  return sched_setaffinity(0, sizeof(set), &set) == 0;
}

// Ends the process if it cannot serve.
void serve(const NullOptions& options, Crew& crew, unsigned number) {
  NullServer server(options, crew, number);
  const Status status = server.open();
  if (status) server.serve();
  std::fprintf(stderr, "null_server: %s\n", status.message().c_str());
  std::exit(1);
}

// Says what the kernel does of a technique that some have wrong; false if it has not.
bool report_min_wait() {
  const Result<net::MinWaitFindings> findings = net::try_min_wait();
  std::fprintf(stderr, "null_server: %s\n",
               findings ? findings.value().text().c_str() : findings.status().message().c_str());
  return static_cast<bool>(findings);
}

int run(int argc, char** argv) {
  NullOptions options;
  CLI::App app("Answers memcached's text protocol with fixed bytes: the floor of what the kernel allows.");
  declare_options(app, options);
  CLI11_PARSE(app, argc, argv);
  if (options.core >= 0 && !pin(options.core)) {
    std::fprintf(stderr, "null_server: cannot be pinned to core %d\n", options.core);
    return 1;
  }
  if (!options.unix_path.empty() && options.threads > 1 && !options.posts) {
    std::fputs("null_server: several threads share a UNIX socket only with --direct-post\n", stderr);
    return 1;
  }
  if (options.ring.techniques.min_wait_us != 0 && !report_min_wait()) return 1;
  Crew crew(options.threads);
  std::vector<std::thread> others;
  for (unsigned i = 1; i < options.threads; ++i) others.emplace_back([&, i] { serve(options, crew, i); });
  serve(options, crew, 0);
  return 1;
}

}  // namespace
}  // namespace ringcached::bench

int main(int argc, char** argv) {
  return ringcached::bench::run(argc, argv);
}
