#include "store/ghost.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <cstdint>

namespace ringcached::store {
namespace {

// A bijection, so that numbers make distinct fingerprints.
std::uint32_t fingerprint_of(std::uint32_t number) {
  number ^= number >> 16;
  number *= 0x7feb352dU;
  number ^= number >> 15;
  number *= 0x846ca68bU;
  return number ^ number >> 16;
}

std::size_t found(Ghost& ghost, std::uint32_t from, std::uint32_t to) {
  std::size_t count = 0;
  for (std::uint32_t i = from; i < to; ++i) count += ghost.take(fingerprint_of(i)) ? 1 : 0;
  return count;
}

TEST_SUITE("ghost") {
  TEST_CASE("no memory before the first eviction") {
    Ghost ghost;
    CHECK(!ghost.take(1));
    CHECK(ghost.bytes() == 0);
  }

  TEST_CASE("remembers the last capacity keys, forgets older ones, costs about 4 bytes each") {
    for (const std::uint32_t capacity : {1000U, 20'000U, 300'000U}) {
      CAPTURE(capacity);
      Ghost ghost;
      const std::uint32_t total = capacity * 5;
      for (std::uint32_t i = 0; i < total; ++i) ghost.insert(fingerprint_of(i), capacity);
      CHECK(ghost.bytes() <= capacity * 4 + 4096 + 64);
      const double older = static_cast<double>(found(ghost, 0, capacity * 3)) / (capacity * 3);
      CHECK(older < 0.002);  // by chance only
      // Just outside, with a margin for the grain of time.
      const double outside =
          static_cast<double>(found(ghost, capacity * 3, total - capacity - capacity / 32));
      CHECK(outside / capacity < 0.002);
      const double inside = static_cast<double>(found(ghost, total - capacity + capacity / 32, total));
      CHECK(inside / (capacity - capacity / 32) > 0.96);
      // Taken: found once only.
      CHECK(static_cast<double>(found(ghost, total - capacity + capacity / 32, total)) / capacity < 0.002);
    }
  }

  TEST_CASE("small capacities are exact but for a full bucket") {
    for (const std::uint32_t capacity : {1U, 2U, 7U, 15U}) {
      CAPTURE(capacity);
      Ghost ghost;
      for (std::uint32_t i = 0; i < 100; ++i) ghost.insert(fingerprint_of(i), capacity);
      CHECK(found(ghost, 0, 100 - capacity) == 0);
      CHECK(found(ghost, 100 - capacity, 100) == capacity);
    }
  }

  TEST_CASE("keys that were never evicted are seldom found") {
    Ghost ghost;
    constexpr std::uint32_t kCapacity = 100'000;
    for (std::uint32_t i = 0; i < 2 * kCapacity; ++i) ghost.insert(fingerprint_of(i), kCapacity);
    const std::uint32_t strangers = 1'000'000;
    const std::size_t hits = found(ghost, 1U << 30, (1U << 30) + strangers);
    CHECK(hits < strangers / 2000);
  }

  TEST_CASE("a growing capacity loses nothing that is still to be remembered") {
    Ghost ghost;
    std::uint32_t next = 0;
    for (std::uint32_t i = 0; i < 5000; ++i) ghost.insert(fingerprint_of(next++), 1000);
    for (std::uint32_t i = 0; i < 500; ++i) ghost.insert(fingerprint_of(next++), 2000);
    // Of the last 1000 half are in the table from before.
    CHECK(found(ghost, next - 950, next) > 900);
    // Once outdated, the former table is given back.
    for (std::uint32_t i = 0; i < 10'000; ++i) ghost.insert(fingerprint_of(next++), 2000);
    CHECK(ghost.bytes() <= 2000 * 4 + 4096);
    CHECK(found(ghost, next - 1900, next) > 1800);
    for (std::uint32_t i = 0; i < 10'000; ++i) ghost.insert(fingerprint_of(next++), 100);
    CHECK(ghost.bytes() <= 4096);
    CHECK(ghost.entries() <= 140);
  }

  TEST_CASE("no memory of a large table is touched for the first time by what is inserted") {
    Mapping probe;
    REQUIRE(probe.map(Mapping::kKernelPageBytes));
    if (!populate_memory(probe.start(), probe.bytes())) return;  // the kernel cannot
    const auto faults = [] {
      rusage usage{};
      getrusage(RUSAGE_THREAD, &usage);
      return usage.ru_minflt;
    };
    Ghost ghost;
    constexpr std::uint32_t kCapacity = 1'000'000;  // 4 MB
    std::uint32_t next = 0, calls = 0;
    while (ghost.entries() == 0) {
      ghost.insert(fingerprint_of(next++), kCapacity);
      ++calls;
    }
    CHECK(calls >= kCapacity * 4 / Ghost::kBytesPerCall);
    const auto before = faults();
    for (std::uint32_t i = 0; i < 20'000; ++i) ghost.insert(fingerprint_of(next++), kCapacity);
    // These touch nearly all of the thousand pages; sanitizers, and a kernel that moves pages, add faults of
    // their own.
    CHECK(faults() - before < 300);
  }

  TEST_CASE("a capacity that changes all the time keeps a bounded memory") {
    Ghost ghost;
    std::size_t most = 0;
    for (std::uint32_t i = 0; i < 200'000; ++i) {
      ghost.insert(fingerprint_of(i), 100 + i % 7 * 5000);
      most = ghost.bytes() > most ? ghost.bytes() : most;
    }
    CHECK(most <= std::size_t{2} * (30'100 * 4 + 4096));
  }
}

}  // namespace
}  // namespace ringcached::store
