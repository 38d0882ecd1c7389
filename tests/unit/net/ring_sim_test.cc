// The simulated ring itself: its perfect behaviour, each fault, and the canaries that prove its watchfulness.
#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <string>
#include <vector>

#include "support/sim_ring.h"

using namespace ringcached;
using namespace ringcached::net;
using namespace ringcached::testing;
using namespace std::chrono_literals;

namespace {

constexpr Token kAccept = 1, kReceive = 2, kSend = 3, kCancel = 4, kTimer = 5, kWake = 6, kPost = 7,
                kPoll = 8;

RingOptions small(unsigned buffers = 4, unsigned bytes = 64) {
  RingOptions options;
  options.submission_entries = 16;
  options.completion_entries = 64;
  options.receive_buffers = buffers;
  options.receive_buffer_bytes = bytes;
  return options;
}

// One enabled ring in a world with a listener.
struct Bench {
  explicit Bench(std::uint64_t seed = 1, const SimFaults& faults = {}, const SimOptions& options = {},
                 const RingOptions& ring_options = small())
      : world(seed, faults, options), listener(world.listen()), ring(world.create_ring(ring_options)) {
    CHECK(ring->enable().is_ok());
  }

  std::vector<Completion> turn() {
    ring->submit_and_wait(1, kWaitForever);
    Completion batch[16];
    const unsigned count = ring->reap(batch);
    return {batch, batch + count};
  }
  // Turns until `count` completions came or nothing happens any more.
  std::vector<Completion> collect(std::size_t count) {
    std::vector<Completion> all;
    for (int idle = 0; all.size() < count && idle < 50; ++idle) {
      const auto some = turn();
      if (!some.empty()) idle = 0;
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }
  // Connects and accepts one client.
  int accept_one(ClientId& client) {
    client = world.connect(listener);
    ring->accept_multishot(listener, kAccept);
    const int descriptor = collect(1).at(0).result;
    ring->cancel(kAccept, kCancel);
    collect(2);
    return descriptor;
  }
  std::string text(const Completion& completion) {
    const auto bytes =
        ring->buffer(completion.buffer_id()).first(static_cast<std::size_t>(completion.result));
    return {bytes.data(), bytes.size()};
  }
  void give_back(const Completion& completion) {
    const std::uint16_t id = completion.buffer_id();
    ring->return_buffers({&id, 1});
  }
  bool violated(const char* text) const {
    const auto& all = world.violations();
    return std::any_of(all.begin(), all.end(),
                       [&](const std::string& line) { return line.find(text) != std::string::npos; });
  }

  SimWorld world;
  int listener;
  std::unique_ptr<Ring> ring;
};

const Completion* find(const std::vector<Completion>& all, Token token) {
  const auto found =
      std::find_if(all.begin(), all.end(), [=](const Completion& c) { return c.token == token; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

TEST_SUITE("ring_sim") {
  TEST_CASE("a perfect world: accept, receive, send, end of stream, close") {
    Bench bench;
    ClientId client = 0;
    const int socket = bench.accept_one(client);
    CHECK(bench.world.client_accepted(client));
    CHECK(bench.world.client_descriptor(client) == socket);
    CHECK(bench.ring->configure_accepted(socket, true) == 0);
    CHECK(bench.world.client_configured(client, true));
    bench.world.client_write(client, "hello");
    bench.ring->receive_multishot(socket, kReceive);
    const auto received = bench.collect(1);
    REQUIRE(received.size() == 1);
    CHECK(received[0].more());
    CHECK(bench.text(received[0]) == "hello");
    bench.give_back(received[0]);
    const std::string reply = "world";
    bench.ring->send(socket, reply, kSend);
    const auto sent = bench.collect(1);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].result == 5);
    bench.world.settle();
    CHECK(bench.world.client_take(client) == "world");
    bench.world.client_half_close(client);
    const auto end = bench.collect(1);
    REQUIRE(end.size() == 1);
    CHECK(end[0].token == kReceive);
    CHECK(end[0].result == 0);
    CHECK_FALSE(end[0].more());
    CHECK(bench.ring->close_socket(socket) == 0);
    CHECK(bench.world.client_saw_end(client));
    CHECK(bench.ring->close_socket(bench.listener) == 0);
    CHECK(bench.world.check_clean() == "");
  }

  TEST_CASE("receives once and direct receives, with and without short ones") {
    for (const double shorter : {0.0, 1.0}) {
      SimFaults faults;
      faults.short_receive = shorter;
      Bench bench(7, faults);
      ClientId client = 0;
      const int socket = bench.accept_one(client);
      bench.world.client_write(client, "0123456789");
      std::string memory(6, '.');
      const iovec pieces[] = {{memory.data(), 2}, {memory.data() + 2, 4}};
      bench.ring->receive_direct(socket, pieces, kReceive);
      const auto direct = bench.collect(1);
      REQUIRE(direct.size() == 1);
      CHECK_FALSE(direct[0].more());
      CHECK_FALSE(direct[0].has_buffer());
      const auto count = static_cast<std::size_t>(direct[0].result);
      if (shorter == 0) CHECK(count == 6);
      std::string received = memory.substr(0, count);
      CHECK(memory.substr(count) == std::string(6 - count, '.'));
      while (received.size() < 10) {
        bench.ring->receive_once(socket, 3, kReceive);
        const auto once = bench.collect(1);
        REQUIRE(once.size() == 1);
        CHECK_FALSE(once[0].more());
        CHECK(once[0].result <= 3);
        received += bench.text(once[0]);
        bench.give_back(once[0]);
      }
      CHECK(received == "0123456789");
      bench.world.client_half_close(client);
      bench.ring->receive_direct(socket, pieces, kReceive);
      const auto end = bench.collect(1);
      REQUIRE(end.size() == 1);
      CHECK(end[0].result == 0);
      CHECK(bench.ring->close_socket(socket) == 0);
      CHECK(bench.ring->close_socket(bench.listener) == 0);
      CHECK(bench.world.check_clean() == "");
    }
  }

  TEST_CASE("the same seed gives the same run, another seed another") {
    auto trace = [](std::uint64_t seed) {
      SimFaults faults;
      faults.short_receive = 0.5;
      faults.delay = 0.3;
      Bench bench(seed, faults);
      ClientId client = 0;
      const int socket = bench.accept_one(client);
      bench.world.client_write(client, std::string(40, 'x'));
      bench.ring->receive_multishot(socket, kReceive);
      std::string text;
      for (int i = 0; i < 20; ++i) {
        for (const Completion& completion : bench.turn()) {
          text += std::to_string(completion.result) + " ";
          if (completion.has_buffer()) bench.give_back(completion);
        }
      }
      bench.world.client_half_close(client);
      for (int i = 0; i < 20; ++i) {
        for (const Completion& completion : bench.turn()) {
          if (completion.has_buffer()) bench.give_back(completion);
        }
      }
      return text;
    };
    CHECK(trace(7) == trace(7));
    std::set<std::string> different;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) different.insert(trace(seed));
    CHECK(different.size() > 8);
  }

  TEST_CASE("buffers run out: -ENOBUFS, no kMore, the bytes stay; arming without buffers ends at once") {
    Bench bench(1, {}, {}, small(2, 8));
    ClientId client = 0;
    const int socket = bench.accept_one(client);
    bench.world.client_write(client, "0123456789abcdefXYZ");
    bench.ring->receive_multishot(socket, kReceive);
    const auto first = bench.collect(3);
    REQUIRE(first.size() == 3);
    CHECK(bench.text(first[0]) == "01234567");
    CHECK(bench.text(first[1]) == "89abcdef");
    CHECK(first[2].result == -ENOBUFS);
    CHECK_FALSE(first[2].more());
    bench.ring->receive_multishot(socket, kReceive);
    const auto again = bench.collect(1);
    REQUIRE(again.size() == 1);
    CHECK(again[0].result == -ENOBUFS);
    bench.give_back(first[0]);
    bench.give_back(first[1]);
    bench.ring->receive_multishot(socket, kReceive);
    const auto rest = bench.collect(1);
    REQUIRE(rest.size() == 1);
    CHECK(bench.text(rest[0]) == "XYZ");
    bench.give_back(rest[0]);
    bench.ring->cancel(kReceive, kCancel);
    CHECK(bench.collect(2).size() == 2);
    CHECK(bench.world.violations().empty());
  }

  TEST_CASE("a reader that stops fills the socket buffer: sends are short, then wait") {
    SimOptions options;
    options.socket_buffer_bytes = 10;
    Bench bench(1, {}, options);
    ClientId client = 0;
    const int socket = bench.accept_one(client);
    bench.world.client_stop_reading(client);
    const std::string bytes = "0123456789abcdef";
    bench.ring->send(socket, bytes, kSend);
    auto sent = bench.collect(1);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].result == 10);
    bench.ring->send(socket, std::span(bytes).subspan(10), kSend);
    CHECK(bench.collect(1).empty());
    CHECK(bench.ring->send_now(socket, bytes) == -EAGAIN);
    bench.world.client_resume_reading(client);
    sent = bench.collect(1);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].result > 0);
    bench.world.settle();
    CHECK(bench.world.client_take(client) == bytes.substr(0, 10 + static_cast<std::size_t>(sent[0].result)));
  }

  TEST_CASE(
      "descriptor limit: EMFILE, also when arming with nobody waiting, and it is over when one closes") {
    SimOptions options;
    options.descriptors_max = 2;
    Bench bench(1, {}, options);
    ClientId client = 0;
    const int socket = bench.accept_one(client);
    bench.ring->accept_multishot(bench.listener, kAccept);
    auto refused = bench.collect(1);
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].result == -EMFILE);
    CHECK_FALSE(refused[0].more());
    const ClientId waiting = bench.world.connect(bench.listener);
    CHECK(bench.ring->close_socket(socket) == 0);
    bench.ring->accept_multishot(bench.listener, kAccept);
    const auto accepted = bench.collect(1);
    REQUIRE(accepted.size() == 1);
    CHECK(accepted[0].result == socket);  // reused at once
    CHECK(bench.world.client_accepted(waiting));
  }

  TEST_CASE("client reset and close: errors in the kernel's order") {
    Bench bench;
    ClientId client = 0;
    const int socket = bench.accept_one(client);
    bench.ring->receive_multishot(socket, kReceive);
    CHECK(bench.collect(1).empty());
    bench.world.client_reset(client);
    auto broken = bench.collect(1);
    REQUIRE(broken.size() == 1);
    CHECK(broken[0].result == -ECONNRESET);
    const std::string bytes = "x";
    bench.ring->send(socket, bytes, kSend);
    broken = bench.collect(1);
    REQUIRE(broken.size() == 1);
    CHECK(broken[0].result == -EPIPE);
    CHECK(bench.ring->close_socket(socket) == 0);

    ClientId other = 0;
    const int second = bench.accept_one(other);
    bench.world.client_close(other);
    for (const int expected : {1, -ECONNRESET, -EPIPE}) {
      bench.ring->send(second, bytes, kSend);
      const auto sent = bench.collect(1);
      REQUIRE(sent.size() == 1);
      CHECK(sent[0].result == expected);
    }
    CHECK(bench.ring->close_socket(second) == 0);
  }

  TEST_CASE("timers: by advance, by jump, by a wait that may let time pass") {
    Bench bench;
    bench.ring->timeout(1s, kTimer);
    CHECK(bench.turn().empty());
    bench.world.advance(2s);
    auto fired = bench.turn();
    REQUIRE(fired.size() == 1);
    CHECK(fired[0].result == -ETIME);
    bench.ring->timeout(1h, kTimer);
    CHECK(bench.turn().empty());
    CHECK(bench.world.advance_to_timer());
    CHECK(bench.turn().size() == 1);
    CHECK_FALSE(bench.world.advance_to_timer());

    bench.world.options().waits_advance_clock = true;
    const std::uint64_t start_ns = bench.world.clock().monotonic_ns();
    CHECK(bench.ring->submit_and_wait(1, 250ms) == -ETIME);
    CHECK(bench.world.clock().monotonic_ns() - start_ns >= 250'000'000);
    bench.ring->timeout(10s, kTimer);
    CHECK(bench.ring->submit_and_wait(1, kWaitForever) == 0);
    CHECK(bench.world.clock().monotonic_ns() - start_ns >= 10'000'000'000);
    CHECK(bench.ring->submit_and_wait(1, 0ns) == 0);
    Completion one;
    CHECK(bench.ring->reap({&one, 1}) == 1);
    CHECK(bench.world.operations() == 0);
  }

  TEST_CASE("posts, wakes and polls between rings") {
    Bench bench;
    auto target = bench.world.create_ring(small());
    bench.ring->post(*target, 42, 77, kPost);
    auto posted = bench.collect(1);
    REQUIRE(posted.size() == 1);
    CHECK(posted[0].result == -EBADFD);
    CHECK(target->enable().is_ok());
    bench.ring->post(*target, 42, 77, kPost);
    posted = bench.collect(1);
    REQUIRE(posted.size() == 1);
    CHECK(posted[0].result == 0);
    Completion arrived;
    REQUIRE(target->reap({&arrived, 1}) == 1);
    CHECK(arrived.token == 77);
    CHECK(arrived.result == 42);

    target->wake();
    target->wake();
    target->arm_wake(kWake);
    CHECK(target->submit_and_wait(1, kWaitForever) == 0);
    REQUIRE(target->reap({&arrived, 1}) == 1);
    CHECK(arrived.token == kWake);
    target->arm_wake(kWake);
    CHECK(target->submit_and_wait(1, kWaitForever) == -EINTR);

    const int pollable = bench.world.create_pollable();
    bench.ring->poll_readable_multishot(pollable, kPoll);
    bench.world.make_readable(pollable);
    const auto ready = bench.collect(1);
    REQUIRE(ready.size() == 1);
    CHECK(ready[0].result == POLLIN);
    CHECK(ready[0].more());
    bench.ring->post(*target, 1, 1, kPost);
    target.reset();  // before the post is submitted
    posted = bench.collect(1);
    REQUIRE(posted.size() == 1);
    CHECK(posted[0].result == -EBADFD);
  }

  TEST_CASE("a full completion queue ends multishots and loses nothing") {
    RingOptions tiny = small(8, 4);
    tiny.completion_entries = 2;
    Bench bench(1, {}, {}, tiny);
    for (Token token = 100; token < 120; ++token) bench.ring->timeout(0ns, token);
    std::set<Token> seen;
    for (int i = 0; i < 200; ++i) {
      for (const Completion& completion : bench.turn()) seen.insert(completion.token);
    }
    CHECK(seen.size() == 20);
    for (int i = 0; i < 5; ++i) bench.world.connect(bench.listener);
    bench.ring->accept_multishot(bench.listener, kAccept);
    bench.ring->submit_and_wait(0, 0ns);
    bench.world.settle();
    std::vector<Completion> accepted;
    for (int i = 0; i < 10; ++i) {
      const auto some = bench.turn();
      accepted.insert(accepted.end(), some.begin(), some.end());
    }
    REQUIRE(accepted.size() == 3);  // two fit, the third overflows and ends it with a valid descriptor
    CHECK(accepted[1].more());
    CHECK(accepted[2].result > 0);
    CHECK_FALSE(accepted[2].more());
  }

  TEST_CASE("each fault happens when it is always on") {
    auto once = [](double SimFaults::*fault, const char* name, auto&& play) {
      Bench bench;
      ClientId client = 0;
      const int socket = bench.accept_one(client);
      bench.world.faults().*fault = 1;
      play(bench, client, socket);
      CHECK_MESSAGE(bench.world.injected(name) > 0, name);
      CHECK(bench.world.violations().empty());
      bench.world.faults() = {};
      bench.world.client_reset(client);
      bench.collect(20);
    };
    const std::string bytes = "0123456789";
    auto receive = [&](Bench& bench, ClientId client, int socket) {
      bench.world.client_write(client, bytes);
      bench.ring->receive_multishot(socket, kReceive);
      const auto some = bench.collect(1);
      REQUIRE(some.size() >= 1);
      for (const Completion& completion : some) {
        if (completion.has_buffer()) bench.give_back(completion);
      }
      return some[0];
    };
    auto send = [&](Bench& bench, int socket) {
      bench.ring->send(socket, bytes, kSend);
      const auto some = bench.collect(1);
      REQUIRE(some.size() == 1);
      return some[0];
    };
    once(&SimFaults::short_receive, "short_receive", [&](Bench& b, ClientId c, int s) { receive(b, c, s); });
    once(&SimFaults::buffers_exhausted, "buffers_exhausted",
         [&](Bench& b, ClientId c, int s) { CHECK(receive(b, c, s).result == -ENOBUFS); });
    once(&SimFaults::receive_error, "receive_error",
         [&](Bench& b, ClientId c, int s) { CHECK(receive(b, c, s).result == -ECONNRESET); });
    once(&SimFaults::multishot_end, "multishot_end", [&](Bench& b, ClientId c, int s) {
      const Completion last = receive(b, c, s);
      CHECK(last.result == 10);
      CHECK_FALSE(last.more());
    });
    once(&SimFaults::overflow, "overflow",
         [&](Bench& b, ClientId c, int s) { CHECK_FALSE(receive(b, c, s).more()); });
    once(&SimFaults::delay, "delay",
         [&](Bench& b, ClientId c, int s) { CHECK(receive(b, c, s).result == 10); });
    once(&SimFaults::short_send, "short_send",
         [&](Bench& b, ClientId, int s) { CHECK(send(b, s).result > 0); });
    once(&SimFaults::send_error, "send_error",
         [&](Bench& b, ClientId, int s) { CHECK(send(b, s).result < 0); });
    once(&SimFaults::turn_interrupted, "turn_interrupted",
         [&](Bench& b, ClientId, int s) { CHECK(send(b, s).result == 10); });
    once(&SimFaults::cancel_already, "cancel_already", [&](Bench& b, ClientId, int s) {
      b.ring->receive_multishot(s, kReceive);
      b.ring->cancel(kReceive, kCancel);
      const auto both = b.collect(2);
      REQUIRE(both.size() == 2);
      CHECK(find(both, kCancel)->result == -EALREADY);
      CHECK_FALSE(find(both, kReceive)->more());
    });
    once(&SimFaults::cancel_late, "cancel_late", [&](Bench& b, ClientId, int s) {
      b.ring->send(s, bytes, kSend);
      b.ring->cancel(kSend, kCancel);
      const auto both = b.collect(2);
      REQUIRE(both.size() == 2);
      CHECK(find(both, kSend)->result == 10);
    });
    once(&SimFaults::accept_error, "accept_error", [&](Bench& b, ClientId, int) {
      b.world.connect(b.listener);
      b.ring->accept_multishot(b.listener, kAccept);
      CHECK(b.collect(1).at(0).result < 0);
    });
    once(&SimFaults::accept_bogus, "accept_bogus", [&](Bench& b, ClientId, int) {
      b.world.connect(b.listener);
      b.ring->accept_multishot(b.listener, kAccept);
      const int bogus = b.collect(1).at(0).result;
      CHECK(bogus == 195);
      CHECK(b.ring->configure_accepted(bogus, true) == -EBADF);
      b.world.faults() = {};  // or it goes on for ever
    });
    once(&SimFaults::post_overflow, "post_overflow", [&](Bench& b, ClientId, int) {
      b.ring->post(*b.ring, 1, 1, kPost);
      CHECK(b.collect(1).at(0).result == -EOVERFLOW);
    });
    once(&SimFaults::post_bad, "post_bad", [&](Bench& b, ClientId, int) {
      b.ring->post(*b.ring, 1, 1, kPost);
      CHECK(b.collect(1).at(0).result == -EBADFD);
    });
    once(&SimFaults::wake_delay, "wake_delay", [&](Bench& b, ClientId, int) {
      b.ring->wake();
      b.ring->arm_wake(kWake);
      CHECK(b.collect(1).at(0).token == kWake);
    });
    once(&SimFaults::stale, "stale", [&](Bench& b, ClientId, int s) {
      send(b, s);
      CHECK(b.ring->close_socket(s) == 0);
      const auto replayed = b.collect(1);
      REQUIRE(replayed.size() == 1);
      CHECK(replayed[0].token == kSend);
    });
  }

  // --- Canaries: a caller that neglects a duty is found out.

  TEST_CASE("canary: two sends in flight on one socket") {
    Bench bench;
    ClientId client = 0;
    const int socket = bench.accept_one(client);
    const std::string bytes = "abc";
    bench.ring->send(socket, bytes, kSend);
    CHECK(bench.world.violations().empty());
    bench.ring->send(socket, bytes, kSend + 100);
    CHECK(bench.violated("two sends in flight on descriptor"));
    CHECK(bench.violated("seed 1,"));
    bench.collect(2);
  }

  TEST_CASE("canary: an operation on, and a close of, a descriptor that is not open") {
    Bench bench;
    ClientId client = 0;
    const int socket = bench.accept_one(client);
    CHECK(bench.ring->close_socket(socket) == 0);
    CHECK(bench.world.violations().empty());
    bench.ring->receive_multishot(socket, kReceive);
    CHECK(bench.violated("operation on descriptor 4, which is not open"));
    const auto failed = bench.collect(1);
    REQUIRE(failed.size() == 1);
    CHECK(failed[0].result == -EBADF);
    CHECK(bench.ring->close_socket(socket) == -EBADF);
    CHECK(bench.violated("close of descriptor 4, which is not open"));
  }

  TEST_CASE("canary: close with a receive armed; and the data still reaches it, as in the kernel") {
    Bench bench;
    ClientId client = 0;
    const int socket = bench.accept_one(client);
    bench.ring->receive_multishot(socket, kReceive);
    bench.turn();
    CHECK(bench.ring->close_socket(socket) == 0);
    CHECK(bench.violated("close of descriptor 4 with 1 operations in flight"));
    bench.world.client_write(client, "late");
    const auto received = bench.collect(1);
    REQUIRE(received.size() == 1);
    CHECK(bench.text(received[0]) == "late");
    bench.give_back(received[0]);
  }

  TEST_CASE("canary: memory of a send changed before its completion") {
    Bench bench;
    ClientId client = 0;
    const int socket = bench.accept_one(client);
    std::string bytes = "abc";
    bench.ring->send(socket, bytes, kSend);
    bytes[1] = 'X';
    bench.collect(1);
    CHECK(bench.violated("memory of a send"));

    char text[] = "def";
    iovec part{text, 3};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    bench.ring->send_message(socket, message, kSend);
    part.iov_len = 2;
    bench.collect(1);
    CHECK(bench.world.violations().size() == 2);
  }

  TEST_CASE("canary: buffers returned twice, never lent, or used after") {
    Bench bench;
    ClientId client = 0;
    const int socket = bench.accept_one(client);
    bench.world.client_write(client, "abc");
    bench.ring->receive_multishot(socket, kReceive);
    const auto received = bench.collect(1);
    REQUIRE(received.size() == 1);
    bench.give_back(received[0]);
    CHECK(bench.world.violations().empty());
    bench.give_back(received[0]);
    CHECK(bench.violated("returned, which is not lent"));
    bench.ring->buffer(received[0].buffer_id());
    CHECK(bench.violated("asked for, which is not lent"));
    const std::uint16_t wild = 999;
    bench.ring->return_buffers({&wild, 1});
    CHECK(bench.violated("buffer 999 returned"));
  }

  TEST_CASE("canary: work before enable, a ring destroyed too early, things left over") {
    Bench bench;
    auto ring = bench.world.create_ring(small());
    ring->timeout(1s, kTimer);
    CHECK(bench.violated("before enable()"));
    CHECK(ring->enable().is_ok());
    ring->submit_and_wait(0, 0ns);
    ring.reset();  // a timer may be left
    CHECK(bench.world.violations().size() == 1);

    ClientId client = 0;
    const int socket = bench.accept_one(client);
    bench.ring->receive_multishot(socket, kReceive);
    CHECK(bench.world.check_clean().find("1 operations in flight on ring 0") != std::string::npos);
    CHECK(bench.world.check_clean().find("descriptor 4 is open") != std::string::npos);
    bench.world.client_write(client, "x");
    CHECK(bench.collect(1).size() == 1);
    CHECK(bench.world.check_clean().find("1 buffers lent by ring 0") != std::string::npos);
    bench.ring.reset();
    CHECK(bench.violated("destroyed with an operation in flight on descriptor 4"));
    CHECK(bench.violated("destroyed with 1 buffers lent"));
  }
}
