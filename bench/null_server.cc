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
//   - sends that complete silently (as here);
//   - sends with completions, counted into the wait or not;
//   - plain send(2) calls at the end of the turn;
//   - 64, 512 and 4096 receive buffers of 2, 4 and 16 KiB.
//
// Zero-copy sends are not used: the replies are small, and loopback copies anyway.
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
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/bench_ring.h"

namespace ringcached::bench {
namespace {

// A request line longer than this is not one the load generators send; the connection is closed.
constexpr std::size_t kLineBytesMax = 4096;
// Identical replies of a turn are sent straight from a block of repetitions of about this size.
constexpr std::size_t kRunBytes = 64 * 1024;

struct Options {
  std::string address = "127.0.0.1";
  std::uint16_t port = 11211;
  std::string unix_path;
  std::size_t value_bytes = 32;
  int core = -1;
  unsigned buffers = 512;
  unsigned buffer_bytes = 16384;
};

// One kind of reply, and the same one repeated.
struct Template {
  explicit Template(std::string reply) : bytes(reply.size()) {
    do run += reply;
    while (run.size() + bytes <= kRunBytes);
  }
  std::string_view one() const { return std::string_view(run).substr(0, bytes); }
  std::size_t bytes;
  std::string run;
};

struct Connection {
  std::string line_begin;         // of a line that is not complete yet
  std::size_t data_left = 0;      // of a value being skipped, with its CRLF
  const Template* run = nullptr;  // replies owed: `run_count` times this ...
  std::size_t run_count = 0;
  std::string mixed;           // ... or, when the kinds mix, these bytes
  std::string sending;         // keeps `mixed` while the kernel reads it
  std::string_view last_send;  // what the kernel was given last, or what of it did not fit
  bool blocked = false;        // last_send waits for room in the socket buffer
  bool dirty = false;          // in the list of those to look at when the turn ends
  bool ended = false;          // nothing more will be received
};

class NullServer {
 public:
  explicit NullServer(const Options& options)
      : options_(options),
        value_("VALUE k 0 " + std::to_string(options.value_bytes) + "\r\n" +
               std::string(options.value_bytes, 'v') + "\r\nEND\r\n"),
        stored_("STORED\r\n"),
        version_("VERSION 0 null server\r\n"),
        error_("ERROR\r\n") {}

  Status open();
  [[noreturn]] void serve();

 private:
  void on_accept(const io_uring_cqe& cqe);
  void on_receive(const io_uring_cqe& cqe);
  void on_send(const io_uring_cqe& cqe);
  bool consume(Connection& connection, std::string_view data);
  bool execute(Connection& connection, std::string_view line);
  void reply(Connection& connection, const Template& kind);
  void mark_dirty(std::uint32_t id, Connection& connection);
  void flush(std::uint32_t id);
  void close_connection(std::uint32_t id);

  const Options options_;
  const Template value_;
  const Template stored_;
  const Template version_;
  const Template error_;
  int listener_ = -1;
  BenchRing ring_;
  std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor
  std::vector<std::uint32_t> dirty_;
};

int listen_tcp(const Options& options) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) return -1;
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // accepted sockets inherit it
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options.port);
  if (inet_pton(AF_INET, options.address.c_str(), &address.sin_addr) != 1) return -1;
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return -1;
  return listen(listener, 4096) == 0 ? listener : -1;
}

int listen_unix(const Options& options) {
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (listener < 0 || options.unix_path.size() >= sizeof(address.sun_path)) return -1;
  options.unix_path.copy(address.sun_path, options.unix_path.size());
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return -1;
  return listen(listener, 4096) == 0 ? listener : -1;
}

Status NullServer::open() {
  listener_ = options_.unix_path.empty() ? listen_tcp(options_) : listen_unix(options_);
  if (listener_ < 0) return {StatusCode::kUnavailable, std::string("cannot listen: ") + std::strerror(errno)};
  BenchRingOptions ring_options;
  ring_options.buffers = options_.buffers;
  ring_options.buffer_bytes = options_.buffer_bytes;
  Status status = ring_.open(ring_options);
  if (status) ring_.accept_multishot(listener_, 0);
  return status;
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
        case Operation::kTimer:
          return;  // never set
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
  const auto id = static_cast<std::uint32_t>(cqe.res);
  if (id >= connections_.size()) connections_.resize(id + 1);
  connections_[id] = std::make_unique<Connection>();
  ring_.receive_multishot(cqe.res, id);
}

void NullServer::on_receive(const io_uring_cqe& cqe) {
  const std::uint32_t id = BenchRing::id_of(cqe);
  Connection& connection = *connections_[id];
  if (cqe.res > 0) {
    const bool good = consume(connection, ring_.received(cqe));
    ring_.return_buffer(cqe);
    if (!good) shutdown(static_cast<int>(id), SHUT_RDWR);  // ends the receive, which closes
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
  if (connection.run_count != 0) {
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
  ring_.send(static_cast<int>(id), connection.last_send, id);
  if (connection.ended || connection.run_count != 0) mark_dirty(id, connection);
}

// A send that did not go out whole.
void NullServer::on_send(const io_uring_cqe& cqe) {
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
  } else {
    mark_dirty(id, connection);
  }
}

void NullServer::close_connection(std::uint32_t id) {
  close(static_cast<int>(id));
  connections_[id].reset();
}

bool pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(core), &set);
  return sched_setaffinity(0, sizeof(set), &set) == 0;
}

void declare_options(CLI::App& app, Options& options) {
  app.add_option("-l,--listen", options.address, "IPv4 address")->capture_default_str();
  app.add_option("-p,--port", options.port, "TCP port")->capture_default_str();
  app.add_option("-s,--unix", options.unix_path, "UNIX socket path, instead of TCP");
  app.add_option("--value-bytes", options.value_bytes, "size of the value every get returns")
      ->capture_default_str();
  app.add_option("--core", options.core, "core to be pinned to; -1 for any")->capture_default_str();
  app.add_option("--buffers", options.buffers, "receive buffers, a power of two")->capture_default_str();
  app.add_option("--buffer-bytes", options.buffer_bytes, "bytes of each")->capture_default_str();
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("Answers memcached's text protocol with fixed bytes: the floor of what the kernel allows.");
  declare_options(app, options);
  CLI11_PARSE(app, argc, argv);
  if (options.core >= 0 && !pin(options.core)) {
    std::fprintf(stderr, "null_server: cannot be pinned to core %d\n", options.core);
    return 1;
  }
  NullServer server(options);
  const Status status = server.open();
  if (!status) {
    std::fprintf(stderr, "null_server: %s\n", status.message().c_str());
    return 1;
  }
  server.serve();
}

}  // namespace
}  // namespace ringcached::bench

int main(int argc, char** argv) {
  return ringcached::bench::run(argc, argv);
}
