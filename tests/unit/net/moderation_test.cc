#include "net/moderation.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

using namespace ringcached::net;
using namespace std::chrono_literals;

namespace {

constexpr std::chrono::microseconds kMinWait = 50us;
constexpr std::uint64_t kMinWaitNs = 50'000;
constexpr std::uint32_t kMany = 50;

// A worker that never works: turns come when completions do.
struct Turns {
  Moderation moderation{kMinWait};
  std::uint64_t now_ns = 1'000'000'000;
  unsigned gathered = 0, plain = 0;
  bool gathers = false;

  // A turn `after_ns` later with so many completions. True if the worker gathers for the next.
  bool turn(std::uint64_t after_ns, std::uint32_t completions, std::uint32_t sources = kMany) {
    now_ns += after_ns;
    gathers = moderation.next(now_ns, completions, sources) > 1;
    ++(gathers ? gathered : plain);
    return gathers;
  }
  // Requests come one by one, evenly; a gathering worker gets those of a minimum wait.
  void steady(std::uint64_t interval_ns, unsigned turns, std::uint32_t sources = kMany) {
    for (unsigned i = 0; i < turns; ++i) {
      const std::uint64_t wait_ns = gathers ? std::max(kMinWaitNs, interval_ns) : interval_ns;
      turn(wait_ns, static_cast<std::uint32_t>(wait_ns / interval_ns), sources);
    }
  }
  // One client that sends its next request `pause_ns` after each answer, beside idle ones.
  void ping_pong(std::uint64_t pause_ns, unsigned turns) {
    for (unsigned i = 0; i < turns; ++i) turn(gathers ? std::max(kMinWaitNs, pause_ns) : pause_ns, 1);
  }
};

}  // namespace

TEST_SUITE("moderation") {
  TEST_CASE("a quiet worker never gathers") {
    Turns quiet;
    quiet.steady(1'000'000, 1000);
    CHECK(quiet.gathered == 0);
    quiet.steady(kMinWaitNs, 1000);
    CHECK(quiet.gathered == 0);
  }

  TEST_CASE("a busy one begins soon, and stays at it") {
    Turns busy;
    busy.steady(10'000, 1000);
    CHECK(busy.gathers);
    CHECK(busy.plain < 140);
  }

  TEST_CASE("enough is a bound, or one of each connection; from one alone there is nothing to gather") {
    Turns busy;
    busy.steady(10'000, 200);
    CHECK(busy.moderation.next(busy.now_ns += kMinWaitNs, 5, kMany) == Moderation::kEnough);
    CHECK(busy.moderation.next(busy.now_ns += kMinWaitNs, 5, 4) == 4);
    Turns alone;
    alone.steady(10'000, 1000, 1);
    CHECK(alone.gathered == 0);
  }

  TEST_CASE("the first request after a pause ends it: the next is answered at once") {
    Turns busy;
    busy.steady(10'000, 200);
    REQUIRE(busy.gathers);
    CHECK_FALSE(busy.turn(1'000'000'000, 1));
    CHECK_FALSE(busy.turn(20'000, 1));
    // The load is back: no rest was due.
    busy.steady(10'000, 140);
    CHECK(busy.gathers);
  }

  TEST_CASE("who waits for each answer loses little to the trials, however fast it is") {
    for (const std::uint64_t pause_ns : {1'000ULL, 5'000ULL, 20'000ULL, 24'000ULL}) {
      CAPTURE(pause_ns);
      Turns lone;
      lone.ping_pong(pause_ns, 100'000);
      const std::uint64_t begin_ns = lone.now_ns;
      lone.gathered = 0;
      lone.ping_pong(pause_ns, 200'000);
      CHECK(lone.gathered > 0);
      CHECK(lone.gathered * kMinWaitNs * 50 < lone.now_ns - begin_ns);
      // Others join in: it gathers again after the rest.
      lone.steady(5'000, 20'000);
      CHECK(lone.gathers);
    }
  }

  TEST_CASE("nor do several that keep a worker from sleeping") {
    // Alone they are served one each 5 us; gathered, four of them take a minimum wait and a wake-up.
    Turns four;
    std::uint64_t plain_ns = 0, gathering_ns = 0;
    for (int i = 0; i < 1'000'000; ++i) {
      (four.gathers ? gathering_ns : plain_ns) += four.gathers ? 70'000 : 5'000;
      four.gathers ? four.turn(70'000, 4) : four.turn(5'000, 1);
    }
    CHECK(four.gathered > 0);
    CHECK(gathering_ns * 20 < plain_ns);
  }

  TEST_CASE("random arrivals are gathered most of the time") {
    for (const double per_min_wait : {3.0, 6.0, 12.0}) {
      CAPTURE(per_min_wait);
      Turns busy;
      std::mt19937_64 random(1);
      std::exponential_distribution<double> gap_ns(per_min_wait / static_cast<double>(kMinWaitNs));
      std::poisson_distribution<std::uint32_t> completions(per_min_wait);
      std::uint64_t gathering_ns = 0;
      const std::uint64_t begin_ns = busy.now_ns;
      for (int i = 0; i < 200'000; ++i) {
        const auto first_ns = static_cast<std::uint64_t>(gap_ns(random));
        if (!busy.gathers) {
          busy.turn(first_ns, 1);
          continue;
        }
        const std::uint32_t count = completions(random);
        const std::uint64_t wait_ns = count == 0 ? kMinWaitNs + first_ns : kMinWaitNs;
        gathering_ns += wait_ns;
        busy.turn(wait_ns, std::max(count, 1U));
      }
      CHECK(gathering_ns * 4 > 3 * (busy.now_ns - begin_ns));
    }
  }

  TEST_CASE("a failure now and then among successes does not count") {
    Turns busy;
    busy.steady(20'000, 200);
    for (int i = 0; i < 100; ++i) CHECK(busy.turn(kMinWaitNs, i % 2 == 0 ? 1 : 3));
  }
}
