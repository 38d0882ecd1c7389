// Datagrams through a ring: the layout of lent buffers, on the real kernel and on the simulated one.
#include "net/datagram.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "ring_support.h"
#include "support/sim_ring.h"

using namespace ringcached;
using namespace ringcached::net;
using namespace ringcached::net::testing;
using ringcached::testing::SimFaults;
using ringcached::testing::SimWorld;

namespace {

constexpr Token kReceive = 1, kSend = 2, kCancel = 3;
constexpr unsigned kBufferBytes = 128;

RingOptions small(unsigned buffers) {
  RingOptions options;
  options.submission_entries = 16;
  options.completion_entries = 64;
  options.receive_buffers = buffers;
  options.receive_buffer_bytes = kBufferBytes;
  return options;
}

std::string buffer_with(DatagramHeader header, std::size_t payload_bytes) {
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(4711);
  std::string bytes(kDatagramOverheadBytes + payload_bytes, 'x');
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, &peer, sizeof peer);
  return bytes;
}

std::optional<ReceivedDatagram> read(Ring& ring, const Completion& completion) {
  if (!completion.has_buffer() || completion.result < 0) return std::nullopt;
  return read_datagram(
      ring.buffer(completion.buffer_id()).first(static_cast<std::size_t>(completion.result)));
}

std::string text(const ReceivedDatagram& datagram) {
  return {datagram.payload.data(), datagram.payload.size()};
}

void give_back(Ring& ring, const Completion& completion) {
  const std::uint16_t id = completion.buffer_id();
  ring.return_buffers({&id, 1});
}

// A UDP socket on an ephemeral port of the loopback of its family.
struct Socket {
  explicit Socket(int family) : descriptor(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_addr = in6addr_loopback;
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto* wanted =
        family == AF_INET ? reinterpret_cast<sockaddr*>(&v4) : reinterpret_cast<sockaddr*>(&v6);
    bytes = family == AF_INET ? sizeof v4 : sizeof v6;
    ready = bind(descriptor.get(), wanted, bytes) == 0 &&
            getsockname(descriptor.get(), reinterpret_cast<sockaddr*>(&address), &bytes) == 0;
    const timeval limit{3, 0};
    setsockopt(descriptor.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  void send_to(const Socket& other, const std::string& payload) const {
    CHECK(sendto(descriptor.get(), payload.data(), payload.size(), 0,
                 reinterpret_cast<const sockaddr*>(&other.address),
                 other.bytes) == static_cast<ssize_t>(payload.size()));
  }
  std::string receive() const {
    char buffer[2048];
    const ssize_t count = recv(descriptor.get(), buffer, sizeof buffer, 0);
    return count < 0 ? "nothing" : std::string(buffer, static_cast<std::size_t>(count));
  }
  Descriptor descriptor;
  sockaddr_storage address{};
  socklen_t bytes = 0;
  bool ready = false;
};

}  // namespace

TEST_SUITE("datagram") {
  TEST_CASE("a lent buffer is read as the kernel lays it out, and nothing beyond it") {
    struct Row {
      DatagramHeader header;
      std::size_t filled;
      bool valid, truncated;
      std::size_t payload;
    };
    const Row rows[] = {
        {{16, 0, 5, 0}, 5, true, false, 5},        {{16, 0, 0, 0}, 0, true, false, 0},
        {{28, 0, 5, 0}, 5, true, false, 5},        {{0, 0, 5, 0}, 5, true, false, 5},
        {{16, 0, 5, MSG_TRUNC}, 5, true, true, 5}, {{16, 0, 9, 0}, 5, true, true, 5},
        {{16, 0, ~0U, 0}, 5, true, true, 5},       {{16, 0, 3, 0}, 5, true, false, 3},
        {{29, 0, 5, 0}, 5, false, false, 0},       {{~0U, 0, 5, 0}, 5, false, false, 0},
    };
    for (const Row& row : rows) {
      const std::string bytes = buffer_with(row.header, row.filled);
      const auto datagram = read_datagram(bytes);
      CHECK(datagram.has_value() == row.valid);
      if (!datagram) continue;
      CHECK(datagram->truncated == row.truncated);
      CHECK(datagram->payload.size() == row.payload);
    }
    const std::string whole = buffer_with({16, 0, 5, 0}, 5);
    for (std::size_t bytes = 0; bytes < kDatagramOverheadBytes; ++bytes) {
      CHECK_FALSE(read_datagram(std::span(whole).first(bytes)).has_value());
    }
  }

  TEST_CASE_TEMPLATE("the real kernel: payload, sender, truncation, an empty one, and the reply", Backend,
                     Uring, Epoll) {
    if (skipped<Backend>()) return;
    for (const int family : {AF_INET, AF_INET6}) {
      const auto ring = make_ring<Backend>(small(4));
      REQUIRE(ring != nullptr);
      const Socket server(family), client(family);
      if (!server.ready || !client.ready) continue;  // a machine without IPv6
      const msghdr shape = datagram_shape();
      ring->receive_datagram_multishot(server.descriptor.get(), shape, kReceive);
      ring->submit_and_wait(0, std::chrono::nanoseconds::zero());

      client.send_to(server, "hello");
      client.send_to(server, std::string(200, 'y'));
      const auto two = collect(*ring, 2);
      REQUIRE(two.size() == 2);
      const auto hello = read(*ring, two[0]);
      REQUIRE(hello.has_value());
      CHECK(two[0].more());
      CHECK(text(*hello) == "hello");
      CHECK_FALSE(hello->truncated);
      CHECK(hello->peer_bytes == client.bytes);
      CHECK(std::memcmp(&hello->peer, &client.address, client.bytes) == 0);
      const auto cut = read(*ring, two[1]);
      REQUIRE(cut.has_value());
      CHECK(cut->truncated);
      CHECK(cut->payload.size() == kBufferBytes - kDatagramOverheadBytes);

      // Two datagrams under way at once, to the address that came with the first.
      char first[] = "one", second[] = "two";
      sockaddr_storage peer = hello->peer;
      iovec pieces[] = {{first, 3}, {second, 3}};
      msghdr messages[2] = {};
      for (int i = 0; i < 2; ++i) {
        messages[i].msg_name = &peer;
        messages[i].msg_namelen = hello->peer_bytes;
        messages[i].msg_iov = &pieces[i];
        messages[i].msg_iovlen = 1;
        ring->send_message(server.descriptor.get(), messages[i], kSend);
      }
      const auto sent = collect(*ring, 2);
      REQUIRE(sent.size() == 2);
      CHECK(sent[0].result == 3);
      CHECK(sent[1].result == 3);
      CHECK(std::set<std::string>{client.receive(), client.receive()} == std::set<std::string>{"one", "two"});
      for (const Completion& completion : two) give_back(*ring, completion);

      client.send_to(server, "");
      auto rest = collect(*ring, 1);
      REQUIRE(rest.size() >= 1);
      const auto empty = read(*ring, rest[0]);
      REQUIRE(empty.has_value());
      CHECK(empty->payload.empty());
      CHECK(empty->peer_bytes == client.bytes);
      give_back(*ring, rest[0]);
      if (!rest[0].more()) ring->receive_datagram_multishot(server.descriptor.get(), shape, kReceive);
      ring->cancel(kReceive, kCancel);
      CHECK(collect(*ring, 2).size() == 2);
    }
  }

  TEST_CASE_TEMPLATE("the real kernel: buffers run out, the receive ends, and goes on", Backend, Uring,
                     Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>(small(2));
    REQUIRE(ring != nullptr);
    const Socket server(AF_INET), client(AF_INET);
    const msghdr shape = datagram_shape();
    for (const char* payload : {"a", "b", "c"}) client.send_to(server, payload);
    ring->receive_datagram_multishot(server.descriptor.get(), shape, kReceive);
    const auto batch = collect(*ring, 3);
    REQUIRE(batch.size() == 3);
    CHECK(text(*read(*ring, batch[0])) == "a");
    CHECK(text(*read(*ring, batch[1])) == "b");
    CHECK(batch[2].result == -ENOBUFS);
    CHECK_FALSE(batch[2].more());
    give_back(*ring, batch[0]);
    give_back(*ring, batch[1]);
    ring->receive_datagram_multishot(server.descriptor.get(), shape, kReceive);
    const auto rest = collect(*ring, 1);
    REQUIRE(rest.size() == 1);
    CHECK(text(*read(*ring, rest[0])) == "c");
    give_back(*ring, rest[0]);
    ring->cancel(kReceive, kCancel);
    CHECK(collect(*ring, 2).size() == 2);
  }

  // What the simulated kernel does with datagrams, and each fault.
  struct SimBench {
    explicit SimBench(const SimFaults& faults = {}, unsigned buffers = 4)
        : world(1, faults), socket(world.open_datagram()), ring(world.create_ring(small(buffers))) {
      CHECK(ring->enable().is_ok());
    }
    ~SimBench() {
      ring->close_socket(socket);
      ring.reset();
      CHECK(world.check_clean() == "");
    }
    // The completions of at most 50 turns.
    std::vector<Completion> collect(std::size_t count) {
      std::vector<Completion> all;
      for (int i = 0; i < 50 && all.size() < count; ++i) {
        ring->submit_and_wait(1, kWaitForever);
        Completion batch[16];
        const unsigned reaped = ring->reap(batch);
        all.insert(all.end(), batch, batch + reaped);
      }
      return all;
    }
    void end_receive(bool armed) {
      if (!armed) return;
      world.faults() = {};
      ring->cancel(kReceive, kCancel);
      CHECK(collect(2).size() == 2);
    }
    SimWorld world;
    int socket;
    std::unique_ptr<Ring> ring;
  };

  TEST_CASE("the simulated kernel: receive, reply, full socket, no buffers") {
    SimBench bench({}, 1);
    const msghdr shape = datagram_shape();
    bench.world.datagram_arrives(bench.socket, 4711, "hello");
    bench.world.datagram_arrives(bench.socket, 4712, std::string(200, 'y'));
    bench.ring->receive_datagram_multishot(bench.socket, shape, kReceive);
    auto some = bench.collect(2);
    REQUIRE(some.size() == 2);
    const auto hello = read(*bench.ring, some[0]);
    REQUIRE(hello.has_value());
    CHECK(text(*hello) == "hello");
    CHECK(ntohs(reinterpret_cast<const sockaddr_in&>(hello->peer).sin_port) == 4711);
    CHECK(some[1].result == -ENOBUFS);
    sockaddr_storage peer = hello->peer;
    give_back(*bench.ring, some[0]);
    bench.ring->receive_datagram_multishot(bench.socket, shape, kReceive);
    some = bench.collect(1);
    REQUIRE(some.size() == 1);
    CHECK(read(*bench.ring, some[0])->truncated);
    give_back(*bench.ring, some[0]);

    char bytes[] = "reply";
    iovec piece{bytes, 5};
    msghdr message{};
    message.msg_name = &peer;
    message.msg_namelen = sizeof(sockaddr_in);
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    bench.world.datagrams_block(bench.socket, true);
    bench.ring->send_message(bench.socket, message, kSend);
    bench.ring->send_message(bench.socket, message, kSend);
    CHECK(bench.collect(1).empty());
    bench.world.datagrams_block(bench.socket, false);
    CHECK(bench.collect(2).size() == 2);
    const auto taken = bench.world.datagrams_take(bench.socket);
    REQUIRE(taken.size() == 2);
    CHECK(taken[0].port == 4711);
    CHECK(taken[0].payload == "reply");
    bench.end_receive(true);
  }

  TEST_CASE("the simulated kernel: each fault of datagrams happens when it is always on") {
    const msghdr shape = datagram_shape();
    const std::pair<double SimFaults::*, const char*> faults[] = {
        {&SimFaults::buffers_exhausted, "buffers_exhausted"},
        {&SimFaults::multishot_end, "multishot_end"},
        {&SimFaults::datagram_cut, "datagram_cut"},
    };
    for (const auto& [fault, name] : faults) {
      SimBench bench;
      bench.world.faults().*fault = 1;
      bench.world.datagram_arrives(bench.socket, 1, "0123456789");
      bench.ring->receive_datagram_multishot(bench.socket, shape, kReceive);
      const auto some = bench.collect(1);
      REQUIRE(some.size() == 1);
      CHECK_MESSAGE(bench.world.injected(name) > 0, name);
      if (fault == &SimFaults::datagram_cut) CHECK(read(*bench.ring, some[0])->truncated);
      if (fault == &SimFaults::buffers_exhausted) CHECK(some[0].result == -ENOBUFS);
      if (some[0].has_buffer()) give_back(*bench.ring, some[0]);
      CHECK(some[0].more() == (fault == &SimFaults::datagram_cut));
      bench.end_receive(some[0].more());
    }
    for (const bool lost : {false, true}) {
      SimBench bench;
      (lost ? bench.world.faults().datagram_lost : bench.world.faults().send_error) = 1;
      sockaddr_in peer{};
      peer.sin_family = AF_INET;
      char bytes[] = "reply";
      iovec piece{bytes, 5};
      msghdr message{};
      message.msg_name = &peer;
      message.msg_namelen = sizeof peer;
      message.msg_iov = &piece;
      message.msg_iovlen = 1;
      bench.ring->send_message(bench.socket, message, kSend);
      const auto some = bench.collect(1);
      REQUIRE(some.size() == 1);
      CHECK(some[0].result == (lost ? 5 : -ENETUNREACH));
      CHECK(bench.world.datagrams_take(bench.socket).empty());
    }
  }
}
