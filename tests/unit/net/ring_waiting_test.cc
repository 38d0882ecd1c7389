// The waits of a ring that are options: gathering and spinning (net/ring.h).
#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "ring_support.h"
#include "support/sim_ring.h"

using namespace ringcached;
using namespace ringcached::net;
using namespace ringcached::net::testing;
using namespace std::chrono_literals;

namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr Token kTimer = 5, kWake = 6, kPost = 7, kPosted = 8, kReceive = 2;

// As of a kernel without the minimum wait, or with a wrong one.
struct UringByLimit {
  static bool available() { return !no_uring(); }
  static Result<std::unique_ptr<Ring>> create(const RingOptions& options) {
    Features without = features();
    without.min_wait = false;
    return create_uring(options, without);
  }
};

// Of the call, from before it.
template <typename Call>
Milliseconds time_of(Call call) {
  const auto begin = std::chrono::steady_clock::now();
  call();
  return std::chrono::steady_clock::now() - begin;
}

// Again when interrupted, as wait_for_one(); an interruption after something was submitted could not be told.
void gather(Ring& ring, unsigned enough, std::chrono::microseconds min_wait) {
  int result = -EINTR;
  ring.submit_and_wait(0, 0ns);
  while (result == -EINTR) result = ring.submit_and_gather(enough, min_wait);
  CHECK((result == 0 || result == -ETIME));
}

unsigned reaped(Ring& ring) {
  Completion batch[64];
  return ring.reap(batch);
}

}  // namespace

TYPE_TO_STRING(UringByLimit);

TEST_SUITE("ring_waiting") {
  TEST_CASE_TEMPLATE("gathering ends at once when there is enough", Backend, Uring, UringByLimit, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>();
    REQUIRE(ring != nullptr);
    for (int i = 0; i < 4; ++i) ring->post(*ring, i, kPosted, kPost);
    const Milliseconds time = time_of([&] { gather(*ring, 8, 1s); });
    CHECK(time < 900ms);
    CHECK(reaped(*ring) == 8);
  }

  // The epoll ring sleeps its time.
  TEST_CASE_TEMPLATE("gathering ends as soon as enough have come", Backend, Uring, UringByLimit) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>({.receive_buffers = 8, .receive_buffer_bytes = 64});
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    std::vector<std::pair<Descriptor, Descriptor>> pairs;
    for (int i = 0; i < 4; ++i) {
      pairs.push_back(loopback.pair());
      ring->receive_multishot(pairs.back().second.get(), kReceive);
    }
    for (int round = 0; round < 3; ++round) {
      std::thread other([&] {
        std::this_thread::sleep_for(10ms);
        for (const auto& [client, server] : pairs) CHECK(::send(client.get(), "ping", 4, 0) == 4);
      });
      const Milliseconds time = time_of([&] { gather(*ring, 4, 1s); });
      other.join();
      CHECK(time < 900ms);
      Completion batch[8];
      const unsigned count = ring->reap(batch);
      REQUIRE(count == 4);
      for (const Completion& completion : std::span(batch).first(count)) {
        const std::uint16_t id = completion.buffer_id();
        ring->return_buffers({&id, 1});
      }
    }
  }

  TEST_CASE_TEMPLATE("too few at hand, or soon: they come after the minimum wait, together", Backend, Uring,
                     UringByLimit, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>();
    REQUIRE(ring != nullptr);
    ring->post(*ring, 1, kPosted, kPost);
    Milliseconds time = time_of([&] { gather(*ring, 8, 30ms); });
    CHECK(time > 29ms);
    CHECK(time < kPatience);
    CHECK(reaped(*ring) == 2);

    ring->arm_wake(kWake);
    std::thread other([&] {
      std::this_thread::sleep_for(5ms);
      ring->wake();
    });
    time = time_of([&] { gather(*ring, 8, 30ms); });
    other.join();
    CHECK(time > 29ms);
    CHECK(time < kPatience);
    CHECK(reaped(*ring) == 1);
  }

  TEST_CASE_TEMPLATE("nothing in the minimum wait: the first ends it", Backend, Uring, UringByLimit, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>();
    REQUIRE(ring != nullptr);
    ring->timeout(60ms, kTimer);
    ring->timeout(kPatience, kTimer);
    const Milliseconds time = time_of([&] { gather(*ring, 8, 10ms); });
    CHECK(time > 59ms);
    CHECK(time < kPatience - 500ms);
    CHECK(reaped(*ring) == 1);
  }

  TEST_CASE_TEMPLATE("another thread's wake and post end it", Backend, Uring, UringByLimit, Epoll) {
    if (skipped<Backend>()) return;
    for (const bool posts : {false, true}) {
      CAPTURE(posts);
      const auto ring = make_ring<Backend>();
      REQUIRE(ring != nullptr);
      ring->arm_wake(kWake);
      ring->timeout(kPatience, kTimer);
      std::thread other([&] {
        std::this_thread::sleep_for(40ms);
        if (!posts) return ring->wake();
        const auto mine = make_ring<Backend>();
        REQUIRE(mine != nullptr);
        mine->post(*ring, 1, kPosted, kPost);
        CHECK(collect(*mine, 1).size() == 1);
      });
      const Milliseconds time = time_of([&] { gather(*ring, 8, 10ms); });
      other.join();
      CHECK(time > 35ms);
      CHECK(time < kPatience - 500ms);
      CHECK(reaped(*ring) == 1);
    }
  }

  TEST_CASE_TEMPLATE("spinning: nothing comes within the limit", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>();
    REQUIRE(ring != nullptr);
    ring->timeout(kPatience, kTimer);
    const Milliseconds time = time_of([&] { CHECK(ring->submit_and_spin(10ms) == 0); });
    CHECK(time > 9ms);
    CHECK(time < kPatience - 500ms);
    CHECK(reaped(*ring) == 0);
  }

  TEST_CASE_TEMPLATE("spinning ends with what is there, or comes", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto ring = make_ring<Backend>({.receive_buffers = 2, .receive_buffer_bytes = 64});
    REQUIRE(ring != nullptr);
    ring->post(*ring, 1, kPosted, kPost);
    Milliseconds time = time_of([&] { CHECK(ring->submit_and_spin(2s) > 0); });
    CHECK(time < 1900ms);
    unsigned count = reaped(*ring);
    for (; count < 2; count += reaped(*ring)) REQUIRE(ring->submit_and_spin(2s) > 0);

    const Loopback loopback;
    const auto [client, server] = loopback.pair();
    ring->receive_multishot(server.get(), kReceive);
    ring->arm_wake(kWake);
    const int socket = client.get();
    std::thread other([&] {
      std::this_thread::sleep_for(10ms);
      CHECK(::send(socket, "ping", 4, 0) == 4);
    });
    time = time_of([&] { CHECK(ring->submit_and_spin(2s) == 1); });
    other.join();
    CHECK(time < 1900ms);
    CHECK(reaped(*ring) == 1);

    std::thread waker([&] {
      std::this_thread::sleep_for(10ms);
      ring->wake();
    });
    time = time_of([&] { CHECK(ring->submit_and_spin(2s) == 1); });
    waker.join();
    CHECK(time < 1900ms);
    CHECK(reaped(*ring) == 1);
  }

  TEST_CASE("the simulated ring: the same waits in its own time") {
    ringcached::testing::SimOptions options;
    options.waits_advance_clock = true;
    ringcached::testing::SimWorld world(1, {}, options);
    const auto ring = world.create_ring({.submission_entries = 16, .completion_entries = 64});
    REQUIRE(ring->enable().is_ok());
    const auto now = [&] { return std::chrono::nanoseconds(world.clock().monotonic_ns()); };
    const auto begin = now();
    ring->timeout(10us, kTimer);
    ring->timeout(20us, kTimer);
    CHECK(ring->submit_and_gather(8, 50us) == -ETIME);
    CHECK(now() - begin >= 50us);
    CHECK(reaped(*ring) == 2);

    ring->timeout(10us, kTimer);
    ring->timeout(20us, kTimer);
    ring->timeout(10s, kTimer);
    CHECK(ring->submit_and_gather(2, 1s) == 0);
    CHECK(now() - begin < 1s);
    CHECK(reaped(*ring) == 2);

    CHECK(ring->submit_and_gather(8, 1ms) == 0);
    CHECK(now() - begin >= 10s);
    CHECK(reaped(*ring) == 1);

    ring->timeout(1ms, kTimer);
    CHECK(ring->submit_and_spin(50us) == 0);
    CHECK(ring->submit_and_spin(50ms) == 1);
    CHECK(now() - begin < 10s + 10ms);
    CHECK(reaped(*ring) == 1);
  }
}
