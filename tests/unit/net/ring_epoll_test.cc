// What is particular to the epoll ring: its parts, and its bounds.
#include "net/ring_epoll.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <map>

#include "net/epoll_inbox.h"
#include "net/epoll_operations.h"
#include "ring_support.h"

using namespace ringcached;
using namespace ringcached::net;
using namespace ringcached::net::testing;
using namespace std::chrono_literals;

TEST_SUITE("ring_epoll") {
  TEST_CASE("parked operations are found by token while they are parked, through growth and reuse") {
    ParkedOperations parked;
    std::map<Token, ParkedOperations::Place> model;
    std::uint64_t random = 1;
    for (int step = 0; step < 20'000; ++step) {
      random = random * 6364136223846793005U + 1442695040888963407U;
      const Token token = (random >> 33) % 1000;
      const auto known = model.find(token);
      REQUIRE(parked.find(token) == (known == model.end() ? ParkedOperations::kNone : known->second));
      if (known == model.end()) {
        const auto place = parked.add({.token = token, .number = token * 3});
        CHECK(parked.next(place) == ParkedOperations::kNone);
        model[token] = place;
      } else {
        CHECK(parked.at(known->second).number == token * 3);
        parked.remove(known->second);
        model.erase(known);
      }
      REQUIRE(parked.count() == model.size());
    }
  }

  TEST_CASE("several operations may have one token: each is found once") {
    ParkedOperations parked;
    for (int i = 0; i < 3; ++i) parked.add({.token = 7});
    for (int i = 0; i < 3; ++i) {
      const auto place = parked.find(7);
      REQUIRE(place != ParkedOperations::kNone);
      parked.remove(place);
    }
    CHECK(parked.find(7) == ParkedOperations::kNone);
  }

  TEST_CASE("an inbox takes nothing before its owner wants it, and no more than it has room for") {
    EpollInbox inbox;
    REQUIRE(inbox.open(2) == 0);
    CHECK(inbox.post({1, 0, 0}) == -EBADFD);
    inbox.accept_posts();
    CHECK(inbox.post({1, 0, 0}) == 0);
    CHECK(inbox.post({2, 0, 0}) == 0);
    CHECK(inbox.post({3, 0, 0}) == -EOVERFLOW);
    std::vector<Completion> out;
    inbox.take_posts(out, 100);
    REQUIRE(out.size() == 2);
    CHECK(out[0].token == 1);
    CHECK(out[1].token == 2);
    CHECK(inbox.post({4, 0, 0}) == 0);
  }

  TEST_CASE("posts beyond the target's room are refused, the others arrive") {
    const auto sender = make_ring<Epoll>();
    const auto target = make_ring<Epoll>({.submission_entries = 4, .completion_entries = 8});
    REQUIRE(sender != nullptr);
    REQUIRE(target != nullptr);
    for (int i = 0; i < 10; ++i) sender->post(*target, i, 100, 200);
    int refused = 0;
    for (const Completion& completion : collect(*sender, 10)) refused += completion.result == -EOVERFLOW;
    CHECK(refused == 2);
    const auto arrived = collect(*target, 8);
    REQUIRE(arrived.size() == 8);
    for (int i = 0; i < 8; ++i) CHECK(arrived[static_cast<std::size_t>(i)].result == i);
  }

  TEST_CASE("replies of a turn do not wait for events, and events do not wait for long") {
    const auto ring = make_ring<Epoll>({.receive_buffers = 8, .receive_buffer_bytes = 64});
    REQUIRE(ring != nullptr);
    const Loopback loopback;
    const auto [client, server] = loopback.pair();
    ring->receive_multishot(server.get(), 1);
    ring->submit_and_wait(0, 0ns);
    REQUIRE(::send(client.get(), "x", 1, 0) == 1);
    unsigned turns = 0;
    for (bool received = false; !received && turns < 10; ++turns) {
      ring->send(server.get(), std::string_view("reply"), 2);
      CHECK(ring->submit_and_wait(1, kWaitForever) == 0);
      Completion batch[8];
      for (const Completion& completion : std::span(batch).first(ring->reap(batch)))
        received = received || completion.token == 1;
    }
    CHECK(turns <= 2);
  }
}
