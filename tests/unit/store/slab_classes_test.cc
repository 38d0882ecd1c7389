#include "store/slab_classes.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "bench/class_waste.h"
#include "store/item.h"

namespace ringcached::store {
namespace {

constexpr unsigned kAllSteps[] = {8, 16, 32};

TEST_SUITE("slab_classes") {
  TEST_CASE("sizes grow, are multiples of the granule and end at the largest chunk") {
    CHECK(SlabClasses().count() == 77);
    CHECK(SlabClasses(16).count() == 133);
    CHECK(SlabClasses(32).count() == 213);
    for (const unsigned steps : kAllSteps) {
      const SlabClasses classes(steps);
      CAPTURE(steps);
      CHECK(classes.count() <= SlabClasses::kClassesMax);
      CHECK(classes.chunk_bytes(1) == kChunkBytesMin);
      CHECK(classes.chunk_bytes(classes.count()) == kChunkBytesMax);
      for (unsigned c = 1; c <= classes.count(); ++c) {
        CAPTURE(c);
        CHECK(classes.chunk_bytes(c) % kGranuleBytes == 0);
        CHECK(classes.chunks_per_page(c) >= 8);
        if (c > 1) CHECK(classes.chunk_bytes(c) >= classes.chunk_bytes(c - 1) + kGranuleBytes);
        // No larger chunk goes as often into a page.
        CHECK((classes.chunk_bytes(c) + kGranuleBytes) * classes.chunks_per_page(c) > kPageBytes);
      }
    }
  }

  TEST_CASE(
      "eight classes per doubling from 64 bytes on, and a class for every 8 bytes or every count per page "
      "where the steps are finer than that") {
    for (const unsigned steps : kAllSteps) {
      const SlabClasses classes(steps);
      CAPTURE(steps);
      for (std::size_t low = 64; low < kChunkBytesMax; low *= 2) {
        CAPTURE(low);
        const std::size_t possible = std::min(low / kGranuleBytes, kPageBytes / low / 2);
        CHECK(classes.class_for(low * 2) - classes.class_for(low) == std::min<std::size_t>(steps, possible));
      }
    }
  }

  TEST_CASE("class_for gives the smallest class that fits, for every size") {
    for (const unsigned steps : kAllSteps) {
      const SlabClasses classes(steps);
      CAPTURE(steps);
      unsigned expected = 1;
      for (std::size_t bytes = 0; bytes <= kChunkBytesMax; ++bytes) {
        if (bytes > classes.chunk_bytes(expected)) ++expected;
        if (classes.class_for(bytes) != expected) {
          CAPTURE(bytes);
          REQUIRE(classes.class_for(bytes) == expected);
        }
      }
      CHECK(classes.class_for(kChunkBytesMax + 1) == 0);
      CHECK(classes.class_for(~std::size_t{0}) == 0);
    }
  }

  TEST_CASE("rounding up and the page's rest waste at most 5 % on average, less with finer steps") {
    for (const unsigned steps : kAllSteps) {
      const SlabClasses classes(steps);
      CAPTURE(steps);
      const bench::Waste waste = bench::waste_of_chunks(classes);
      const double limit = steps == 8 ? 0.05 : steps == 16 ? 0.035 : 0.032;
      CHECK(waste.all_sizes <= limit);
      CHECK(waste.by_logarithm <= limit);
    }
  }

  TEST_CASE("values of 32 bytes to 512 KiB, chains included, waste at most 5 % on average") {
    constexpr std::size_t kKeyBytes = 16;
    for (const unsigned steps : kAllSteps) {
      const SlabClasses classes(steps);
      CAPTURE(steps);
      const bench::Waste waste = bench::waste_of_values(classes, kKeyBytes);
      CHECK(waste.all_sizes <= 0.05);
      CHECK(waste.by_logarithm <= 0.05);
    }
  }

  TEST_CASE("fine steps only where pages are plentiful") {
    CHECK(SlabClasses::steps_for(0) == 8);
    CHECK(SlabClasses::steps_for(256) == 8);  // 64 MiB
    CHECK(SlabClasses::steps_for(1023) == 8);
    CHECK(SlabClasses::steps_for(1024) == 16);
    CHECK(SlabClasses::steps_for(2047) == 16);
    CHECK(SlabClasses::steps_for(2048) == 32);  // 512 MiB
    CHECK(SlabClasses::steps_for(~std::size_t{0}) == 32);
    const SlabClasses fine(32);
    CHECK(fine.chunk_bytes(fine.class_for(unchained_bytes(36, 224, 0))) == 280);
    CHECK(fine.chunk_bytes(fine.class_for(unchained_bytes(44, 1030, 0))) == 1120);
  }
}

}  // namespace
}  // namespace ringcached::store
