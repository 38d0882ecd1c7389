#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "ringcached/store.h"

using namespace ringcached;

namespace {

struct Embedded {
  explicit Embedded(const StoreOptions& options = {}) : store(std::move(Store::open(options).value())) {}
  StoreHandle handle() { return std::move(store->attach().value()); }
  std::unique_ptr<Store> store;
};

}  // namespace

TEST_SUITE("embeddable store") {
  TEST_CASE("values go in and come out, with flags and versions") {
    Embedded embedded;
    StoreHandle handle = embedded.handle();
    CHECK(handle.set("k", "value", {.flags = 3}) == StoreOutcome::kStored);
    std::string value = "something longer than before";
    ItemDetails details;
    REQUIRE(handle.get("k", value, &details));
    CHECK(value == "value");
    CHECK(details.flags == 3);
    CHECK(details.time_left.count() == 0);
    CHECK(handle.compare_and_swap("k", "next", details.version) == StoreOutcome::kStored);
    CHECK(handle.compare_and_swap("k", "lost", details.version) == StoreOutcome::kExists);
    CHECK(handle.compare_and_swap("absent", "x", 1) == StoreOutcome::kNotFound);
    CHECK(handle.append("k", "!") == StoreOutcome::kStored);
    CHECK(handle.prepend("k", ">") == StoreOutcome::kStored);
    REQUIRE(handle.get("k", value));
    CHECK(value == ">next!");
    CHECK(handle.add("k", "x") == StoreOutcome::kNotStored);
    CHECK(handle.replace("k", "y") == StoreOutcome::kStored);
    CHECK(handle.remove("k"));
    CHECK_FALSE(handle.remove("k"));
    CHECK_FALSE(handle.get("k", value));
    CHECK(value.empty());
    CHECK(handle.replace("k", "y") == StoreOutcome::kNotStored);
  }

  TEST_CASE("numbers") {
    Embedded embedded;
    StoreHandle handle = embedded.handle();
    CHECK(handle.increment("n").outcome == StoreNumber::Outcome::kNotFound);
    handle.set("n", "9");
    CHECK(handle.increment("n").value == 10);
    CHECK(handle.increment("n", 5).value == 15);
    CHECK(handle.decrement("n", 100).value == 0);
    handle.set("n", "text");
    CHECK(handle.increment("n").outcome == StoreNumber::Outcome::kNotANumber);
    CHECK_FALSE(handle.increment("n"));
  }

  TEST_CASE("bad keys, large values and bad options are answered, not asserted") {
    Embedded embedded({.item_bytes_max = 10000});
    StoreHandle handle = embedded.handle();
    std::string value;
    CHECK(handle.set("", "x") == StoreOutcome::kBadKey);
    CHECK(handle.set(std::string(251, 'k'), "x") == StoreOutcome::kBadKey);
    CHECK_FALSE(handle.get("", value));
    CHECK_FALSE(handle.remove(std::string(300, 'k')));
    CHECK_FALSE(handle.touch("", std::chrono::seconds(1)));
    CHECK_FALSE(handle.increment(""));
    CHECK(handle.set("k", std::string(9900, 'v')) == StoreOutcome::kStored);
    CHECK(handle.set("k", std::string(10001, 'v')) == StoreOutcome::kTooLarge);
    CHECK_FALSE(handle.get("k", value));
    CHECK(Store::open({.threads = 0}).status().code() == StatusCode::kInvalidArgument);
    CHECK(Store::open({.item_bytes_max = std::size_t{2} << 30}).status().code() ==
          StatusCode::kInvalidArgument);
  }

  TEST_CASE("time to live") {
    Embedded embedded;
    StoreHandle handle = embedded.handle();
    std::string value;
    ItemDetails details;
    handle.set("k", "v", {.time_to_live = std::chrono::hours(24 * 400)});
    REQUIRE(handle.get("k", value, &details));
    CHECK(details.time_left > std::chrono::hours(24 * 399));
    CHECK(handle.touch("k", std::chrono::seconds(100)));
    REQUIRE(handle.get("k", value, &details));
    CHECK(details.time_left <= std::chrono::seconds(100));
    CHECK(details.time_left >= std::chrono::seconds(98));
    CHECK(handle.touch("k", std::chrono::seconds(-1)));
    CHECK_FALSE(handle.get("k", value));
    handle.set("k", "v");
    CHECK(handle.set("k", "v", {.time_to_live = std::chrono::seconds(-5)}) == StoreOutcome::kStored);
    while (handle.upkeep()) {
    }
    CHECK(embedded.store->statistics().items == 0);
    CHECK(embedded.store->statistics().expired == 1);
  }

  TEST_CASE("flush, statistics and the memory limit") {
    Embedded embedded({.memory_limit_bytes = std::size_t{4} << 20});
    StoreHandle handle = embedded.handle();
    const std::string value(1000, 'v');
    for (int i = 0; i < 10000; ++i) REQUIRE(handle.set(std::to_string(i), value) == StoreOutcome::kStored);
    StoreStatistics statistics = embedded.store->statistics();
    CHECK(statistics.evictions > 5000);
    CHECK(statistics.items <= 4096);
    CHECK(statistics.memory_used_bytes <= std::size_t{4} << 20);
    CHECK(statistics.stores == 10000);
    CHECK(embedded.store->set_memory_limit(std::size_t{1} << 20));
    CHECK_FALSE(embedded.store->set_memory_limit(0));
    for (int i = 0; i < 100 && handle.upkeep(); ++i) {
    }
    CHECK(embedded.store->statistics().memory_used_bytes <= std::size_t{1} << 20);
    handle.flush();
    std::string got;
    CHECK_FALSE(handle.get("9999", got));
    while (handle.upkeep()) {
    }
    CHECK(embedded.store->statistics().items == 0);
  }

  TEST_CASE("handles come and go, as many at a time as there are places") {
    Embedded embedded({.threads = 2});
    {
      StoreHandle first = embedded.handle();
      StoreHandle second = embedded.handle();
      auto third = embedded.store->attach();
      CHECK(third.status().code() == StatusCode::kUnavailable);
      first.set("k", "v");
    }
    for (int i = 0; i < 10; ++i) {
      std::thread([&] {
        StoreHandle handle = embedded.handle();
        handle.append("k", "+");
      }).join();
    }
    StoreHandle handle = embedded.handle();
    std::string value;
    CHECK(handle.get("k", value));
    CHECK(value == "v++++++++++");
  }
}
