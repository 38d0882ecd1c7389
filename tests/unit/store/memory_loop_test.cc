// The n-th allocation of the store fails, for every n until a scenario passes without; and with n pages of
// memory, for every n. What was answered stays true, and nothing leaks.
#include <doctest/doctest.h>

#include <map>
#include <new>
#include <string>

#include "support/failing_heap.h"
#include "unit/store/store_fixture.h"

using namespace ringcached;
using namespace ringcached::store;
using ringcached::testing::FailingHeap;
using ringcached::testing::StoreFixture;

namespace {

constexpr unsigned kKeys = 200;

std::string key_of(unsigned number) {
  return "key-" + std::to_string(number);
}

// Sizes of many classes, and now and then a value in several chunks.
std::size_t size_of(unsigned number) {
  if (number % 31 == 0) return 70000;
  return number * 37 % 3000;
}

// Stores, reads, counts, joins, removes, flushes, moves pages, keeps house. The store's own calls may lack
// memory; what the test needs is exempt. True to what it was told, or wrong > 0.
class Scenario {
 public:
  explicit Scenario(const Options& options) : fixture_(options) {}

  unsigned run(FailingHeap& heap) {
    for (unsigned i = 0; i < kKeys; ++i) {
      set(heap, i);
      if (i % 3 == 0) check(i / 2);
      if (i % 7 == 0) append(heap, i / 3);
      if (i % 11 == 0) remove(heap, i / 2);
      if (i % 50 == 0) heap.run([&] { fixture_.thread->maintain(fixture_.now, 500); });
      if (i % 100 == 0) heap.run([&] { fixture_.store->move_page(*fixture_.thread, Store::kAnyClass, 5); });
    }
    for (unsigned i = 0; i < kKeys; ++i) check(i);
    heap.run([&] { fixture_.store->flush(*fixture_.thread); });
    known_.clear();
    for (unsigned i = 0; i < kKeys; i += 5) set(heap, i);
    for (unsigned i = 0; i < kKeys; ++i) check(i);
    return wrong_;
  }
  // With memory again the store takes what it is given, and gives everything back.
  unsigned recover() {
    fixture_.maintain_all();
    if (fixture_.set("later", "value") != StoreResult::kStored || fixture_.get("later") != "value") ++wrong_;
    fixture_.store->flush(*fixture_.thread);
    fixture_.maintain_all();
    if (fixture_.store->stats().items != 0 || fixture_.store->stats().bytes != 0) ++wrong_;
    return wrong_;
  }
  bool refused() const { return refused_; }

 private:
  void set(FailingHeap& heap, unsigned number) {
    const std::string key = key_of(number);
    const std::string value = StoreFixture::pattern(size_of(number), number + known_.size());
    StoreResult result{};
    heap.run([&] { result = fixture_.set(key, value); });
    refused_ = refused_ || result != StoreResult::kStored;
    if (result == StoreResult::kStored) {
      known_[number] = value;
    } else {
      known_.erase(number);
      if (result != StoreResult::kNoMemory) ++wrong_;
    }
  }
  void append(FailingHeap& heap, unsigned number) {
    const std::string key = key_of(number);
    StoreResult result{};
    heap.run([&] { result = fixture_.put(StoreMode::kAppend, key, "++++"); });
    if (result == StoreResult::kStored) known_[number] += "++++";
  }
  void remove(FailingHeap& heap, unsigned number) {
    const std::string key = key_of(number);
    heap.run([&] { fixture_.remove(key); });
    known_.erase(number);
  }
  // Items may be evicted, never be another value.
  void check(unsigned number) {
    const std::string value = fixture_.get(key_of(number));
    if (fixture_.lookup != Lookup::kHit) {
      known_.erase(number);
      return;
    }
    const auto known = known_.find(number);
    if (known == known_.end() || known->second != value) ++wrong_;
  }

  StoreFixture fixture_;
  std::map<unsigned, std::string> known_;
  unsigned wrong_ = 0;
  bool refused_ = false;
};

Options options_for(bool lru) {
  Options options = StoreFixture::default_options();
  options.memory_limit_bytes = std::size_t{3} << 20;
  options.index_power_initial = 4;
  options.lru = lru;
  return options;
}

}  // namespace

TEST_SUITE("store memory loop") {
  TEST_CASE("the n-th allocation fails, once or from then on") {
    for (const bool lru : {false, true}) {
      for (const FailingHeap::Mode mode : {FailingHeap::Mode::kOnce, FailingHeap::Mode::kFromThenOn}) {
        if (lru && mode == FailingHeap::Mode::kOnce)
          continue;  // the policies differ little in what they allocate
        bool failed = true;
        // What fails from an n on is much the same for the next one.
        const std::uint64_t stride_divisor = mode == FailingHeap::Mode::kOnce ? 1000 : 10;
        for (std::uint64_t nth = 1; failed; nth += 1 + nth / stride_divisor) {
          CAPTURE(nth);
          CAPTURE(lru);
          CAPTURE(static_cast<int>(mode));
          FailingHeap heap(nth, mode);
          Scenario scenario(options_for(lru));
          CHECK(scenario.run(heap) == 0);
          CHECK(scenario.recover() == 0);
          failed = heap.has_failed();
        }
      }
    }
  }

  TEST_CASE("what has expired or was flushed goes without memory") {
    for (const bool flushed : {false, true}) {
      CAPTURE(flushed);
      StoreFixture fixture(options_for(false));
      for (unsigned i = 0; i < kKeys; ++i) {
        REQUIRE(fixture.set(key_of(i), "value", 0, fixture.now + 1) == StoreResult::kStored);
      }
      FailingHeap heap(1, FailingHeap::Mode::kFromThenOn);
      heap.run([&] {
        if (flushed) {
          fixture.store->flush(*fixture.thread);
        } else {
          fixture.now += 2;
        }
        fixture.maintain_all();
      });
      CHECK(heap.allocations() == 0);
      CHECK(fixture.store->stats().items == 0);
    }
  }

  TEST_CASE("a flush needs no memory, however many there are") {
    StoreFixture fixture(options_for(false));
    // Nothing is reaped between them, so from some number on they must go over the memory themselves.
    FailingHeap heap(1, FailingHeap::Mode::kFromThenOn);
    for (const bool prepares : {false, true}) {
      for (unsigned i = 0; i < 200; ++i) {
        CHECK(fixture.set("key", "value") == StoreResult::kStored);
        heap.run([&] {
          while (prepares && !fixture.store->prepare_flush(*fixture.thread)) fixture.thread->end_turn();
          fixture.store->flush(*fixture.thread);
        });
        CHECK(fixture.get("key") != "value");
      }
    }
    CHECK(heap.allocations() == 0);
  }

  TEST_CASE("a thread that could not be attached leaves its place to the next attempt") {
    bool failed = true;
    for (std::uint64_t nth = 1; failed; ++nth) {
      CAPTURE(nth);
      Options options = options_for(false);
      options.threads = 2;
      StoreFixture fixture(options);
      FailingHeap heap(nth, FailingHeap::Mode::kOnce);
      StoreThread* second = nullptr;
      try {
        heap.run([&] { second = &fixture.store->attach(); });
      } catch (const std::bad_alloc&) {
      }
      failed = heap.has_failed();
      CHECK((second == nullptr) == failed);
      if (second == nullptr) second = &fixture.store->attach();
      CHECK(second->id() == 1);
      StoreRequest request = fixture.request(StoreMode::kSet, "key");
      CHECK(fixture.store->put(*second, request, "value", fixture.now) == StoreResult::kStored);
      fixture.maintain_all();
      CHECK(fixture.get("key") == "value");
    }
  }

  TEST_CASE("who finds no memory to take a page into use takes none from others") {
    for (const bool lru : {false, true}) {
      StoreFixture fixture(options_for(lru));
      unsigned stored = 0;
      while (fixture.store->stats().evictions == 0) fixture.set(key_of(stored++), "value");
      const std::uint64_t before = fixture.store->stats().items;
      FailingHeap heap(1, FailingHeap::Mode::kFromThenOn);
      const std::string large(3000, 'v');
      for (unsigned i = 0; i < 50; ++i) {
        StoreResult result{};
        heap.run([&] { result = fixture.set("large", large); });
        CHECK(result == StoreResult::kNoMemory);
      }
      CHECK(fixture.store->stats().items == before);
      CHECK(fixture.set("large", large) == StoreResult::kStored);
    }
  }

  TEST_CASE("a store that cannot be made says so, and leaves nothing behind") {
    bool made = false;
    for (std::uint64_t nth = 1; !made; ++nth) {
      FailingHeap heap(nth, FailingHeap::Mode::kOnce);
      try {
        heap.run([&] { made = Store::create(options_for(false)).is_ok(); });
      } catch (const std::bad_alloc&) {
      }
      made = made && !heap.has_failed();
    }
  }

  TEST_CASE("with one more page each time, until nothing is refused") {
    for (const bool evict : {true, false}) {
      bool refused = true;
      for (std::size_t pages = 4; refused && pages < 60; ++pages) {
        CAPTURE(pages);
        CAPTURE(evict);
        Options options = options_for(false);
        options.memory_limit_bytes = pages << 18;
        options.evict = evict;
        FailingHeap heap(~std::uint64_t{0}, FailingHeap::Mode::kOnce);
        Scenario scenario(options);
        CHECK(scenario.run(heap) == 0);
        CHECK(scenario.recover() == 0);
        refused = scenario.refused();
      }
      CHECK_FALSE(refused);
    }
  }
}
