#include "store/slab_classes.h"

#include <doctest/doctest.h>

namespace ringcached::store {
namespace {

TEST_SUITE("slab_classes") {
  TEST_CASE("sizes grow, are multiples of the granule and end at the largest chunk") {
    const SlabClasses classes;
    CHECK(classes.count() == 77);
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

  TEST_CASE("eight classes per doubling from 64 bytes on") {
    const SlabClasses classes;
    for (std::size_t low = 64; low < kChunkBytesMax; low *= 2) {
      CAPTURE(low);
      CHECK(classes.class_for(low * 2) - classes.class_for(low) == 8);
    }
  }

  TEST_CASE("class_for gives the smallest class that fits, for every size") {
    const SlabClasses classes;
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

  TEST_CASE("rounding up and the page's rest waste at most 5 % on average") {
    const SlabClasses classes;
    double all_sizes = 0, by_logarithm = 0, weights = 0;
    for (std::size_t bytes = kChunkBytesMin; bytes <= kChunkBytesMax; ++bytes) {
      const unsigned c = classes.class_for(bytes);
      const double share = static_cast<double>(kPageBytes) / classes.chunks_per_page(c);
      const double waste = 1 - static_cast<double>(bytes) / share;
      const double weight = 1.0 / static_cast<double>(bytes);
      all_sizes += waste;
      by_logarithm += waste * weight;
      weights += weight;
    }
    CHECK(all_sizes / (kChunkBytesMax - kChunkBytesMin + 1) <= 0.05);
    CHECK(by_logarithm / weights <= 0.05);
  }
}

}  // namespace
}  // namespace ringcached::store
