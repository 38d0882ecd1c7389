#include "store/page_pool.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

namespace ringcached::store {
namespace {

std::unique_ptr<PagePool> make_pool(const PagePoolOptions& options) {
  auto pool = PagePool::create(options);
  REQUIRE(pool.is_ok());
  return std::move(pool.value());
}

bool resident(const PagePool& pool, PageId page) {
  unsigned char kernel_pages[kPageBytes / 4096] = {};
  REQUIRE(mincore(pool.page_address(page), kPageBytes, kernel_pages) == 0);
  for (const unsigned char each : kernel_pages) {
    if ((each & 1) != 0) return true;
  }
  return false;
}

TEST_SUITE("page_pool") {
  TEST_CASE("hands out exactly the limit, each page once, aligned") {
    const auto pool = make_pool({.limit_bytes = 10 * kPageBytes + 1234});
    CHECK(pool->limit_bytes() == 10 * kPageBytes);
    CHECK(reinterpret_cast<std::uintptr_t>(pool->base()) % (std::uintptr_t{2} << 20) == 0);
    std::set<PageId> pages;
    for (int i = 0; i < 10; ++i) {
      const PageId page = pool->acquire(0);
      REQUIRE(page != kNoPage);
      CHECK(pages.insert(page).second);
      CHECK(page < pool->page_count());
      CHECK(reinterpret_cast<std::uintptr_t>(pool->page_address(page)) % kPageBytes == 0);
      CHECK(pool->page_address(page)[kPageBytes - 1] == std::byte{0});
      CHECK(pool->info(page).slab_class == PageInfo::kNoClass);
      CHECK(pool->info(page).earliest_expiry == ~std::uint32_t{0});
    }
    CHECK(pool->acquire(0) == kNoPage);
    CHECK(pool->pages_used() == 10);
    CHECK(pool->pages_free() == 0);
    pool->release(*pages.begin());
    CHECK(pool->pages_free() == 1);
    CHECK(pool->acquire(0) == *pages.begin());
    CHECK(pool->acquire(0) == kNoPage);
  }

  TEST_CASE("a limit below one page is one page") {
    const auto pool = make_pool({.limit_bytes = 1});
    CHECK(pool->acquire(0) != kNoPage);
    CHECK(pool->acquire(0) == kNoPage);
  }

  TEST_CASE("the address range has room to grow, and no more than was reserved") {
    const auto pool = make_pool({.limit_bytes = 8 * kPageBytes});
    CHECK(pool->page_count() >= 32);
    const auto narrow = make_pool({.limit_bytes = 8 * kPageBytes, .reserve_bytes = 16 * kPageBytes});
    CHECK(narrow->page_count() == 16);
    narrow->set_limit(~std::size_t{0});
    CHECK(narrow->limit_bytes() == 16 * kPageBytes);
    for (int i = 0; i < 16; ++i) CHECK(narrow->acquire(0) != kNoPage);
    CHECK(narrow->acquire(0) == kNoPage);
  }

  TEST_CASE("a range larger than addresses can name is refused") {
    const auto pool = PagePool::create({.limit_bytes = std::size_t{9} << 40});
    REQUIRE(!pool.is_ok());
    CHECK(pool.status().code() == StatusCode::kInvalidArgument);
  }

  TEST_CASE("room to grow beyond what addresses can name is cut, not refused") {
    for (const std::size_t limit : {8 * kPageBytes, std::size_t{2} << 40}) {
      const auto pool = PagePool::create({.limit_bytes = limit, .reserve_bytes = std::size_t{64} << 40});
      REQUIRE(pool.is_ok());
      CHECK(pool.value()->limit_bytes() == limit);
      CHECK(pool.value()->page_count() < (std::size_t{8} << 40) / kPageBytes);
    }
  }

  TEST_CASE("a terabyte of address space costs nothing until used") {
    const auto pool = make_pool({.limit_bytes = std::size_t{1} << 40, .reserve_bytes = std::size_t{1} << 40});
    const PageId page = pool->acquire(0);
    REQUIRE(page != kNoPage);
    std::memset(pool->page_address(page), 1, kPageBytes);
    CHECK(pool->info(pool->page_count() - 1).slab_class == PageInfo::kNoClass);
  }

  TEST_CASE("a lowered limit gives unused pages back at once and used ones when released") {
    const auto pool = make_pool({.limit_bytes = 8 * kPageBytes});
    std::vector<PageId> pages;
    for (int i = 0; i < 8; ++i) {
      pages.push_back(pool->acquire(0));
      std::memset(pool->page_address(pages.back()), 1, kPageBytes);
    }
    pool->release(pages[7]);
    CHECK(resident(*pool, pages[7]));  // within the limit: kept for the next who asks
    pool->set_limit(3 * kPageBytes);
    CHECK(!resident(*pool, pages[7]));
    CHECK(pool->pages_over_limit() == 4);
    for (int i = 6; i >= 3; --i) {
      pool->release(pages[static_cast<unsigned>(i)]);
      CHECK(!resident(*pool, pages[static_cast<unsigned>(i)]));
      CHECK(pool->acquire(0) == kNoPage);
    }
    CHECK(pool->pages_over_limit() == 0);
    pool->release(pages[2]);
    CHECK(resident(*pool, pages[2]));
    CHECK(pool->acquire(0) == pages[2]);
    CHECK(pool->acquire(0) == kNoPage);
    pool->set_limit(4 * kPageBytes);
    const PageId again = pool->acquire(0);
    REQUIRE(again != kNoPage);
    CHECK(pool->page_address(again)[100] == std::byte{0});
    CHECK(pool->acquire(0) == kNoPage);
  }

  TEST_CASE("nodes have their own parts, and borrow when theirs is used up") {
    const auto pool =
        make_pool({.limit_bytes = 16 * kPageBytes, .reserve_bytes = 16 * kPageBytes, .nodes = {0, 1}});
    for (int i = 0; i < 8; ++i) CHECK(pool->part_of(pool->acquire(1)) == 1);
    const PageId borrowed = pool->acquire(1);
    CHECK(pool->part_of(borrowed) == 0);
    for (int i = 0; i < 7; ++i) CHECK(pool->part_of(pool->acquire(0)) == 0);
    CHECK(pool->acquire(0) == kNoPage);
    pool->release(borrowed);
    CHECK(pool->acquire(1) == borrowed);
    CHECK(pool->part_stats(0).pages_used == 8);
    CHECK(pool->part_stats(1).pages_used == 8);
  }

  TEST_CASE("nodes that are not there: the pool works and says what was refused") {
    const auto pool = make_pool({.limit_bytes = 4 * kPageBytes, .nodes = {1000, 1001}});
    REQUIRE(pool->refusals().size() == 2);
    CHECK(pool->refusals()[1].message().find("1001") != std::string::npos);
    CHECK(pool->part_of_node(1001) == 1);
    CHECK(pool->part_of_node(7) == 0);
    CHECK(pool->part_stats(1).node == 1001);
    const PageId page = pool->acquire(1);
    std::memset(pool->page_address(page), 1, kPageBytes);
    CHECK(pool->part_of(page) == 1);
    CHECK(make_pool({.nodes = {3}})->refusals().empty());  // one node: nothing to ask for
  }

  TEST_CASE("resident pages of all nodes together stay within the limit") {
    const auto pool =
        make_pool({.limit_bytes = 4 * kPageBytes, .reserve_bytes = 32 * kPageBytes, .nodes = {0, 1}});
    std::vector<PageId> pages;
    for (int i = 0; i < 4; ++i) {
      pages.push_back(pool->acquire(0));
      std::memset(pool->page_address(pages.back()), 1, kPageBytes);
    }
    for (const PageId page : pages) pool->release(page);
    for (int i = 0; i < 4; ++i) {
      const PageId page = pool->acquire(1);
      CHECK(pool->part_of(page) == 1);
      std::memset(pool->page_address(page), 1, kPageBytes);
    }
    for (const PageId page : pages) CHECK(!resident(*pool, page));
  }

  TEST_CASE("the pages of a part that were ever handed out are known") {
    const auto pool = make_pool({.limit_bytes = 16 * kPageBytes, .nodes = {0, 1}});
    const PageId first = pool->acquire(1);
    pool->release(pool->acquire(1));
    std::vector<PageId> known;
    pool->for_each_known_page(1, [&](PageId page) { known.push_back(page); });
    CHECK(known == std::vector<PageId>{first, first + 1});
    pool->for_each_known_page(0, [&](PageId) { FAIL("none was handed out"); });
  }

  TEST_CASE("explicit huge pages, or ordinary memory and a word about it") {
    const auto pool = make_pool({.limit_bytes = 8 * kPageBytes, .large_pages = LargePages::kExplicit});
    CHECK(pool->page_count() == 8);  // nothing to grow into
    CHECK(pool->refusals().empty() == pool->part_stats(0).huge_pages);
    std::vector<PageId> pages;
    for (PageId page = pool->acquire(0); page != kNoPage; page = pool->acquire(0)) {
      std::memset(pool->page_address(page), 1, kPageBytes);
      pages.push_back(page);
    }
    CHECK(pages.size() == 8);
    for (const PageId page : pages) pool->release(page);
    pool->set_limit(4 * kPageBytes);
    CHECK(resident(*pool, pages[7]) == pool->part_stats(0).huge_pages);
  }

  TEST_CASE("far too many huge pages are asked of nodes: each goes without") {
    const auto pool = make_pool(
        {.limit_bytes = std::size_t{1} << 40, .nodes = {0, 1000}, .large_pages = LargePages::kExplicit});
    CHECK(pool->refusals().size() >= 2);
    CHECK(!pool->part_stats(0).huge_pages);
    const PageId page = pool->acquire(0);
    std::memset(pool->page_address(page), 1, kPageBytes);
  }

  TEST_CASE("addresses and pages convert both ways") {
    const auto pool = make_pool({.limit_bytes = 4 * kPageBytes, .large_pages = LargePages::kTransparent});
    const PageId page = pool->acquire(0);
    std::byte* const chunk = pool->page_address(page) + 3 * 4096;
    const ChunkAddress address = pool->chunk_address(chunk);
    CHECK(pool->chunk_pointer(address) == chunk);
    CHECK(pool->page_of(address) == page);
    CHECK(pool->pins(address) == 0);
    pool->pins(address).fetch_add(1);
    CHECK(pool->pins(pool->chunk_address(chunk + 4096)) == 0);
    CHECK(pool->pins(pool->chunk_address(chunk + 4088)) == 1);
  }
}

}  // namespace
}  // namespace ringcached::store
