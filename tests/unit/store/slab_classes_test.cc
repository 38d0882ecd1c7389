#include "store/slab_classes.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "store/item.h"

namespace ringcached::store {
namespace {

constexpr unsigned kAllSteps[] = {8, 16, 32};

// Item memory that a value of so many bytes takes behind a key of so many: its share of the page for each
// chunk, and nothing for a chain's own links.
double memory_of(const SlabClasses& classes, std::size_t key_bytes, std::size_t value_bytes) {
  const auto share = [&](std::size_t bytes) {
    return static_cast<double>(kPageBytes) / classes.chunks_per_page(classes.class_for(bytes));
  };
  const std::size_t unchained = unchained_bytes(key_bytes, value_bytes, 0);
  if (unchained <= kChunkBytesMax) return share(unchained);
  double memory = share(kChunkBytesMax);
  std::size_t left = value_bytes - (kChunkBytesMax - kChainHeaderBytes - key_bytes);
  while (left != 0) {
    const std::size_t part = std::min(left, kChunkBytesMax - kPartHeaderBytes);
    memory += share(kPartHeaderBytes + part);
    left -= part;
  }
  return memory;
}

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
      const double limit = steps == 8 ? 0.05 : steps == 16 ? 0.035 : 0.032;
      CHECK(all_sizes / (kChunkBytesMax - kChunkBytesMin + 1) <= limit);
      CHECK(by_logarithm / weights <= limit);
    }
  }

  TEST_CASE("values of 32 bytes to 512 KiB, chains included, waste at most 5 % on average") {
    constexpr std::size_t kKeyBytes = 16;
    for (const unsigned steps : kAllSteps) {
      const SlabClasses classes(steps);
      CAPTURE(steps);
      double all_sizes = 0, by_logarithm = 0, weights = 0;
      std::size_t sizes = 0;
      // Every size up to 4 KiB, then steps of less than a thousandth.
      for (std::size_t value = 32; value <= std::size_t{512} << 10;
           value += std::max<std::size_t>(1, value >> 12)) {
        const auto needed = static_cast<double>(unchained_bytes(kKeyBytes, value, 0));
        const double waste = 1 - needed / memory_of(classes, kKeyBytes, value);
        const double weight = value < 4096 ? 1.0 / static_cast<double>(value) : 1.0 / 4096;
        all_sizes += waste;
        by_logarithm += waste * weight;
        weights += weight;
        ++sizes;
      }
      CHECK(all_sizes / static_cast<double>(sizes) <= 0.05);
      CHECK(by_logarithm / weights <= 0.05);
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
