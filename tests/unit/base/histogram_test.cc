#include "base/histogram.h"

#include <doctest/doctest.h>
#include <time.h>

#include "base/cycle_clock.h"

using namespace ringcached;

TEST_SUITE("histogram") {
  using Buckets = Histogram::Buckets;

  TEST_CASE("every value lies in a bucket that is at most a sixteenth of it wide") {
    for (std::uint64_t value = 0; value < (std::uint64_t{1} << 36); value += value / 7 + 1) {
      const std::size_t bucket = Buckets::of(value);
      REQUIRE(bucket < Buckets::kCount);
      CHECK(Buckets::upper_end(bucket) >= value);
      CHECK(Buckets::upper_end(bucket) - value <= value / 16);
      if (bucket > 0) CHECK(Buckets::upper_end(bucket - 1) < value);
    }
    CHECK(Buckets::of(~std::uint64_t{0}) == Buckets::kCount - 1);
  }

  TEST_CASE("quantiles are upper ends of buckets, the largest value is exact") {
    Histogram histogram;
    for (std::uint64_t value = 1; value <= 1000; ++value) histogram.record(value * 1000);
    HistogramSum sum;
    sum.add(histogram);
    CHECK(sum.count() == 1000);
    CHECK(sum.max() == 1'000'000);
    struct Row {
      unsigned per_mille;
      std::uint64_t value;
    };
    for (const Row row : {Row{500, 500'000}, {900, 900'000}, {990, 990'000}, {999, 999'000}}) {
      CHECK(sum.quantile(row.per_mille) >= row.value);
      CHECK(sum.quantile(row.per_mille) <= row.value + row.value / 16);
    }
    CHECK(sum.quantile(1000) == 1'000'000);
  }

  TEST_CASE("nothing recorded, one value, a value beyond the last bucket") {
    Histogram histogram;
    HistogramSum empty;
    empty.add(histogram);
    CHECK(empty.count() == 0);
    CHECK(empty.quantile(500) == 0);
    histogram.record(7);
    HistogramSum one;
    one.add(histogram);
    CHECK(one.quantile(1) == 7);
    CHECK(one.quantile(999) == 7);
    histogram.record(std::uint64_t{1} << 40, 3);
    HistogramSum large;
    large.add(histogram);
    CHECK(large.count() == 4);
    CHECK(large.quantile(250) == 7);
    CHECK(large.quantile(251) == std::uint64_t{1} << 40);
  }

  TEST_CASE("sums of several, and clearing") {
    Histogram first, second;
    first.record(10, 9);
    second.record(1000);
    HistogramSum sum;
    sum.add(first);
    sum.add(second);
    CHECK(sum.count() == 10);
    CHECK(sum.quantile(900) == 10);
    CHECK(sum.quantile(901) == 1000);
    second.clear();
    HistogramSum cleared;
    cleared.add(second);
    CHECK(cleared.count() == 0);
    CHECK(cleared.max() == 0);
  }
}

TEST_SUITE("cycle clock") {
  // Sleeping 20 ms is seen as at least that, by either source, and as no more than CLOCK_MONOTONIC saw.
  void check_against_monotonic(const CycleClock& clock) {
    const auto monotonic = [] {
      timespec now{};
      clock_gettime(CLOCK_MONOTONIC, &now);
      return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
    };
    const timespec pause{0, 20'000'000};
    const std::uint64_t outer = monotonic();
    const std::uint64_t start = clock.now_ns();
    const std::uint64_t inner = monotonic();
    nanosleep(&pause, nullptr);
    const std::uint64_t inner_end = monotonic();
    const std::uint64_t end = clock.now_ns();
    const std::uint64_t outer_end = monotonic();
    constexpr std::uint64_t kTolerance = 1000;  // the rate may be wrong by this part
    CHECK(end - start + (end - start) / kTolerance >= inner_end - inner);
    CHECK(end - start <= outer_end - outer + (outer_end - outer) / kTolerance);
  }

  TEST_CASE("the kernel's clock") {
    const CycleClock clock(CycleClock::Source::kMonotonic);
    CHECK(clock.source() == CycleClock::Source::kMonotonic);
    check_against_monotonic(clock);
  }

  TEST_CASE("the machine's best source") {
    const CycleClock clock(CycleClock::best_source());
    CHECK(clock.source() == CycleClock::best_source());
    check_against_monotonic(clock);
    std::uint64_t last = clock.now_ns();
    for (int i = 0; i < 10000; ++i) {
      const std::uint64_t now = clock.now_ns();
      REQUIRE(now >= last);
      last = now;
    }
  }
}
