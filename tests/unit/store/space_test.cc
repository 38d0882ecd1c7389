// Space that moves: to the sizes that are stored now, to the threads that store, and back after expiry.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "support/size_change.h"
#include "unit/store/store_fixture.h"

using namespace ringcached;
using namespace ringcached::testing;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

// What is stored until the hits are those of a fresh store, as a multiple of the memory. A fresh store needs
// one to fill its memory at all.
constexpr double kRecoveryMemories = 8;
constexpr double kPointsBehindMax = 2.5;

// Stores `value` under new keys until `bytes` of values were stored.
void fill(StoreFixture& s, store::StoreThread& thread, std::size_t bytes, std::size_t value_bytes) {
  static const std::string kValue(std::size_t{1} << 16, 'v');
  std::size_t refused = 0;
  for (std::size_t i = 0; i < bytes / value_bytes; ++i) {
    const std::string key = "fill" + std::to_string(value_bytes) + ":" + std::to_string(i);
    store::StoreRequest request;
    request.key = s.store->key(key);
    const std::string_view value(kValue.data(), value_bytes);
    if (s.store->put(thread, request, value, s.now) != store::StoreResult::kStored) ++refused;
    if (i % 20 == 0) thread.end_turn();
  }
  REQUIRE(refused == 0);
}

store::Options options_of(std::size_t memory_bytes, unsigned threads) {
  store::Options options = StoreFixture::default_options();
  options.memory_limit_bytes = memory_bytes;
  options.threads = threads;
  return options;
}

}  // namespace

TEST_SUITE("space that moves") {
  TEST_CASE("after a change of value sizes the hits are soon those of a fresh store") {
    const SizePhase small{.name = "small", .value_bytes = {100}, .keys = 120'000, .operations = 250'000};
    const SizePhase large{.name = "large", .value_bytes = {10240}, .keys = 2500, .operations = 40'000};
    const SizePhase mixed{
        .name = "mixed", .value_bytes = {100, 1024, 10240}, .keys = 12'000, .operations = 80'000};
    const struct {
      const char* name;
      unsigned threads, writers_at_first, writers_then;
    } rows[] = {{"one thread", 1, 1, 1}, {"one of two threads stops", 2, 2, 1}};
    for (const auto& row : rows) {
      CAPTURE(row.name);
      const store::Options options = options_of(8 * kMiB, row.threads);
      SizeChangeStore changed(options);
      unsigned writers = row.writers_at_first;
      std::uint64_t seed = 1;
      for (SizePhase phase : {small, large, mixed}) {
        CAPTURE(phase.name);
        phase.writers = std::exchange(writers, row.writers_then);
        const SizeChangeReport report = run_size_phase(changed, options, phase, seed++);
        CHECK(report.changed_percent >= report.fresh_percent - kPointsBehindMax);
        CHECK(report.recovery_memories <= kRecoveryMemories);
      }
      CHECK(changed.refused() == 0);
    }
  }

  TEST_CASE("pages do not move by themselves when that is switched off") {
    for (const bool on : {true, false}) {
      CAPTURE(on);
      store::Options options = options_of(4 * kMiB, 1);
      options.slab_automove = on;
      StoreFixture s(options);
      fill(s, *s.thread, 8 * kMiB, 100);
      fill(s, *s.thread, 32 * kMiB, 10240);
      s.get("fill10240:" + std::to_string(32 * kMiB / 10240 - 1));
      const std::uint64_t pages = s.store->class_stats(s.info.slab_class).pages;
      if (on) {
        CHECK(pages >= 14);
      } else {
        CHECK(pages <= 2);  // a class that has nothing to evict takes its first page all the same
      }
      CHECK(s.store->stats().pages_moved >= pages);
      CHECK(s.store->stats().moved_evicted > 0);
    }
  }

  TEST_CASE("a large value is stored while memory is full of small items, by any thread") {
    const struct {
      std::size_t memory, value;
      unsigned threads;
    } rows[] = {{4 * kMiB, kMiB - 1024, 1},
                {8 * kMiB, kMiB - 1024, 4},
                {16 * kMiB, 12 * kMiB, 1},
                {16 * kMiB, 15 * kMiB, 3}};
    for (const auto& row : rows) {
      CAPTURE(row.memory);
      CAPTURE(row.value);
      store::Options options = options_of(row.memory, row.threads);
      options.item_bytes_max = row.value + 1024;
      StoreFixture s(options);
      std::vector<store::StoreThread*> threads{s.thread};
      while (threads.size() < row.threads) threads.push_back(&s.store->attach());
      // The first holds everything.
      fill(s, *threads[0], 2 * row.memory, 40);
      REQUIRE(s.store->stats().pages_free == 0);
      const std::string value = StoreFixture::pattern(row.value, 7);
      for (unsigned round = 0; round < 2 * row.threads; ++round) {
        s.thread = threads[row.threads - 1 - round % row.threads];
        const std::string key = "large" + std::to_string(round);
        REQUIRE(s.set(key, value) == store::StoreResult::kStored);
        CHECK(s.get_pinned(key) == value);
        for (store::StoreThread* each : threads) fill(s, *each, row.memory / 4, 40);
      }
      CHECK(s.store->stats().page_bytes_used <= row.memory);
    }
  }

  TEST_CASE("a value that could never fit throws nothing out") {
    for (const std::size_t value_bytes : {4 * kMiB - 100, 4 * kMiB + 1}) {
      store::Options options = options_of(4 * kMiB, 1);
      options.item_bytes_max = 8 * kMiB;
      StoreFixture s(options);
      fill(s, *s.thread, 2 * kMiB, 100);
      const std::uint64_t items = s.store->stats().items;
      CHECK(s.set("large", std::string(value_bytes, 'v')) == store::StoreResult::kNoMemory);
      CHECK(s.store->stats().items == items);
    }
  }

  TEST_CASE("expired items go without reads, and their pages with them") {
    StoreFixture s(options_of(32 * kMiB, 1));
    constexpr unsigned kItems = 100'000;
    for (unsigned i = 0; i < kItems; ++i) {
      REQUIRE(s.set("k" + std::to_string(i), "thirty-two bytes of some value..", 0, s.now + 5) ==
              store::StoreResult::kStored);
    }
    REQUIRE(s.store->stats().items == kItems);
    const std::size_t used = s.store->stats().page_bytes_used;
    s.now += 4;
    s.maintain_all();
    CHECK(s.store->stats().items == kItems);
    CHECK(s.store->stats().reaper_checked == 0);  // nothing is looked at before its time
    s.now += 2;
    s.maintain_all();
    CHECK(s.store->stats().items == 0);
    CHECK(s.store->stats().reaper_reclaimed == kItems);
    // A class keeps two pages for what comes next.
    CHECK(s.store->stats().page_bytes_used <= used / 10);
    fill(s, *s.thread, 24 * kMiB, 4000);
    CHECK(s.store->stats().evictions == 0);
  }

  TEST_CASE("memory is never above the limit, whatever is stored") {
    StoreFixture s(options_of(16 * kMiB, 3));
    std::vector<store::StoreThread*> threads{s.thread, &s.store->attach(), &s.store->attach()};
    const std::string value(512 << 10, 'v');
    std::uint64_t random = 1;
    const auto below = [&](std::uint64_t bound) { return scramble(random++) % bound; };
    std::size_t most = 0;
    unsigned refused = 0;
    for (unsigned i = 0; i < 30'000; ++i) {
      s.thread = threads[below(3)];
      const std::string key = "k" + std::to_string(below(20'000));
      const std::size_t bytes = std::size_t{32} << below(15);
      const CacheTime expiry =
          below(3) == 0 ? s.now + 1 + static_cast<CacheTime>(below(5)) : store::kNeverExpires;
      if (below(8) == 0) {
        s.remove(key);
      } else if (s.set(key, value.substr(0, bytes - below(bytes / 2)), 0, expiry) !=
                 store::StoreResult::kStored) {
        ++refused;
      }
      if (i % 1000 == 0) ++s.now;
      if (i % 100 == 0) {
        for (store::StoreThread* each : threads) each->maintain(s.now, 256);
      }
      most = std::max(most, s.store->stats().page_bytes_used);
    }
    CHECK(refused == 0);
    CHECK(most <= 16 * kMiB);
    CHECK(most >= 16 * kMiB * 99 / 100);
  }
}
