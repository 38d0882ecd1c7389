// The small parts of the engine: tokens, slots, lists, the wheel, addresses, the hand-off queue.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>

#include <cstring>
#include <set>
#include <vector>

#include "base/intrusive_list.h"
#include "base/slot_pool.h"
#include "base/topology.h"
#include "net/address.h"
#include "net/handoff.h"
#include "net/idle_wheel.h"
#include "net/token.h"

using namespace ringcached;
using namespace ringcached::net;

namespace {

struct TestTag;
struct Node : ListNode<TestTag> {
  explicit Node(int value_in = 0) : value(value_in) {}
  int value;
};
using NodeList = IntrusiveList<Node, TestTag>;

std::vector<int> drain(NodeList& list) {
  std::vector<int> values;
  while (!list.empty()) values.push_back(list.pop_front().value);
  return values;
}

}  // namespace

TEST_SUITE("engine_parts") {
  TEST_CASE("a token gives back what was packed") {
    for (const std::uint32_t slot : {0U, 1U, 77'777U, ~0U}) {
      for (const std::uint32_t generation : {0U, 1U, kTokenGenerationMax}) {
        const Token token = make_token(Operation::kSend, slot, generation);
        CHECK(token_operation(token) == Operation::kSend);
        CHECK(token_slot(token) == slot);
        CHECK(token_generation(token) == generation);
      }
    }
    CHECK(make_token(Operation::kSend, 1, 1) != make_token(Operation::kReceive, 1, 1));
    CHECK(make_token(Operation::kSend, 1, 1) != make_token(Operation::kSend, 1, 2));
  }

  TEST_CASE("a released slot is not found by its old generation") {
    SlotPool<int> pool(100);
    const auto first = pool.take();
    REQUIRE(first.object != nullptr);
    CHECK(pool.find(first.slot, first.generation) == first.object);
    CHECK(pool.find(first.slot, first.generation + 1) == nullptr);
    pool.release(first.slot);
    CHECK(pool.find(first.slot, first.generation) == nullptr);
    const auto second = pool.take();
    CHECK(second.slot == first.slot);
    CHECK(second.object == first.object);
    CHECK(second.generation == first.generation + 1);
    CHECK(pool.find(first.slot, first.generation) == nullptr);
    CHECK(pool.find(12'345, 1) == nullptr);
  }

  TEST_CASE("a pool gives out each slot once, up to its limit, and grows by blocks") {
    SlotPool<int> pool(SlotPool<int>::kSlotsPerBlock + 3);
    std::set<int*> objects;
    std::set<std::uint32_t> slots;
    for (std::uint32_t i = 0; i < pool.slots_max(); ++i) {
      const auto taken = pool.take();
      objects.insert(taken.object);
      slots.insert(taken.slot);
      CHECK(pool.built() ==
            (i < SlotPool<int>::kSlotsPerBlock ? SlotPool<int>::kSlotsPerBlock : pool.slots_max()));
    }
    CHECK(objects.size() == pool.slots_max());
    CHECK(slots.size() == pool.slots_max());
    CHECK(pool.take().object == nullptr);
    CHECK(pool.taken() == pool.slots_max());
    pool.release(5);
    CHECK(pool.take().slot == 5);
  }

  TEST_CASE("only taken slots are visited by their owner, all built ones by others") {
    SlotPool<int> pool(10);
    pool.take();
    const auto second = pool.take();
    pool.release(second.slot);
    int taken = 0, built = 0;
    pool.for_each_taken([&](int&) { ++taken; });
    pool.for_each_built([&](const int&) { ++built; });
    CHECK(taken == 1);
    CHECK(built == 10);
  }

  TEST_CASE("a list keeps order; members leave from anywhere") {
    Node a(1), b(2), c(3), d(4);
    NodeList list;
    CHECK(list.empty());
    for (Node* node : {&a, &b, &c, &d}) list.push_back(*node);
    CHECK(&list.front() == &a);
    b.unlink();
    CHECK(!b.linked());
    b.unlink();  // in no list: nothing happens
    NodeList other;
    other.push_back(b);
    other.take_all(list);
    CHECK(list.empty());
    list.take_all(list);
    CHECK(drain(other) == std::vector<int>{2, 1, 3, 4});
    CHECK(!a.linked());
  }

  TEST_CASE("the wheel calls each entry once, when its tick has come and not before") {
    IdleWheel wheel;
    struct Timed : IdleWheel::Entry {
      unsigned fired = 0;
    };
    const std::uint32_t dues[] = {1, 2, 2, 255, 256, 257, 600, 100'000};
    Timed entries[8];
    for (int i = 0; i < 8; ++i) wheel.schedule(entries[i], dues[i]);
    for (std::uint32_t tick = 1; tick <= 700; ++tick) {
      wheel.advance(tick, [&](IdleWheel::Entry& entry) {
        CHECK(entry.due_tick == tick);
        ++static_cast<Timed&>(entry).fired;
      });
    }
    for (int i = 0; i < 7; ++i) CHECK(entries[i].fired == 1);
    CHECK(entries[7].fired == 0);
    // The clock jumps by hours.
    wheel.advance(1'000'000, [](IdleWheel::Entry& entry) { ++static_cast<Timed&>(entry).fired; });
    CHECK(entries[7].fired == 1);
    CHECK(!entries[7].linked());
  }

  TEST_CASE("an entry may be put off, cancelled and scheduled anew while it is due") {
    IdleWheel wheel;
    IdleWheel::Entry again, cancelled;
    wheel.schedule(again, 5);
    wheel.schedule(cancelled, 5);
    wheel.schedule(again, 3);
    unsigned calls = 0;
    const auto due = [&](IdleWheel::Entry& entry) {
      CHECK(&entry == &again);
      ++calls;
      IdleWheel::cancel(cancelled);
      wheel.schedule(entry, wheel.now());  // past: the next tick
    };
    for (std::uint32_t tick = 1; tick <= 10; ++tick) wheel.advance(tick, due);
    CHECK(calls == 8);  // ticks 3 to 10
    IdleWheel::cancel(again);
  }

  TEST_CASE("peers are named as stats conns names them") {
    sockaddr_storage storage{};
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(4711);
    inet_pton(AF_INET, "127.0.0.1", &v4.sin_addr);
    CHECK(PeerAddress::from(storage).name("") == "tcp:127.0.0.1:4711");

    storage = {};
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(80);
    inet_pton(AF_INET6, "::1", &v6.sin6_addr);
    const PeerAddress peer = PeerAddress::from(storage);
    CHECK(peer.name("") == "tcp6:[::1]:80");

    storage = {};
    storage.ss_family = AF_UNIX;
    CHECK(PeerAddress::from(storage).name("/run/x") == "unix:/run/x");
    CHECK(PeerAddress{}.name("/run/x") == "unknown");

    PublishedConnection published;
    CHECK(!published.read());
    published.open(9, 3, peer, 17);
    published.set_state(PublishedConnection::State::kWrite);
    const auto snapshot = published.read();
    REQUIRE(snapshot);
    CHECK(snapshot->descriptor == 9);
    CHECK(snapshot->listener == 3);
    CHECK(snapshot->peer.name("") == "tcp6:[::1]:80");
    CHECK(snapshot->receive_tick == 17);
    CHECK(snapshot->state == PublishedConnection::State::kWrite);
    published.close();
    CHECK(!published.read());
  }

  TEST_CASE("the hand-off queue is bounded and keeps order") {
    HandoffQueue queue;
    AcceptedDescriptor out;
    CHECK(!queue.pop(out));
    for (int round = 0; round < 3; ++round) {
      for (std::uint32_t i = 0; i < HandoffQueue::kCapacity; ++i) CHECK(queue.push({static_cast<int>(i), 1}));
      CHECK(!queue.push({1, 1}));
      for (std::uint32_t i = 0; i < HandoffQueue::kCapacity; ++i) {
        CHECK(queue.pop(out));
        CHECK(out.descriptor == static_cast<int>(i));
      }
      CHECK(!queue.pop(out));
    }
  }

  TEST_CASE("this process may run somewhere, and a thread can be bound there") {
    const std::vector<unsigned> cpus = allowed_cpus();
    REQUIRE(!cpus.empty());
    CHECK(pin_this_thread(cpus).is_ok());
    CHECK(allowed_cpus() == cpus);
    CHECK(pin_this_thread({cpus.data(), 1}).is_ok());
    CHECK(allowed_cpus() == std::vector<unsigned>{cpus.front()});
    for (const unsigned missing : {8191U, ~0U}) CHECK(!pin_this_thread({&missing, 1}).is_ok());
  }
}
