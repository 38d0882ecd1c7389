#include "store/memory_ahead.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "store/hash_index.h"
#include "store/huge_pages.h"
#include "store/mapping.h"
#include "store/page_pool.h"
#include "store_fixture.h"

using namespace ringcached::store;
using ringcached::testing::StoreFixture;

namespace {

bool kernel_can() {
  Mapping probe;
  return probe.map(Mapping::kKernelPageBytes) && populate_memory(probe.start(), probe.bytes());
}

// Of what lies behind the used part, from its start on.
std::size_t ready_bytes(const GrowingMemory& memory) {
  constexpr std::size_t kPage = Mapping::kKernelPageBytes;
  const std::size_t first = (memory.used_bytes + kPage - 1) / kPage * kPage;
  std::size_t ready = 0;
  unsigned char resident = 0;
  while (first + ready < memory.bytes_max && mincore(memory.start + first + ready, kPage, &resident) == 0 &&
         (resident & 1) != 0) {
    ready += kPage;
  }
  return ready;
}

// The flag of the mapping: whether huge pages are to be had then is the kernel's business.
bool asked_for_huge_pages(const std::byte* at) {
  std::ifstream mappings("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(mappings, line);) {
    std::uintptr_t first = 0, end = 0;
    char dash = 0;
    if (std::istringstream head(line); head >> std::hex >> first >> dash >> end && dash == '-') {
      here = first <= reinterpret_cast<std::uintptr_t>(at) && reinterpret_cast<std::uintptr_t>(at) < end;
    }
    if (here && line.starts_with("VmFlags:")) return line.find(" hg") != std::string::npos;
  }
  return false;
}

unsigned run(MemoryAhead& ahead) {
  unsigned steps = 0;
  while (ahead.step()) REQUIRE(++steps < 1000);
  return steps;
}

TEST_SUITE("memory ahead") {
  TEST_CASE("a little of what comes next is ready, in pieces, and not beyond the limit") {
    if (!kernel_can()) return;
    auto pool = std::move(PagePool::create({.limit_bytes = 16 * kPageBytes}).value());
    HashIndexOptions options;
    options.items_max = 10'000'000;
    options.buckets_initial = 1 << 16;
    auto index = std::move(HashIndex::create(options, pool->base()).value());
    MemoryAhead ahead(*pool, *index, {});
    CHECK(ready_bytes(index->bucket_memory()) == 0);
    const unsigned steps = run(ahead);
    const std::size_t buckets = ready_bytes(index->bucket_memory());
    CHECK(buckets == (std::size_t{1} << 16) * 64 / 8);
    CHECK(steps >= buckets / MemoryAhead::kPieceBytes);
    CHECK(ready_bytes(index->overflow_memory()) > 0);
    CHECK(ready_bytes(pool->part_memory(0)) == 0);  // nobody stores
    REQUIRE(pool->acquire(0) != kNoPage);
    CHECK(run(ahead) >= MemoryAhead::kPagesAhead);
    CHECK(ready_bytes(pool->part_memory(0)) == MemoryAhead::kPagesAhead * kPageBytes);
    CHECK(run(ahead) == 0);
    for (int i = 0; i < 12; ++i) pool->acquire(0);
    run(ahead);
    CHECK(ready_bytes(pool->part_memory(0)) == 3 * kPageBytes);
    pool->set_limit(32 * kPageBytes);
    run(ahead);
    CHECK(ready_bytes(pool->part_memory(0)) == MemoryAhead::kPagesAhead * kPageBytes);
  }

  TEST_CASE("item memory comes in huge pages from the second half of the one before on") {
    if (!kernel_can() || !transparent_huge_pages_allowed()) return;
    constexpr std::size_t kPages = kHugePageBytes / kPageBytes;
    static_assert(kPages == 2 * MemoryAhead::kPagesAhead);
    auto pool = std::move(PagePool::create({.limit_bytes = (3 * kPages - 1) * kPageBytes}).value());
    auto index = std::move(HashIndex::create({.items_max = 1000}, pool->base()).value());
    MemoryAhead ahead(*pool, *index, {.wanted = true, .large_class = 9});
    const auto take = [&](std::size_t pages) {
      for (std::size_t i = 0; i < pages; ++i) REQUIRE(pool->acquire(0) != kNoPage);
    };
    const auto ready_pages = [&] { return ready_bytes(pool->part_memory(0)) / kPageBytes; };
    take(1);
    run(ahead);
    CHECK(ready_pages() == MemoryAhead::kPagesAhead);
    take(kPages / 2 - 1);
    run(ahead);
    CHECK(ready_pages() == kPages / 2);  // all of the first, nothing of the second
    CHECK(!asked_for_huge_pages(pool->page_address(kPages)));
    take(1);
    run(ahead);
    CHECK(ready_pages() == kPages / 2 - 1 + kPages);
    CHECK(asked_for_huge_pages(pool->page_address(kPages)));
    CHECK(!asked_for_huge_pages(pool->page_address(0)));  // small ones were there
    take(kPages);
    run(ahead);
    CHECK(ready_pages() == MemoryAhead::kPagesAhead);  // the limit has no room for a whole one
    CHECK(!asked_for_huge_pages(pool->page_address(2 * kPages)));
    CHECK(run(ahead) == 0);
  }

  TEST_CASE("whoever is overtaken goes on with the next huge page") {
    if (!kernel_can() || !transparent_huge_pages_allowed()) return;
    constexpr std::size_t kPages = kHugePageBytes / kPageBytes;
    auto pool = std::move(PagePool::create({.limit_bytes = 4 * kPages * kPageBytes}).value());
    auto index = std::move(HashIndex::create({.items_max = 1000}, pool->base()).value());
    MemoryAhead ahead(*pool, *index, {.wanted = true, .large_class = 9});
    for (std::size_t i = 0; i < kPages + 5; ++i) REQUIRE(pool->acquire(0) != kNoPage);
    run(ahead);
    CHECK(ready_bytes(pool->part_memory(0)) == 0);  // what is left of the second comes by first touch
    CHECK(asked_for_huge_pages(pool->page_address(2 * kPages)));
    for (std::size_t i = 0; i < kPages - 5; ++i) REQUIRE(pool->acquire(0) != kNoPage);
    CHECK(ready_bytes(pool->part_memory(0)) == kHugePageBytes);
  }

  TEST_CASE("beyond that, huge pages are asked for if pages are taken for large values only") {
    if (!kernel_can() || !transparent_huge_pages_allowed()) return;
    constexpr std::size_t kPages = kHugePageBytes / kPageBytes;
    for (const bool large : {false, true}) {
      auto pool = std::move(PagePool::create({.limit_bytes = 64 * kPages * kPageBytes}).value());
      auto index = std::move(HashIndex::create({.items_max = 1000}, pool->base()).value());
      MemoryAhead ahead(*pool, *index, {.wanted = true, .large_class = 9});
      // A busy machine may take its time once, not every time.
      bool asked = false;
      for (std::size_t page = 0; page < 16 * kPages && !asked; ++page) {
        REQUIRE(pool->acquire(0) == page);
        pool->info(static_cast<PageId>(page)).slab_class.store(large ? 9 : 8, std::memory_order_relaxed);
        run(ahead);
        if (page % kPages != kPages / 2) continue;
        asked = asked_for_huge_pages(pool->page_address(static_cast<PageId>((page / kPages + 2) * kPages)));
      }
      CHECK(asked == large);
    }
  }

  TEST_CASE("the buckets of a new index are there") {
    if (!kernel_can()) return;
    std::vector<std::byte> items(64);
    HashIndexOptions options;
    options.items_max = 1'000'000;
    options.buckets_initial = 1 << 14;
    auto index = std::move(HashIndex::create(options, items.data()).value());
    GrowingMemory memory = index->bucket_memory();
    const std::size_t used = std::exchange(memory.used_bytes, 0);
    CHECK(ready_bytes(memory) == used);
  }

  TEST_CASE("the thread of a store keeps ahead while it grows, and ends with it") {
    Options options = StoreFixture::default_options();
    options.memory_ahead = true;
    StoreFixture s(options);
    for (unsigned i = 0; i < 100'000; ++i) {
      s.set(std::to_string(i), "v");
      if (i % 16 == 0) s.thread->end_turn();
    }
    for (unsigned i = 0; i < 100'000; i += 1000) CHECK(s.get(std::to_string(i)) == "v");
  }
}

}  // namespace
