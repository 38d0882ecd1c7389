// A correct caller under seeds and faults: every byte comes back and nothing is left. Shows at once that the
// simulated kernel demands nothing impossible.
#include <doctest/doctest.h>

#include <cerrno>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/sim_ring.h"

using namespace ringcached;
using namespace ringcached::net;
using namespace ringcached::testing;
using namespace std::chrono_literals;

namespace {

constexpr Token kAccept = 1, kReceive = 2, kSend = 3, kCancel = 4;

// A correct echo server over the seam, as small as can be: the reference caller for seeded runs. Tokens are
// operation | slot << 8 | generation << 24, so that late completions are told apart.
class Echo {
 public:
  Echo(Ring& ring, int listener) : ring_(ring), listener_(listener) {
    ring_.accept_multishot(listener_, kAccept);
    accepting_ = true;
  }

  void turn() {
    ring_.submit_and_wait(1, kWaitForever);
    Completion batch[16];
    for (const Completion& completion : std::span(batch).first(ring_.reap(batch))) on(completion);
    if (!accepting_ && !stopping_) {
      ring_.accept_multishot(listener_, kAccept);
      accepting_ = true;
    }
  }
  void stop() {
    stopping_ = true;
    if (accepting_) {
      ring_.cancel(kAccept, kCancel);
      ++cancels_;
    }
    for (auto& [slot, connection] : connections_) close_begin(connection);
  }
  bool stopped() {
    if (accepting_ || cancels_ != 0 || !connections_.empty()) return false;
    if (listener_ >= 0) ring_.close_socket(listener_);
    listener_ = -1;
    return true;
  }
  unsigned stale = 0, bogus = 0;

 private:
  struct Connection {
    unsigned slot = 0, generation = 0;
    int descriptor = -1;
    bool receiving = false, sending = false, closing = false, ended = false;
    std::string output;  // of the send in flight: must not move
    std::string waiting;
  };

  static Token token(Token operation, const Connection& connection) {
    return operation | Token{connection.slot} << 8 | Token{connection.generation} << 24;
  }

  void on(const Completion& completion) {
    switch (completion.token & 0xFF) {
      case kAccept:
        on_accept(completion);
        return;
      case kCancel:
        if (completion.token == kCancel) --cancels_;
        return;
      default:
        break;
    }
    const auto found = connections_.find(static_cast<unsigned>(completion.token >> 8 & 0xFFFF));
    if (found == connections_.end() || found->second.generation != completion.token >> 24) {
      ++stale;
      return;
    }
    Connection& connection = found->second;
    if ((completion.token & 0xFF) == kReceive) {
      on_receive(connection, completion);
    } else {
      on_send(connection, completion);
    }
    if (connection.closing && !connection.receiving && !connection.sending) {
      ring_.close_socket(connection.descriptor);
      connections_.erase(found);
    }
  }
  void on_accept(const Completion& completion) {
    accepting_ = completion.more();
    if (completion.result < 0) return;
    sockaddr_storage address{};
    socklen_t length = 0;
    if (ring_.configure_accepted(completion.result, true) == -EBADF) {
      ++bogus;
      return;
    }
    ring_.peer_address(completion.result, address, length);
    Connection connection;
    while (connections_.count(connection.slot) != 0) ++connection.slot;
    connection.generation = ++generation_;
    connection.descriptor = completion.result;
    Connection& placed = connections_[connection.slot] = connection;
    receive(placed);
    if (stopping_) close_begin(placed);
  }
  void receive(Connection& connection) {
    ring_.receive_multishot(connection.descriptor, token(kReceive, connection));
    connection.receiving = true;
  }
  void on_receive(Connection& connection, const Completion& completion) {
    connection.receiving = completion.more();
    if (completion.has_buffer()) {
      const std::uint16_t id = completion.buffer_id();
      const auto bytes = ring_.buffer(id).first(static_cast<std::size_t>(completion.result));
      connection.waiting.append(bytes.data(), bytes.size());
      ring_.return_buffers({&id, 1});
    }
    if (!connection.receiving && !connection.closing) {
      if (completion.result > 0 || completion.result == -ENOBUFS || completion.result == -ECANCELED) {
        receive(connection);
      } else {
        connection.ended = true;
        if (completion.result < 0) return close_begin(connection);
      }
    }
    pump(connection);
  }
  void on_send(Connection& connection, const Completion& completion) {
    connection.sending = false;
    if (completion.result < 0) return close_begin(connection);
    connection.waiting.insert(0, connection.output, static_cast<std::size_t>(completion.result));
    pump(connection);
  }
  void pump(Connection& connection) {
    if (connection.sending || connection.closing) return;
    if (connection.waiting.empty()) {
      if (connection.ended) close_begin(connection);
      return;
    }
    connection.output = std::exchange(connection.waiting, {});
    ring_.send(connection.descriptor, connection.output, token(kSend, connection));
    connection.sending = true;
  }
  void close_begin(Connection& connection) {
    if (connection.closing) return;
    connection.closing = true;
    ring_.shutdown_socket(connection.descriptor, SHUT_RDWR);
    if (connection.receiving) ring_.cancel(token(kReceive, connection), kCancel | 1U << 16);
    if (connection.sending) ring_.cancel(token(kSend, connection), kCancel | 1U << 16);
  }

  Ring& ring_;
  int listener_;
  bool accepting_ = false, stopping_ = false;
  int cancels_ = 0;
  unsigned generation_ = 0;
  std::map<unsigned, Connection> connections_;
};

// Several clients, random fragments, everything must come back; returns what the world has to say at the end.
std::string run_echo(std::uint64_t seed, const SimFaults& faults, unsigned& stale, unsigned& bogus) {
  SimOptions options;
  options.socket_buffer_bytes = 100;
  SimWorld world(seed, faults, options);
  auto ring = world.create_ring(
      {.submission_entries = 16, .completion_entries = 64, .receive_buffers = 4, .receive_buffer_bytes = 32});
  if (!ring->enable()) return "enable failed";
  std::string report;
  {
    const int listener = world.listen();
    Echo echo(*ring, listener);
    struct Talk {
      ClientId client;
      std::string sent, received;
    };
    std::vector<Talk> talks;
    for (int i = 0; i < 6; ++i) talks.push_back({world.connect(listener), {}, {}});
    std::uint64_t draw = seed;
    for (int round = 0; round < 300; ++round) {
      draw = draw * 6364136223846793005ULL + 1442695040888963407ULL;
      Talk& talk = talks[(draw >> 33) % talks.size()];
      const std::string bytes((draw >> 40) % 200, static_cast<char>('a' + (draw >> 50) % 26));
      if (talk.sent.size() < 4000) {
        world.client_write(talk.client, bytes);
        talk.sent += bytes;
      }
      echo.turn();
    }
    for (int round = 0; round < 20000 && world.operations() > 0; ++round) {
      echo.turn();
      bool done = true;
      for (Talk& talk : talks) {
        talk.received += world.client_take(talk.client);
        done = done && (talk.received.size() == talk.sent.size() || world.client_saw_reset(talk.client));
      }
      if (done) break;
    }
    for (Talk& talk : talks) {
      // What came is a prefix of what was sent, and all of it unless the connection was broken by a fault.
      if (talk.sent.compare(0, talk.received.size(), talk.received) != 0) report += "bytes differ\n";
      if (talk.received.size() != talk.sent.size() && !world.client_saw_reset(talk.client))
        report += "bytes missing\n";
      world.client_close(talk.client);
    }
    echo.stop();
    for (int round = 0; round < 20000 && !echo.stopped(); ++round) echo.turn();
    if (!echo.stopped()) report += "does not stop\n";
    for (int round = 0; round < 200 && world.operations() > 0; ++round) echo.turn();
    stale += echo.stale;
    bogus += echo.bogus;
  }
  report += world.check_clean();
  ring.reset();
  report += world.check_clean();
  return report;
}

}  // namespace

TEST_SUITE("ring_sim") {
  TEST_CASE("a correct echo over many seeds: every byte comes back and nothing is left") {
    unsigned stale = 0, bogus = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) CHECK(run_echo(seed, {}, stale, bogus) == "");
    for (std::uint64_t seed = 1; seed <= 150; ++seed) {
      CHECK(run_echo(seed, SimFaults::swarm(seed), stale, bogus) == "");
    }
    CHECK(stale > 0);
    CHECK(bogus > 0);
  }
}
