// Pages moved on request, and crawls: what slabs reassign and lru_crawler crawl do.
#include <doctest/doctest.h>

#include <string>

#include "unit/store/store_fixture.h"

using namespace ringcached;
using ringcached::testing::StoreFixture;
using PageMove = store::Store::PageMove;

namespace {

constexpr std::size_t kSmallBytes = 40, kLargeBytes = 4000;

store::Options small_store() {
  store::Options options = StoreFixture::default_options();
  options.memory_limit_bytes = std::size_t{4} << 20;
  return options;
}

// Fills memory with items of one size and returns their class.
unsigned fill(StoreFixture& s, std::size_t value_bytes, unsigned items, const std::string& prefix) {
  for (unsigned i = 0; i < items; ++i) {
    REQUIRE(s.set(prefix + std::to_string(i), std::string(value_bytes, 'v')) == store::StoreResult::kStored);
  }
  s.get(prefix + std::to_string(items - 1));
  return s.info.slab_class;
}

std::uint64_t pages(const StoreFixture& s, unsigned slab_class) {
  return s.store->class_stats(slab_class).pages;
}

}  // namespace

TEST_SUITE("store page moves") {
  TEST_CASE("a page goes from one class to the other, with what was in it evicted") {
    StoreFixture s(small_store());
    const unsigned large = fill(s, kLargeBytes, 200, "l");
    const unsigned small = fill(s, kSmallBytes, 100, "s");
    REQUIRE(large != small);
    const std::uint64_t large_before = pages(s, large), small_before = pages(s, small);
    REQUIRE(large_before > 2);
    const std::uint64_t items_before = s.store->stats().items;
    CHECK(s.store->move_page(*s.thread, static_cast<int>(large), static_cast<int>(small)) ==
          PageMove::kMoved);
    CHECK(pages(s, large) == large_before - 1);
    CHECK(pages(s, small) == small_before + 1);
    CHECK(s.store->stats().pages_moved == 1);
    CHECK(s.store->stats().items < items_before);
    // The new page is of use.
    CHECK(s.store->class_stats(small).chunks_free >= s.store->class_stats(small).chunks_per_page);
    unsigned there = 0;
    for (unsigned i = 0; i < 100; ++i) {
      if (s.get("s" + std::to_string(i)).size() == kSmallBytes) ++there;
    }
    CHECK(there == 100);
  }

  TEST_CASE("to the free pages and from them") {
    StoreFixture s(small_store());
    const unsigned large = fill(s, kLargeBytes, 200, "l");
    const std::uint64_t before = pages(s, large), used = s.store->stats().page_bytes_used;
    CHECK(s.store->move_page(*s.thread, static_cast<int>(large), 0) == PageMove::kMoved);
    CHECK(pages(s, large) == before - 1);
    CHECK(s.store->stats().page_bytes_used < used);
    CHECK(s.store->move_page(*s.thread, 0, static_cast<int>(large)) == PageMove::kMoved);
    CHECK(pages(s, large) == before);
    CHECK(s.store->stats().page_bytes_used == used);
  }

  TEST_CASE("any class: the one that can spare a page") {
    StoreFixture s(small_store());
    const unsigned small = fill(s, kSmallBytes, 10, "s");
    CHECK(s.store->move_page(*s.thread, -1, static_cast<int>(small)) == PageMove::kBadClass);
    const unsigned large = fill(s, kLargeBytes, 200, "l");
    const std::uint64_t before = pages(s, large);
    CHECK(s.store->move_page(*s.thread, -1, static_cast<int>(small)) == PageMove::kMoved);
    CHECK(pages(s, large) == before - 1);
    CHECK(pages(s, small) == 2);
  }

  TEST_CASE("what is refused") {
    StoreFixture s(small_store());
    const auto classes = static_cast<int>(s.store->class_count());
    const unsigned small = fill(s, kSmallBytes, 10, "s");
    const struct {
      int from, to;
      PageMove result;
    } rows[] = {
        {1, 1, PageMove::kSame},
        {0, 0, PageMove::kSame},
        {-1, -1, PageMove::kSame},
        {1, -1, PageMove::kBadClass},
        {-2, 1, PageMove::kBadClass},
        {1, classes + 1, PageMove::kBadClass},
        {classes, 1, PageMove::kNoSpare},
        {classes + 1, 1, PageMove::kBadClass},
        {2'000'000'000, 1, PageMove::kBadClass},
        // The last page of a class stays.
        {static_cast<int>(small), classes, PageMove::kNoSpare},
    };
    for (const auto& row : rows) {
      CAPTURE(row.from);
      CAPTURE(row.to);
      CHECK(s.store->move_page(*s.thread, row.from, row.to) == row.result);
    }
    CHECK(s.store->stats().pages_moved == 0);
    CHECK(s.store->stats().items == 10);
  }

  TEST_CASE("a page of many chunks leaves in steps, and is not refilled meanwhile") {
    StoreFixture s(small_store());
    const unsigned large = fill(s, kLargeBytes, 10, "l");
    const unsigned tiny = fill(s, 1, 20000, "t");
    REQUIRE(s.store->class_stats(tiny).chunks_per_page > 2048);
    const std::uint64_t before = pages(s, tiny), large_before = pages(s, large);
    const auto move = [&] {
      return s.store->move_page(*s.thread, static_cast<int>(tiny), static_cast<int>(large));
    };
    CHECK(move() == PageMove::kMoved);
    CHECK(move() == PageMove::kBusy);
    CHECK(pages(s, tiny) == before);
    unsigned steps = 0, stored = 0;
    while (pages(s, large) == large_before) {
      s.thread->maintain(s.now, 1, false);
      CHECK(s.set("n" + std::to_string(++stored), "v") == store::StoreResult::kStored);
      REQUIRE(++steps < 64);
    }
    CHECK(steps > 2);  // of 512 chunks; the emptiest page was chosen
    CHECK(s.store->class_stats(large).chunks_free >= s.store->class_stats(large).chunks_per_page);
    for (unsigned i = 1; i <= stored; ++i) CHECK(s.get("n" + std::to_string(i)) == "v");
    CHECK(move() == PageMove::kMoved);
  }

  TEST_CASE("a class that has nothing to evict finds a page in reserve") {
    for (const std::size_t mib : {8, 20}) {  // one page of 32 is kept, and one of 64
      CAPTURE(mib);
      store::Options options = StoreFixture::default_options();
      options.memory_limit_bytes = mib << 20;
      StoreFixture s(options);
      // Memory that never was short: the last item has just found room.
      const unsigned tiny = fill(s, 1, 1, "100000");
      for (unsigned i = 1; s.store->stats().pages_free != 0 || s.store->class_stats(tiny).chunks_free != 0;
           ++i) {
        REQUIRE(i < 800'000);
        REQUIRE(s.set(std::to_string(1'000'000 + i), "v") == store::StoreResult::kStored);
      }
      REQUIRE(s.store->stats().evictions == 0);
      const auto evicted = [&] { return s.store->stats().moved_evicted; };
      const std::string large(kLargeBytes, 'v');
      CHECK(s.set("large", large) == store::StoreResult::kStored);
      CHECK(evicted() == 0);
      CHECK(s.store->stats().evictions == 0);
      CHECK(s.store->stats().pages_moved == 0);  // it was nobody's
      // The next one is made ready, in steps; after a flush nothing is kept.
      unsigned steps = 0;
      while (s.thread->end_turn()) REQUIRE(++steps < 64);
      CHECK(steps > 2);  // of 512 chunks
      const std::uint64_t ready = evicted();
      CHECK(ready > 0);
      CHECK(s.set("huge", std::string(kLargeBytes * 3, 'v')) == store::StoreResult::kStored);
      CHECK(evicted() == ready);
      s.store->flush(*s.thread);
      s.maintain_all();
      s.maintain_all();
      CHECK(s.store->stats().page_bytes_used <= 4 * store::kPageBytes);
    }
  }

  TEST_CASE("without eviction no page with items moves") {
    store::Options options = small_store();
    options.evict = false;
    StoreFixture s(options);
    const unsigned large = fill(s, kLargeBytes, 200, "l");
    CHECK(s.store->move_page(*s.thread, static_cast<int>(large), 1) == PageMove::kNoSpare);
    CHECK(s.store->stats().items == 200);
  }

  TEST_CASE("all pages of the pool in use: the move is within it") {
    StoreFixture s(small_store());
    const unsigned small = fill(s, kSmallBytes, 10, "s");
    const unsigned large = fill(s, kLargeBytes, 2000, "l");
    REQUIRE(s.store->stats().pages_free == 0);
    CHECK(s.store->move_page(*s.thread, 0, static_cast<int>(small)) == PageMove::kNoSpare);
    for (int i = 0; i < 5; ++i) {
      CHECK(s.store->move_page(*s.thread, static_cast<int>(large), static_cast<int>(small)) ==
            PageMove::kMoved);
    }
    CHECK(s.store->stats().pages_free == 0);
    fill(s, kSmallBytes, 20000, "t");
    CHECK(s.store->stats().out_of_memory == 0);
  }

  TEST_CASE("a crawl looks at all items of its classes, and at no others") {
    StoreFixture s(small_store());
    const unsigned small = fill(s, kSmallBytes, 500, "s");
    const unsigned large = fill(s, kLargeBytes, 100, "l");
    s.maintain_all();
    REQUIRE(s.store->stats().reaper_checked == 0);  // nothing there expires
    store::SlabClassSet classes;
    classes.set(small);
    s.thread->crawl(classes);
    CHECK(s.thread->crawling());
    s.maintain_all();
    CHECK_FALSE(s.thread->crawling());
    CHECK(s.store->class_stats(small).reaper_checked == 500);
    CHECK(s.store->class_stats(large).reaper_checked == 0);
    CHECK(s.store->stats().reaper_checked == 500);
    CHECK(s.store->stats().reaper_reclaimed == 0);
  }

  TEST_CASE("expired items count for their class") {
    StoreFixture s(small_store());
    for (unsigned i = 0; i < 10; ++i) s.set("k" + std::to_string(i), "value", 0, s.now + 5);
    s.get("k3");
    const unsigned slab_class = s.info.slab_class;
    s.now += 10;
    s.maintain_all();
    const auto stats = s.store->class_stats(slab_class);
    CHECK(stats.items == 0);
    CHECK(stats.reaper_reclaimed == 10);
    CHECK(stats.expired_unfetched == 9);
    CHECK(stats.reaper_checked == 10);
  }

  TEST_CASE("upkeep without reaping leaves expired items, and still gives pages back") {
    StoreFixture s(small_store());
    for (unsigned i = 0; i < 800; ++i) {
      s.set("k" + std::to_string(i), std::string(kLargeBytes, 'v'), 0, s.now + 5);
    }
    s.now += 10;
    for (int i = 0; i < 100; ++i) s.thread->maintain(s.now, 1000, false);
    CHECK(s.store->stats().items == 800);
    CHECK(s.store->stats().reaper_reclaimed == 0);
    const std::size_t limit = std::size_t{1} << 20;
    REQUIRE(s.store->stats().page_bytes_used > limit);
    REQUIRE(s.store->set_memory_limit(limit));
    for (int i = 0; i < 100; ++i) s.thread->maintain(s.now, 1000, false);
    CHECK(s.store->stats().page_bytes_used <= limit);
  }

  TEST_CASE("the age of a class is that of the item next in line") {
    StoreFixture s(small_store());
    s.set("old", "value");
    s.get("old");
    const unsigned slab_class = s.info.slab_class;
    s.now += 100;
    s.set("new", "value");
    s.thread->maintain(s.now, 1000);
    CHECK(s.store->class_stats(slab_class).small_age_seconds == 100);
    CHECK(s.store->class_stats(slab_class).main_age_seconds == 0);
    s.remove("old");
    CHECK(s.store->class_stats(slab_class).small_age_seconds == 0);
  }
}
