// What every ring over the kernel does alike: the contract of net/ring.h.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

#include "ring_support.h"

using namespace ringcached;
using namespace ringcached::net;
using namespace ringcached::net::testing;
using namespace std::chrono_literals;

namespace {

constexpr Token kAccept = 1, kReceive = 2, kSend = 3, kCancel = 4, kTimer = 5, kWake = 6, kPost = 7,
                kPoll = 8;

RingOptions small_buffers(unsigned count, unsigned bytes) {
  RingOptions options;
  options.submission_entries = 64;
  options.completion_entries = 256;
  options.receive_buffers = count;
  options.receive_buffer_bytes = bytes;
  return options;
}

std::string text_of(Ring& ring, const Completion& completion) {
  const std::span<char> bytes =
      ring.buffer(completion.buffer_id()).first(static_cast<std::size_t>(completion.result));
  return {bytes.data(), bytes.size()};
}

void give_back(Ring& ring, const Completion& completion) {
  const std::uint16_t id = completion.buffer_id();
  ring.return_buffers({&id, 1});
}

const Completion* find(const std::vector<Completion>& all, Token token) {
  const auto found =
      std::find_if(all.begin(), all.end(), [=](const Completion& c) { return c.token == token; });
  return found == all.end() ? nullptr : &*found;
}

std::pair<Descriptor, Descriptor> unix_pair() {
  int ends[2] = {-1, -1};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

}  // namespace

TEST_SUITE("ring_contract") {
  TEST_CASE_TEMPLATE("multishot accept, multishot receive, send: an echo", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>(small_buffers(8, 1024));
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    REQUIRE(loopback.ready());
    ring->accept_multishot(loopback.listener(), kAccept);
    for (int round = 0; round < 3; ++round) {
      const Descriptor client = loopback.connect();
      const auto accepted = collect(*ring, 1);
      REQUIRE(accepted.size() == 1);
      CHECK(accepted[0].token == kAccept);
      CHECK(accepted[0].more());
      REQUIRE(accepted[0].result > 2);
      const int socket = accepted[0].result;
      CHECK(ring->configure_accepted(socket, true) == 0);
      int no_delay = 0;
      socklen_t length = sizeof(no_delay);
      getsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &no_delay, &length);
      CHECK(no_delay == 1);
      CHECK((fcntl(socket, F_GETFD) & FD_CLOEXEC) != 0);

      ring->receive_multishot(socket, kReceive);
      for (const std::string message : {"first", "the second"}) {
        REQUIRE(::send(client.get(), message.data(), message.size(), 0) ==
                static_cast<ssize_t>(message.size()));
        const auto received = collect(*ring, 1);
        REQUIRE(received.size() == 1);
        CHECK(received[0].token == kReceive);
        CHECK(received[0].more());
        REQUIRE(received[0].has_buffer());
        CHECK(text_of(*ring, received[0]) == message);
        const std::span<char> bytes = ring->buffer(received[0].buffer_id()).first(message.size());
        ring->send(socket, bytes, kSend);
        const auto sent = collect(*ring, 1);
        REQUIRE(sent.size() == 1);
        CHECK(sent[0].token == kSend);
        CHECK(sent[0].result == static_cast<int>(message.size()));
        CHECK_FALSE(sent[0].more());
        give_back(*ring, received[0]);
        CHECK(receive_exactly(client.get(), message.size()) == message);
      }
      shutdown(client.get(), SHUT_WR);
      const auto end = collect(*ring, 1);
      REQUIRE(end.size() == 1);
      CHECK(end[0].result == 0);
      CHECK_FALSE(end[0].more());
      CHECK(ring->close_socket(socket) == 0);
    }
  }

  TEST_CASE_TEMPLATE("buffers run out, the receive ends, and goes on when they are back", Backend, Uring,
                     Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>(small_buffers(2, 16));
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    const auto [client, server] = loopback.pair();
    std::string sent(100, '\0');
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>('a' + i % 26);
    REQUIRE(::send(client.get(), sent.data(), sent.size(), 0) == 100);

    std::string received;
    int exhausted = 0;
    ring->receive_multishot(server.get(), kReceive);
    while (received.size() < sent.size() && exhausted < 100) {
      const auto batch = collect(*ring, 3);
      std::vector<std::uint16_t> lent;
      bool ended = false;
      for (const Completion& completion : batch) {
        if (completion.has_buffer()) {
          received += text_of(*ring, completion);
          lent.push_back(completion.buffer_id());
        } else {
          CHECK(completion.result == -ENOBUFS);
          ++exhausted;
        }
        ended = ended || !completion.more();
      }
      REQUIRE(ended);
      ring->return_buffers(lent);
      ring->receive_multishot(server.get(), kReceive);
      if (received.size() == 96) {  // the rest fits: armed it stays
        const auto rest = collect(*ring, 1);
        REQUIRE(rest.size() == 1);
        received += text_of(*ring, rest[0]);
        CHECK(rest[0].more());
      }
    }
    CHECK(received == sent);
    CHECK(exhausted == 3);
  }

  TEST_CASE_TEMPLATE("a receive once: one buffer, no more than was asked for, and the rest later", Backend,
                     Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>(small_buffers(4, 64));
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    const auto [client, server] = loopback.pair();
    std::string received;
    for (const std::string_view sent : {std::string_view("0123456789abcdef"), std::string_view()}) {
      for (const std::uint32_t bytes_max : {10U, 100U}) {
        ring->receive_once(server.get(), bytes_max, kReceive);
        if (bytes_max == 10 && !sent.empty()) {
          REQUIRE(::send(client.get(), sent.data(), sent.size(), 0) == 16);
        } else if (sent.empty()) {
          shutdown(client.get(), SHUT_WR);
        }
        const auto done = collect(*ring, 1);
        REQUIRE(done.size() == 1);
        CHECK_FALSE(done[0].more());
        CHECK(done[0].has_buffer() == !sent.empty());
        if (!done[0].has_buffer()) continue;
        CHECK(done[0].result == (bytes_max == 10 ? 10 : 6));
        received += text_of(*ring, done[0]);
        give_back(*ring, done[0]);
      }
    }
    CHECK(received == "0123456789abcdef");
    // Without a buffer it says so, as the other.
    const auto bare = make_ring<Backend>(small_buffers(1, 16));
    const auto [writer, reader] = loopback.pair();
    REQUIRE(::send(writer.get(), "ab", 2, 0) == 2);
    bare->receive_once(reader.get(), 1, kReceive);
    const auto lent = collect(*bare, 1);
    REQUIRE(lent.size() == 1);
    bare->receive_once(reader.get(), 1, kReceive);
    const auto none = collect(*bare, 1);
    REQUIRE(none.size() == 1);
    CHECK(none[0].result == -ENOBUFS);
    give_back(*bare, lent[0]);
  }

  TEST_CASE_TEMPLATE("a direct receive fills the caller's pieces with what there is", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>(small_buffers(4, 16));
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    const auto tcp = loopback.pair();
    const auto local = unix_pair();
    for (const auto* const ends : {&tcp, &local}) {
      const int client = ends->first.get();
      const int server = ends->second.get();
      std::string first(3, '.');
      std::string second(50'000, '.');
      const iovec pieces[] = {{first.data(), first.size()}, {second.data(), second.size()}};
      // Queued before anything has come; no buffer is needed.
      ring->receive_direct(server, pieces, kReceive);
      CHECK(ring->submit_and_wait(0, 0ns) == 0);
      REQUIRE(::send(client, "hello", 5, 0) == 5);
      auto done = collect(*ring, 1);
      REQUIRE(done.size() == 1);
      CHECK(done[0].token == kReceive);
      CHECK(done[0].result == 5);
      CHECK_FALSE(done[0].has_buffer());
      CHECK_FALSE(done[0].more());
      CHECK(first + second.substr(0, 3) == "hello.");
      // More than fits: the rest is for whoever receives next, in either way.
      REQUIRE(::send(client, "abcdefgh", 8, 0) == 8);
      ring->receive_direct(server, std::span(pieces).first(1), kReceive);
      done = collect(*ring, 1);
      REQUIRE(done.size() == 1);
      CHECK(done[0].result == 3);
      CHECK(first == "abc");
      ring->receive_multishot(server, kReceive);
      done = collect(*ring, 1);
      REQUIRE(done.size() == 1);
      CHECK(text_of(*ring, done[0]) == "defgh");
      give_back(*ring, done[0]);
      ring->cancel(kReceive, kCancel);
      done = collect(*ring, 2);
      CHECK(done.size() == 2);
      // A cancelled one has taken nothing.
      ring->receive_direct(server, pieces, kReceive);
      ring->cancel(kReceive, kCancel);
      done = collect(*ring, 2);
      REQUIRE(find(done, kReceive) != nullptr);
      CHECK(find(done, kReceive)->result == -ECANCELED);
      REQUIRE(::send(client, "xyz", 3, 0) == 3);
      shutdown(client, SHUT_WR);
      ring->receive_direct(server, pieces, kReceive);
      done = collect(*ring, 1);
      REQUIRE(done.size() == 1);
      CHECK(done[0].result == 3);
      ring->receive_direct(server, pieces, kReceive);
      done = collect(*ring, 1);
      REQUIRE(done.size() == 1);
      CHECK(done[0].result == 0);
    }
  }

  TEST_CASE_TEMPLATE("cancel: the target ends with it, an unknown one is not found", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>(small_buffers(2, 64));
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    const auto [client, server] = loopback.pair();
    ring->receive_multishot(server.get(), kReceive);
    ring->cancel(kReceive, kCancel);
    const auto both = collect(*ring, 2);
    REQUIRE(both.size() == 2);
    REQUIRE(find(both, kReceive) != nullptr);
    CHECK(find(both, kReceive)->result == -ECANCELED);
    CHECK_FALSE(find(both, kReceive)->more());
    REQUIRE(find(both, kCancel) != nullptr);
    CHECK(find(both, kCancel)->result == 0);

    ring->cancel(kReceive, kCancel);
    const auto nothing = collect(*ring, 1);
    REQUIRE(nothing.size() == 1);
    CHECK(nothing[0].result == -ENOENT);
  }

  TEST_CASE_TEMPLATE("timeouts complete after their delay, each with its own", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>();
    REQUIRE(ring != nullptr);
    const auto start = std::chrono::steady_clock::now();
    ring->timeout(60ms, 60);
    ring->timeout(20ms, 20);
    ring->timeout(10s, kTimer);
    const auto fired = collect(*ring, 2);
    const auto elapsed = std::chrono::steady_clock::now() - start;
    REQUIRE(fired.size() == 2);
    CHECK(fired[0].token == 20);
    CHECK(fired[0].result == -ETIME);
    CHECK(fired[1].token == 60);
    CHECK(elapsed >= 60ms);
    CHECK(elapsed < 2s);
    ring->cancel(kTimer, kCancel);
    const auto cancelled = collect(*ring, 2);
    REQUIRE(find(cancelled, kTimer) != nullptr);
    CHECK(find(cancelled, kTimer)->result == -ECANCELED);
  }

  TEST_CASE_TEMPLATE("waiting: a limit, no waiting, and nothing to do", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>();
    REQUIRE(ring != nullptr);
    auto start = std::chrono::steady_clock::now();
    CHECK(wait_for_one(*ring, 30ms) == -ETIME);
    CHECK(std::chrono::steady_clock::now() - start >= 30ms);
    start = std::chrono::steady_clock::now();
    CHECK(ring->submit_and_wait(1, 0ns) == 0);
    CHECK(ring->submit_and_wait(0, kWaitForever) == 0);
    CHECK(std::chrono::steady_clock::now() - start < 20ms);
    // With completions at hand there is no waiting either.
    ring->timeout(1ms, kTimer);
    CHECK(ring->submit_and_wait(1, kWaitForever) == 0);
    CHECK(ring->submit_and_wait(1, kWaitForever) == 0);
    Completion one;
    CHECK(ring->reap({&one, 1}) == 1);
    CHECK(ring->reap({&one, 1}) == 0);
  }

  TEST_CASE_TEMPLATE("without waiting, work that the kernel has put off is fetched", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>(small_buffers(2, 64));
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    const auto [client, server] = loopback.pair();
    ring->receive_multishot(server.get(), kReceive);
    CHECK(ring->submit_and_wait(0, 0ns) == 0);
    REQUIRE(::send(client.get(), "x", 1, 0) == 1);
    unsigned reaped = 0;
    Completion one;
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (reaped == 0 && std::chrono::steady_clock::now() < end) {
      CHECK(ring->submit_and_wait(0, 0ns) == 0);
      reaped = ring->reap({&one, 1});
    }
    REQUIRE(reaped == 1);
    CHECK(one.result == 1);
  }

  TEST_CASE_TEMPLATE("wake: before and after arming, many at once are one", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>();
    REQUIRE(ring != nullptr);
    ring->wake();
    ring->wake();
    ring->arm_wake(kWake);
    auto woken = collect(*ring, 1);
    REQUIRE(woken.size() == 1);
    CHECK(woken[0].token == kWake);
    CHECK(woken[0].result > 0);
    ring->arm_wake(kWake + 100);
    CHECK(wait_for_one(*ring, 20ms) == 0);  // the arming was submitted
    CHECK(wait_for_one(*ring, 20ms) == -ETIME);
    ring->wake();
    woken = collect(*ring, 1);
    REQUIRE(woken.size() == 1);
    CHECK(woken[0].token == kWake + 100);
  }

  TEST_CASE_TEMPLATE("poll stays armed and reports every readiness", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>();
    REQUIRE(ring != nullptr);
    const Descriptor event(eventfd(0, EFD_CLOEXEC));
    ring->poll_readable_multishot(event.get(), kPoll);
    for (int round = 0; round < 3; ++round) {
      REQUIRE(eventfd_write(event.get(), 1) == 0);
      const auto ready = collect(*ring, 1);
      REQUIRE(ready.size() == 1);
      CHECK(ready[0].token == kPoll);
      CHECK(ready[0].result > 0);
      CHECK(ready[0].more());
      eventfd_t value = 0;
      CHECK(eventfd_read(event.get(), &value) == 0);
    }
  }

  TEST_CASE_TEMPLATE("a small queue: many operations are flushed on the way, none lost", Backend, Uring,
                     Epoll) {
    if (skipped<Backend>()) return;
    RingOptions options;
    options.submission_entries = 4;
    options.completion_entries = 8;
    const auto ring = make_ring<Backend>(options);
    REQUIRE(ring != nullptr);
    constexpr Token kCount = 1000;  // far more than both queues hold: the completions overflow
    for (Token token = 0; token < kCount; ++token) ring->timeout(1ns, token);
    const auto all = collect(*ring, kCount);
    REQUIRE(all.size() == kCount);
    std::map<Token, int> seen;
    for (const Completion& completion : all) {
      ++seen[completion.token];
      CHECK(completion.result == -ETIME);
    }
    CHECK(seen.size() == kCount);
  }

  TEST_CASE_TEMPLATE("each timeout keeps its delay although slots are reused", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    RingOptions options;
    options.submission_entries = 4;
    options.completion_entries = 64;
    const auto ring = make_ring<Backend>(options);
    REQUIRE(ring != nullptr);
    for (Token token = 0; token < 12; ++token) ring->timeout(token % 2 == 0 ? 1ms : 10s, token);
    const auto fired = collect(*ring, 6);
    REQUIRE(fired.size() == 6);
    for (const Completion& completion : fired) CHECK(completion.token % 2 == 0);
    CHECK(wait_for_one(*ring, 20ms) == -ETIME);
  }

  TEST_CASE_TEMPLATE("send_message gathers; a large send is short, and the rest follows", Backend, Uring,
                     Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>();
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    const auto [client, server] = loopback.pair();
    char first[] = "one ", second[] = "two";
    iovec parts[] = {{first, 4}, {second, 3}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    ring->send_message(server.get(), message, kSend);
    auto sent = collect(*ring, 1);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].result == 7);
    CHECK(receive_exactly(client.get(), 7) == "one two");

    const std::string large(std::size_t{16} << 20, 'z');
    ring->send(server.get(), large, kSend);
    sent = collect(*ring, 1);
    REQUIRE(sent.size() == 1);
    REQUIRE(sent[0].result > 0);
    CHECK(static_cast<std::size_t>(sent[0].result) < large.size());
    const auto taken = static_cast<std::size_t>(sent[0].result);
    CHECK(receive_exactly(client.get(), taken) == large.substr(0, taken));
  }

  TEST_CASE_TEMPLATE("a silent send says nothing when it was taken whole, and how much when it was not",
                     Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    for (const bool is_unix : {false, true}) {
      CAPTURE(is_unix);
      const auto ring = make_ring<Backend>();
      REQUIRE(ring != nullptr);
      const Loopback loopback;
      auto [client, server] = is_unix ? unix_pair() : loopback.pair();
      CHECK(ring->silent_sends_settled());
      ring->send_silently(server.get(), std::string_view("whole"), kSend);
      CHECK_FALSE(ring->silent_sends_settled());
      ring->submit_and_wait(0, 0ns);
      Completion completion;
      CHECK(ring->reap({&completion, 1}) == 0);
      CHECK(ring->silent_sends_settled());
      CHECK(receive_exactly(client.get(), 5) == "whole");

      const std::string large(std::size_t{16} << 20, 'z');
      ring->send_silently(server.get(), large, kSend);
      ring->submit_and_wait(0, 0ns);
      CHECK_FALSE(ring->silent_sends_settled());  // there is something to be reaped
      REQUIRE(ring->reap({&completion, 1}) == 1);
      CHECK(completion.token == kSend);
      CHECK_FALSE(completion.more());
      REQUIRE(completion.result > 0);
      REQUIRE(static_cast<std::size_t>(completion.result) < large.size());
      CHECK(ring->silent_sends_settled());
      auto taken = static_cast<std::size_t>(completion.result);

      // No room at all: at once, however long nobody reads. (TCP may have found a little room meanwhile.)
      do {
        ring->send_silently(server.get(), large, kSend);
        ring->submit_and_wait(0, 0ns);
        REQUIRE(ring->reap({&completion, 1}) == 1);
        taken += completion.result > 0 ? static_cast<std::size_t>(completion.result) : 0;
      } while (completion.result > 0);
      CHECK(completion.result == -EAGAIN);
      CHECK(receive_exactly(client.get(), taken) == std::string(taken, 'z'));

      client.reset();
      int result = 0;
      for (int attempt = 0; attempt < 100 && result != -EPIPE; ++attempt) {
        ring->send_silently(server.get(), std::string_view("x"), kSend);
        ring->submit_and_wait(0, 0ns);
        if (ring->reap({&completion, 1}) == 1) result = completion.result;
      }
      CHECK(result == -EPIPE);
    }
  }

  TEST_CASE_TEMPLATE("a send to a peer that has reset the connection fails without a signal", Backend, Uring,
                     Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>();
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    auto [client, server] = loopback.pair();
    const linger abort{1, 0};
    setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
    client.reset();
    for (const int expected : {-ECONNRESET, -EPIPE}) {
      ring->send(server.get(), std::string_view("x"), kSend);
      const auto failed = collect(*ring, 1);
      REQUIRE(failed.size() == 1);
      CHECK(failed[0].result == expected);
    }
  }

  TEST_CASE_TEMPLATE("at the descriptor limit accept ends with EMFILE, and works again after", Backend, Uring,
                     Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>();
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    const Descriptor client = loopback.connect();
    rlimit saved{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &saved) == 0);
    const Descriptor probe(dup(0));
    rlimit low = saved;
    low.rlim_cur = static_cast<rlim_t>(probe.get()) + 1;  // every descriptor below the limit is in use
    REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
    ring->accept_multishot(loopback.listener(), kAccept);
    const auto refused = collect(*ring, 1);
    setrlimit(RLIMIT_NOFILE, &saved);
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].result == -EMFILE);
    CHECK_FALSE(refused[0].more());
    ring->accept_multishot(loopback.listener(), kAccept);
    const auto accepted = collect(*ring, 1);
    REQUIRE(accepted.size() == 1);
    REQUIRE(accepted[0].result > 0);
    CHECK(ring->close_socket(accepted[0].result) == 0);
  }

  TEST_CASE_TEMPLATE("post to a ring that is not enabled is refused; to itself and to another it arrives",
                     Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>();
    REQUIRE(ring != nullptr);
    auto disabled = Backend::create({});
    REQUIRE(disabled.is_ok());
    ring->post(*disabled.value(), 42, 77, kPost);
    auto refused = collect(*ring, 1);
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].token == kPost);
    CHECK(refused[0].result == -EBADFD);

    REQUIRE(disabled.value()->enable().is_ok());
    ring->post(*disabled.value(), 42, 77, kPost);
    const auto posted = collect(*ring, 1);
    REQUIRE(posted.size() == 1);
    CHECK(posted[0].result == 0);
    const auto arrived = collect(*disabled.value(), 1);
    REQUIRE(arrived.size() == 1);
    CHECK(arrived[0].token == 77);
    CHECK(arrived[0].result == 42);
    CHECK_FALSE(arrived[0].more());
  }

  TEST_CASE_TEMPLATE("descriptor calls report errors as negated errno", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>();
    REQUIRE(ring != nullptr);
    const Descriptor event(eventfd(0, EFD_CLOEXEC));
    const int closed = 100000;
    CHECK(ring->configure_accepted(closed, true) == -EBADF);
    CHECK(ring->configure_accepted(closed, false) == -EBADF);
    CHECK(ring->configure_accepted(event.get(), true) == -ENOTSOCK);
    CHECK(ring->configure_accepted(event.get(), false) == -ENOTSOCK);
    CHECK(ring->close_socket(closed) == -EBADF);
    CHECK(ring->shutdown_socket(closed, SHUT_RDWR) == -EBADF);

    const Loopback loopback;
    const auto [client, server] = loopback.pair();
    sockaddr_storage peer{}, own{};
    socklen_t peer_length = 0, own_length = sizeof(own);
    CHECK(ring->peer_address(server.get(), peer, peer_length) == 0);
    REQUIRE(getsockname(client.get(), reinterpret_cast<sockaddr*>(&own), &own_length) == 0);
    REQUIRE(peer_length == own_length);
    CHECK(std::memcmp(&peer, &own, own_length) == 0);
    CHECK(ring->peek(event.get()) == -ENOTSOCK);
    CHECK(ring->peek(client.get()) == -EAGAIN);
    CHECK(ring->send_now(server.get(), std::string_view("bye")) == 3);
    CHECK(ring->peek(client.get()) > 0);
    CHECK(receive_exactly(client.get(), 3) == "bye");
    CHECK(ring->shutdown_socket(server.get(), SHUT_RDWR) == 0);
    CHECK(ring->peek(client.get()) == 0);
    CHECK(ring->send_now(server.get(), std::string_view("bye")) == -EPIPE);
    const std::string large(std::size_t{32} << 20, 'x');
    const auto [slow, fast] = loopback.pair();
    int sent = 0;
    while (sent >= 0) sent = ring->send_now(fast.get(), large);
    CHECK(sent == -EAGAIN);
  }

  TEST_CASE_TEMPLATE("sizes that cannot be are refused with a reason", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    RingOptions options;
    options.receive_buffers = 3;
    auto odd = Backend::create(options);
    REQUIRE_FALSE(odd.is_ok());
    CHECK(odd.status().code() == StatusCode::kInvalidArgument);
    options.receive_buffers = 0;
    options.submission_entries = 0;
    CHECK_FALSE(Backend::create(options).is_ok());
  }
}
