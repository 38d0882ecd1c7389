// What upkeep does in one step, and by which time.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "unit/store/store_fixture.h"

using namespace ringcached;
using ringcached::testing::StoreFixture;

namespace {

// Values of two chunks, read by somebody slow while their keys are removed.
constexpr unsigned kReaders = 1000;

struct SlowReaders {
  SlowReaders() {
    const std::string value(store::kChunkBytesMax + 100, 'v');
    for (unsigned i = 0; i < kReaders; ++i) {
      const std::string key = "k" + std::to_string(i);
      REQUIRE(store.set(key, value) == store::StoreResult::kStored);
      pins.push_back(store.pin(key));
      REQUIRE(pins.back());
      REQUIRE(store.remove(key) == store::DeleteResult::kDeleted);
    }
  }
  std::uint64_t chunks_used() const {
    std::uint64_t used = 0;
    for (unsigned i = 1; i <= store.store->class_count(); ++i)
      used += store.store->class_stats(i).chunks_used;
    return used;
  }
  // The smallest steps that maintain() can be asked for.
  bool maintain() { return store.thread->maintain(store.now, 1, false); }

  StoreFixture store;
  std::vector<store::Pin> pins;
};

}  // namespace

TEST_SUITE("store upkeep") {
  TEST_CASE(
      "thousands of pinned values that are gone are looked at in steps, once, as long as they are pinned") {
    SlowReaders readers;
    REQUIRE(readers.chunks_used() == 2 * kReaders);
    unsigned steps = 1;
    while (readers.maintain()) REQUIRE(++steps < 20);
    CHECK(steps > 2);
    CHECK(readers.chunks_used() == 2 * kReaders);
  }

  TEST_CASE("values whose readers have gone come back in steps, among those that are still read") {
    SlowReaders readers;
    for (unsigned i = 0; i < kReaders; ++i) {
      if (i % 10 != 0) readers.pins[i].release();
    }
    std::uint64_t most = 0;
    for (unsigned steps = 0; readers.chunks_used() > 2 * kReaders / 10; ++steps) {
      const std::uint64_t before = readers.chunks_used();
      readers.maintain();
      most = std::max(most, before - readers.chunks_used());
      REQUIRE(steps < 100);
    }
    CHECK(most <= 257);
    CHECK(readers.chunks_used() == 2 * kReaders / 10);
    readers.pins.clear();
    readers.store.maintain_all();
    CHECK(readers.chunks_used() == 0);
  }

  TEST_CASE("an allocation that would fail frees what is no longer read") {
    store::Options options = StoreFixture::default_options();
    options.memory_limit_bytes = std::size_t{2} << 20;
    options.evict = false;
    StoreFixture s(options);
    const std::string value(store::kChunkBytesMax + 100, 'v');
    std::vector<store::Pin> pins;
    std::string key;
    for (unsigned i = 0; s.set(key = "k" + std::to_string(i), value) == store::StoreResult::kStored; ++i) {
      pins.push_back(s.pin(key));
      s.remove(key);
    }
    REQUIRE(pins.size() > 20);
    CHECK(s.set("new", value) == store::StoreResult::kNoMemory);
    pins[pins.size() / 2].release();
    CHECK(s.set("new", value) == store::StoreResult::kStored);
    CHECK(s.set("newer", value) == store::StoreResult::kNoMemory);
  }

  TEST_CASE("a thread that is late by a second does not make what has expired alive for eviction") {
    store::Options options = StoreFixture::default_options();
    options.memory_limit_bytes = std::size_t{2} << 20;
    StoreFixture s(options);
    const std::string value(1000, 'v');
    unsigned stored = 0;
    while (s.store->stats().pages_free != 0) {
      s.set("dead" + std::to_string(stored++), value, 0, s.now + 1);
    }
    ++s.now;
    s.set("of this second", "v");
    --s.now;
    s.set("of the last", "v");
    for (unsigned i = 0; i < stored / 2; ++i) s.set("new" + std::to_string(i), value);
    CHECK(s.store->stats().reclaimed > 100);
    CHECK(s.store->stats().evictions == 0);
  }
}
