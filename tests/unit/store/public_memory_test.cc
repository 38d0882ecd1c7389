// The n-th allocation of the public store's handles fails, for every n.
#include <doctest/doctest.h>

#include <cstdint>
#include <new>
#include <optional>
#include <utility>

#include "ringcached/store.h"
#include "support/failing_heap.h"

using namespace ringcached;
using ringcached::testing::FailingHeap;

TEST_SUITE("public store memory") {
  TEST_CASE("a handle that could not be had costs no place, whether the thread is a new one or not") {
    for (const bool used_before : {false, true}) {
      bool failed = true;
      for (std::uint64_t nth = 1; failed; ++nth) {
        CAPTURE(nth);
        CAPTURE(used_before);
        const auto store = std::move(Store::open({.threads = 2}).value());
        if (used_before) {
          const auto first = store->attach(), second = store->attach();
          REQUIRE(second);
        }
        FailingHeap heap(nth, FailingHeap::Mode::kOnce);
        try {
          heap.run([&] { static_cast<void>(store->attach()); });
        } catch (const std::bad_alloc&) {
        }
        failed = heap.has_failed();
        auto first = store->attach(), second = store->attach();
        REQUIRE(first);
        REQUIRE(second);
        CHECK(first.value().set("key", "value") == StoreOutcome::kStored);
        CHECK(second.value().set("key", "other") == StoreOutcome::kStored);
        CHECK_FALSE(store->attach());
      }
    }
  }

  TEST_CASE("the end of a handle, storing and upkeep need no memory") {
    const auto store = std::move(Store::open({.memory_limit_bytes = 4 << 20}).value());
    std::optional<StoreHandle> handle(std::move(store->attach().value()));
    CHECK(handle->set("key", "value", {.time_to_live = std::chrono::seconds(-1)}) == StoreOutcome::kStored);
    FailingHeap heap(1, FailingHeap::Mode::kFromThenOn);
    heap.run([&] {
      for (unsigned i = 0; i < 1000; ++i) handle->set("key", "value");
      handle->flush();
      while (handle->upkeep()) {
      }
      handle.reset();
    });
    CHECK(heap.allocations() == 0);
    CHECK(store->attach());
  }
}
