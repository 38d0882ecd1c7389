// Readiness as every ring over the kernel has to see it: nothing that has arrived is missed, whatever ended,
// paused or cut the operation before.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <thread>

#include "ring_support.h"

using namespace ringcached;
using namespace ringcached::net;
using namespace ringcached::net::testing;
using namespace std::chrono_literals;

namespace {

constexpr Token kReceive = 1, kSend = 2, kCancel = 3, kAccept = 4;

RingOptions buffers(unsigned count, unsigned bytes) {
  return {.submission_entries = 64,
          .completion_entries = 512,
          .receive_buffers = count,
          .receive_buffer_bytes = bytes};
}

// Receives on `token` until `bytes` have come or the operation has ended; buffers are given back at once.
std::string receive(Ring& ring, Token token, std::size_t bytes, int* ended = nullptr) {
  std::string text;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (text.size() < bytes && std::chrono::steady_clock::now() < end) {
    for (const Completion& completion : collect(ring, 1)) {
      if (completion.token != token) continue;
      if (completion.has_buffer()) {
        const std::uint16_t id = completion.buffer_id();
        const auto part = ring.buffer(id).first(static_cast<std::size_t>(completion.result));
        text.append(part.data(), part.size());
        ring.return_buffers({&id, 1});
      }
      if (completion.more()) continue;
      if (ended != nullptr) *ended = completion.result;
      return text;
    }
  }
  return text;
}

std::pair<Descriptor, Descriptor> unix_pair() {
  int pair[2] = {-1, -1};
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  return {Descriptor(pair[0]), Descriptor(pair[1])};
}

// One byte, and a descriptor with it.
bool send_with_descriptor(int socket, char byte) {
  iovec piece{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &socket, sizeof socket);
  return sendmsg(socket, &message, 0) == 1;
}

// Until the socket takes nothing more, nor after what it holds has moved on to the peer. Returns the bytes.
std::size_t fill(Ring& ring, int socket) {
  const std::string chunk(std::size_t{1} << 20, 'f');
  std::size_t filled = 0;
  for (int full = 0; full < 5;) {
    const int sent = ring.send_now(socket, chunk);
    if (sent > 0) filled += static_cast<std::size_t>(sent);
    full = sent > 0 ? 0 : full + 1;
    if (sent <= 0) std::this_thread::sleep_for(5ms);
  }
  return filled;
}

}  // namespace

TEST_SUITE("ring_readiness") {
  TEST_CASE_TEMPLATE("without a buffer a receive ends at once, also with nothing to receive", Backend, Uring,
                     Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>(buffers(1, 16));
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    const auto [client, server] = loopback.pair();
    const auto [other_client, other] = loopback.pair();
    REQUIRE(::send(client.get(), "x", 1, 0) == 1);
    ring->receive_multishot(server.get(), kReceive);
    const auto lent = collect(*ring, 1);
    REQUIRE(lent.size() == 1);
    REQUIRE(lent[0].has_buffer());
    ring->receive_multishot(other.get(), 77);
    const auto refused = collect(*ring, 1);
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].token == 77);
    CHECK(refused[0].result == -ENOBUFS);
    CHECK_FALSE(refused[0].more());
  }

  TEST_CASE_TEMPLATE("what came while no receive was armed is there for the next", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>(buffers(4, 64));
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    const auto [client, server] = loopback.pair();
    for (const std::string text : {"one", "two", "three"}) {
      ring->receive_multishot(server.get(), kReceive);
      ring->cancel(kReceive, kCancel);
      REQUIRE(collect(*ring, 2).size() == 2);
      REQUIRE(::send(client.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
      // The readiness passes while nobody waits for it.
      CHECK(wait_for_one(*ring, 10ms) == -ETIME);
      ring->receive_multishot(server.get(), kReceive);
      CHECK(receive(*ring, kReceive, text.size()) == text);
      ring->cancel(kReceive, kCancel);
      REQUIRE(collect(*ring, 2).size() == 2);
    }
  }

  TEST_CASE_TEMPLATE("bytes and the end of the stream that came together are both reported", Backend, Uring,
                     Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>(buffers(4, 64));
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    for (int round = 0; round < 20; ++round) {
      auto [client, server] = loopback.pair();
      if (round % 2 == 0) ring->receive_multishot(server.get(), kReceive);
      if (round % 4 < 2) ring->submit_and_wait(0, 0ns);
      REQUIRE(::send(client.get(), "last words", 10, 0) == 10);
      client.reset();
      if (round % 2 != 0) ring->receive_multishot(server.get(), kReceive);
      int ended = 1;
      CHECK(receive(*ring, kReceive, 11, &ended) == "last words");
      CHECK(ended == 0);
      CHECK(ring->close_socket(server.release()) == 0);
    }
  }

  TEST_CASE_TEMPLATE("urgent data cuts a receive but hides nothing", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>(buffers(8, 1024));
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    const auto [client, server] = loopback.pair();
    const int on = 1;
    REQUIRE(setsockopt(client.get(), IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on) == 0);
    REQUIRE(::send(client.get(), "before", 6, 0) == 6);
    REQUIRE(::send(client.get(), "!", 1, MSG_OOB) == 1);
    REQUIRE(::send(client.get(), "after", 5, 0) == 5);
    ring->receive_multishot(server.get(), kReceive);
    CHECK(receive(*ring, kReceive, 11) == "beforeafter");
    REQUIRE(::send(client.get(), "!", 1, MSG_OOB) == 1);
    REQUIRE(::send(client.get(), "more", 4, 0) == 4);
    CHECK(receive(*ring, kReceive, 4) == "more");
  }

  TEST_CASE_TEMPLATE("descriptors passed over a UNIX socket cut a receive but hide nothing", Backend, Uring,
                     Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>(buffers(8, 1024));
    REQUIRE(ring != nullptr);
    const auto [client, server] = unix_pair();
    for (const char byte : std::string("abc")) REQUIRE(send_with_descriptor(client.get(), byte));
    REQUIRE(::send(client.get(), "def", 3, 0) == 3);
    ring->receive_multishot(server.get(), kReceive);
    CHECK(receive(*ring, kReceive, 6) == "abcdef");
  }

  TEST_CASE_TEMPLATE("a send to a full socket waits for room, again and again", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>(buffers(4, 64));
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    for (const bool tcp : {true, false}) {
      auto [client, server] = tcp ? loopback.pair() : unix_pair();
      if (tcp) ring->receive_multishot(server.get(), kReceive);
      std::size_t written = 0;
      for (int round = 0; round < 3; ++round) {
        written += fill(*ring, server.get());
        ring->send(server.get(), std::string_view("waited"), kSend);
        CHECK(wait_for_one(*ring, 20ms) == 0);
        // TCP may find room by itself once the peer has told of a larger window.
        if (!tcp) CHECK(wait_for_one(*ring, 20ms) == -ETIME);
        const std::size_t part = written - written / 8;
        CHECK(receive_exactly(client.get(), part).size() == part);
        written -= part;
        const auto sent = collect(*ring, 1);
        REQUIRE(sent.size() == 1);
        CHECK(sent[0].token == kSend);
        REQUIRE(sent[0].result == 6);
        written += 6;
      }
      // Receiving goes on undisturbed by what is left of waiting for room.
      if (!tcp) ring->receive_multishot(server.get(), kReceive);
      REQUIRE(::send(client.get(), "ping", 4, 0) == 4);
      CHECK(receive(*ring, kReceive, 4) == "ping");
      ring->cancel(kReceive, kCancel);
      CHECK(collect(*ring, 2).size() == 2);
      CHECK(ring->close_socket(server.release()) == 0);
    }
  }

  TEST_CASE_TEMPLATE("a waiting send ends by cancel, and by the peer's end", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>();
    REQUIRE(ring != nullptr);
    // Not TCP, which may find room by itself.
    auto [client, server] = unix_pair();
    fill(*ring, server.get());
    ring->send(server.get(), std::string_view("never"), kSend);
    CHECK(wait_for_one(*ring, 10ms) == 0);
    ring->cancel(kSend, kCancel);
    const auto both = collect(*ring, 2);
    REQUIRE(both.size() == 2);
    for (const Completion& completion : both)
      CHECK(completion.result == (completion.token == kSend ? -ECANCELED : 0));
    ring->send(server.get(), std::string_view("never"), kSend);
    CHECK(wait_for_one(*ring, 10ms) == 0);
    client.reset();
    const auto failed = collect(*ring, 1);
    REQUIRE(failed.size() == 1);
    CHECK(failed[0].result < 0);
  }

  TEST_CASE_TEMPLATE("a descriptor's number that comes back is a new descriptor", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>(buffers(4, 64));
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    std::set<int> numbers;
    for (int round = 0; round < 10; ++round) {
      auto [client, server] = loopback.pair();
      numbers.insert(server.get());
      ring->receive_multishot(server.get(), kReceive);
      REQUIRE(::send(client.get(), "new", 3, 0) == 3);
      CHECK(receive(*ring, kReceive, 3) == "new");
      REQUIRE(::send(client.get(), "unread", 6, 0) == 6);
      ring->cancel(kReceive, kCancel);
      for (std::size_t finals = 0; finals < 2;) {
        const auto some = collect(*ring, 1);
        REQUIRE_FALSE(some.empty());
        for (const Completion& completion : some) {
          if (!completion.more()) ++finals;
          if (!completion.has_buffer()) continue;
          const std::uint16_t id = completion.buffer_id();
          ring->return_buffers({&id, 1});
        }
      }
      CHECK(ring->close_socket(server.release()) == 0);
    }
    CHECK(numbers.size() < 10);
  }

  TEST_CASE_TEMPLATE("operations on what is no descriptor, or the wrong one, end with an error", Backend,
                     Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>(buffers(4, 64));
    REQUIRE(ring != nullptr);
    constexpr int kClosed = 100'000;
    ring->receive_multishot(kClosed, kReceive);
    ring->send(kClosed, std::string_view("x"), kSend);
    ring->accept_multishot(-1, kAccept);
    const auto all = collect(*ring, 3);
    REQUIRE(all.size() == 3);
    for (const Completion& completion : all) {
      CHECK(completion.result == -EBADF);
      CHECK_FALSE(completion.more());
    }
    const Loopback loopback;
    const auto [client, server] = loopback.pair();
    ring->accept_multishot(server.get(), kAccept);
    REQUIRE(::send(client.get(), "x", 1, 0) == 1);
    const auto accepted = collect(*ring, 1);
    REQUIRE(accepted.size() == 1);
    CHECK(accepted[0].result == -EINVAL);
    CHECK_FALSE(accepted[0].more());
  }

  // io_uring needs more calls: without waiting, newer kernels do 20 pieces of work in each.
  TEST_CASE("epoll: what has arrived on hundreds of sockets is there after two calls") {
    constexpr Token kSockets = 300;
    const auto ring = make_ring<Epoll>(buffers(512, 64));
    REQUIRE(ring != nullptr);
    std::vector<std::pair<Descriptor, Descriptor>> pairs;
    for (Token token = 0; token < kSockets; ++token) {
      pairs.push_back(unix_pair());
      ring->receive_multishot(pairs.back().second.get(), token);
    }
    CHECK(wait_for_one(*ring, 1ms) == 0);
    CHECK(wait_for_one(*ring, 1ms) == -ETIME);
    for (const auto& [client, server] : pairs) REQUIRE(::send(client.get(), "x", 1, 0) == 1);
    CHECK(ring->submit_and_wait(0, 0ns) == 0);
    CHECK(ring->submit_and_wait(0, 0ns) == 0);
    std::vector<Completion> all(2 * kSockets);
    const unsigned reaped = ring->reap(all);
    CHECK(reaped == kSockets);
    std::set<Token> seen;
    for (const Completion& completion : std::span(all).first(reaped)) seen.insert(completion.token);
    CHECK(seen.size() == kSockets);
  }

  TEST_CASE_TEMPLATE("a socket that is flooded does not hide the others", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    constexpr Token kQuiet = 50;
    const auto ring = make_ring<Backend>(buffers(64, 64));
    REQUIRE(ring != nullptr);
    const auto [flooder, flooded] = unix_pair();
    const auto [client, quiet] = unix_pair();
    REQUIRE(fcntl(flooder.get(), F_SETFL, O_NONBLOCK) == 0);
    ring->receive_multishot(flooded.get(), kReceive);
    ring->receive_multishot(quiet.get(), kQuiet);
    ring->submit_and_wait(0, 0ns);
    const std::string flood(std::size_t{64} * 1024, 'x');
    bool heard = false;
    for (int turn = 0; turn < 50 && !heard; ++turn) {
      while (::send(flooder.get(), flood.data(), flood.size(), 0) > 0) {
      }
      if (turn == 5) REQUIRE(::send(client.get(), "hear me", 7, 0) == 7);
      wait_for_one(*ring, 100ms);
      Completion batch[256];
      for (const Completion& completion : std::span(batch).first(ring->reap(batch))) {
        heard = heard || completion.token == kQuiet;
        if (completion.has_buffer()) {
          const std::uint16_t id = completion.buffer_id();
          ring->return_buffers({&id, 1});
        }
        if (completion.token == kReceive && !completion.more()) {
          ring->receive_multishot(flooded.get(), kReceive);
        }
        if (completion.token == kQuiet && !completion.more()) ring->receive_multishot(quiet.get(), kQuiet);
      }
    }
    CHECK(heard);
  }
}
