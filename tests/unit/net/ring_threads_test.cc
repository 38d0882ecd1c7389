// Two rings on two threads. Runs under the thread sanitizer.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <thread>

#include "ring_support.h"

using namespace ringcached;
using namespace ringcached::net;
using namespace ringcached::net::testing;
using namespace std::chrono_literals;

namespace {

constexpr Token kWake = 1, kStop = 2, kPost = 3, kItem = 4;
constexpr int kRounds = 2000;

// A thread that owns a ring and counts what arrives until kStop does.
class Receiver {
 public:
  explicit Receiver(Ring& ring) : thread_([this, &ring] { run(ring); }) {}
  ~Receiver() { thread_.join(); }

  bool wait_enabled() const {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!enabled_.load() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return enabled_.load();
  }
  std::atomic<int> items{0};
  std::atomic<std::int64_t> sum{0};
  std::atomic<int> wakes{0};

 private:
  void run(Ring& ring) {
    if (!ring.enable()) return;
    ring.arm_wake(kWake);
    enabled_ = true;
    const auto end = std::chrono::steady_clock::now() + 5 * kPatience;
    for (bool stop = false; !stop && std::chrono::steady_clock::now() < end;) {
      ring.submit_and_wait(1, 100ms);
      Completion batch[32];
      for (const Completion& completion : std::span(batch).first(ring.reap(batch))) {
        if (completion.token == kItem) {
          ++items;
          sum += completion.result;
        } else if (completion.token == kWake) {
          ++wakes;
          ring.arm_wake(kWake);
        }
        stop = stop || completion.token == kStop;
      }
    }
  }

  std::atomic<bool> enabled_{false};
  std::thread thread_;
};

}  // namespace

TEST_SUITE("ring_threads") {
  TEST_CASE_TEMPLATE("every post arrives once at the other thread's ring", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto sender = make_ring<Backend>();
    REQUIRE(sender != nullptr);
    // A small completion queue, so that posts meet a full one.
    auto target = Backend::create({.submission_entries = 8, .completion_entries = 16});
    REQUIRE(target.is_ok());
    int posted = 0, refused = 0;
    {
      Receiver receiver(*target.value());
      REQUIRE(receiver.wait_enabled());
      while (posted < kRounds) {
        for (int i = 0; i < 10; ++i) sender->post(*target.value(), 3, kItem, kPost);
        for (const Completion& completion : collect(*sender, 10)) {
          CHECK(completion.token == kPost);
          if (completion.result == 0) {
            ++posted;
          } else {
            CHECK(completion.result == -EOVERFLOW);
            ++refused;
          }
        }
      }
      sender->post(*target.value(), 0, kStop, kPost);
      REQUIRE(collect(*sender, 1).size() == 1);
      const auto end = std::chrono::steady_clock::now() + kPatience;
      while (receiver.items < posted && std::chrono::steady_clock::now() < end) std::this_thread::yield();
      CHECK(receiver.items == posted);
      CHECK(receiver.sum == 3 * posted);
    }
    MESSAGE(posted, " posts arrived, ", refused, " refused with EOVERFLOW");
  }

  TEST_CASE_TEMPLATE("what was written before a post is seen by who reaps it", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto sender = make_ring<Backend>();
    REQUIRE(sender != nullptr);
    auto target = Backend::create({});
    REQUIRE(target.is_ok());
    std::atomic<bool> enabled{false};
    std::string parcel;  // plain memory: handed over by the post alone
    std::string seen;
    std::thread thread([&] {
      if (!target.value()->enable()) return;
      enabled = true;
      if (collect(*target.value(), 1).size() == 1) seen = parcel;
    });
    while (!enabled) std::this_thread::yield();
    parcel = "a descriptor and what belongs to it";
    sender->post(*target.value(), 0, kItem, kPost);
    CHECK(collect(*sender, 1).size() == 1);
    thread.join();
    CHECK(seen == parcel);
  }

  TEST_CASE_TEMPLATE("wakes from several threads are noticed and coalesced", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    const auto sender = make_ring<Backend>();
    REQUIRE(sender != nullptr);
    auto target = Backend::create({});
    REQUIRE(target.is_ok());
    {
      Receiver receiver(*target.value());
      REQUIRE(receiver.wait_enabled());
      std::thread others[3];
      for (std::thread& other : others) {
        other = std::thread([&] {
          for (int i = 0; i < kRounds; ++i) target.value()->wake();
        });
      }
      for (std::thread& other : others) other.join();
      const auto end = std::chrono::steady_clock::now() + kPatience;
      while (receiver.wakes == 0 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
      CHECK(receiver.wakes >= 1);
      CHECK(receiver.wakes <= 3 * kRounds);
      sender->post(*target.value(), 0, kStop, kPost);
      CHECK(collect(*sender, 1).size() == 1);
    }
  }

  TEST_CASE_TEMPLATE("a ring is created here, used there, destroyed here", Backend, Uring, Epoll) {
    if (skipped<Backend>()) return;
    // More rings than one thread may register descriptors for (16).
    for (int round = 0; round < 20; ++round) {
      auto ring = Backend::create({.submission_entries = 8, .completion_entries = 16});
      REQUIRE(ring.is_ok());
      int result = 0;
      std::thread([&] {
        if (!ring.value()->enable()) return;
        ring.value()->timeout(1ns, kItem);
        const auto fired = collect(*ring.value(), 1);
        if (fired.size() == 1) result = fired[0].result;
      }).join();
      CHECK(result == -ETIME);
    }
  }
}
