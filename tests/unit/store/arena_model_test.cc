// Random work on two arenas against the fake owner's map of what is where.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "fake_owner.h"
#include "store/arena.h"

namespace ringcached::store {
namespace {

using testing::FakeOwner;
using testing::give_whole_page;

unsigned draw(std::mt19937& random, unsigned below) {
  return static_cast<unsigned>(random() % below);
}

// Seeded; the seed is printed with every failure.
void run_model(unsigned seed, const Arena::Options& base, unsigned class_steps = SlabClasses::kStepsMin) {
  CAPTURE(seed);
  std::mt19937 random(seed);
  Arena::Options second = base;
  second.id = 1;
  FakeOwner owner({.limit_bytes = 6 * kPageBytes}, {base, second}, class_steps);
  const unsigned last_class = owner.classes.count();
  std::vector<std::pair<ChunkAddress, std::uint32_t>> known;  // heads and numbers, some gone since
  std::vector<Chunk> held;
  const auto live = [&](const std::pair<ChunkAddress, std::uint32_t>& each) {
    const auto found = owner.items.find(each.first);
    return found != owner.items.end() && found->second.number == each.second;
  };
  const unsigned few_classes[] = {2, 9, 30, 60, 68, last_class};
  for (int step = 0; step < 8000; ++step) {
    Arena& arena = *owner.arenas[draw(random, 2)];
    const unsigned slab_class =
        draw(random, 8) == 0 ? 1 + draw(random, last_class) : few_classes[draw(random, 6)];
    const unsigned what = draw(random, 100);
    if (what < 60) {
      const std::vector<unsigned> parts(draw(random, 10) == 0 ? draw(random, 6) : 0, last_class);
      const ChunkAddress head = owner.store_chain(arena, slab_class, parts, draw(random, 9) == 0);
      if (head != kNoChunk) known.emplace_back(head, owner.items.at(head).number);
    } else if (what < 90 && !known.empty()) {
      const std::size_t at = random() % known.size();
      if (!live(known[at])) {
        known[at] = known.back();
        known.pop_back();
      } else if (what < 75) {
        unsigned& uses = owner.items.at(known[at].first).uses;
        uses = std::min(uses + 1, 3U);
      } else {
        owner.remove(known[at].first, draw(random, 2) == 0);
      }
    } else if (what < 94) {
      if (const Chunk chunk = arena.allocate(slab_class)) held.push_back(chunk);
    } else if (what < 98 && (held.size() > 5 || (draw(random, 2) == 0 && !held.empty()))) {
      owner.arena_of(held.back().address).free_remote(held.back().address);
      held.pop_back();
    } else if (what == 98) {
      arena.give_page(draw(random, 2) == 0 ? Arena::kAnyClass : slab_class, 1 + draw(random, 600));
      if (draw(random, 2) == 0) arena.step_page();
      if (draw(random, 4) == 0) arena.move_page(slab_class, few_classes[draw(random, 6)]);
    } else {
      owner.pool->set_limit((3 + draw(random, 5)) * kPageBytes);
    }
    REQUIRE((owner.pool->pages_used() <= 7));
  }
  for (const Chunk& chunk : held) owner.arena_of(chunk.address).free_remote(chunk.address);
  for (auto& each : owner.arenas) each->give_page(0);  // empties the remote list
  std::size_t used = 0, expected = owner.claimed.size(), page_sum = 0;
  for (auto& each : owner.arenas) {
    std::size_t class_pages = 0;
    for (unsigned c = 1; c <= owner.classes.count(); ++c) {
      const ArenaClassStats stats = each->class_stats(c);
      used += stats.chunks_used;
      class_pages += stats.pages;
    }
    CHECK(class_pages == each->pages());
    page_sum += class_pages;
  }
  CHECK(used == expected);
  CHECK(page_sum == owner.pool->pages_used());
  while (!owner.items.empty()) owner.remove(owner.items.begin()->first, false);
  for (auto& each : owner.arenas) {
    while (give_whole_page(*each, Arena::kAnyClass)) {
    }
    CHECK(each->pages() == 0);
  }
  CHECK(owner.pool->pages_used() == 0);
}

TEST_SUITE("arena model") {
  TEST_CASE("random work keeps items whole, apart and accounted for") {
    for (unsigned seed = 1; seed <= 5; ++seed) run_model(seed, {});
  }
  TEST_CASE("the same with finer classes") {
    for (unsigned seed = 11; seed <= 12; ++seed) run_model(seed, {}, 16);
    for (unsigned seed = 13; seed <= 15; ++seed) run_model(seed, {}, SlabClasses::kStepsMax);
  }
  TEST_CASE("the same in LRU order") {
    for (unsigned seed = 21; seed <= 22; ++seed) run_model(seed, {.lru = true});
  }
  TEST_CASE("the same without eviction") {
    for (unsigned seed = 31; seed <= 32; ++seed) run_model(seed, {.evict = false});
  }
  TEST_CASE("the same with tiny lanes") {
    for (unsigned seed = 41; seed <= 42; ++seed) run_model(seed, {.lane_pages_max = 1});
  }
}

}  // namespace
}  // namespace ringcached::store
