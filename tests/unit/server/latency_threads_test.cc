// A record that is replaced while others read it is read whole or not at all.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "server/latency.h"

using ringcached::server::TurnRecord;

TEST_SUITE("latency_threads") {
  TEST_CASE("a turn's record is read whole") {
    TurnRecord record;
    std::atomic<bool> done{false};
    std::thread writer([&] {
      TurnRecord::Figures figures;
      for (std::uint64_t i = 1; i <= 20'000; ++i) {
        figures.fill(i);
        record.set(figures);
      }
      done.store(true);
    });
    TurnRecord::Figures seen{};
    std::uint64_t last = 0, torn = 0;
    while (!done.load()) {
      if (!record.get(seen)) continue;
      torn += std::ranges::count(seen, seen[0]) != static_cast<std::ptrdiff_t>(seen.size());
      torn += seen[0] < last;
      last = seen[0];
    }
    writer.join();
    CHECK(torn == 0);
    REQUIRE(record.get(seen));
    CHECK(seen[0] == 20'000);
  }
}
