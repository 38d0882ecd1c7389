#include "store/arena.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "fake_owner.h"
#include "store/fifo_queue.h"

namespace ringcached::store {
namespace {

using testing::FakeItem;
using testing::FakeOwner;
using testing::give_whole_page;

constexpr std::size_t kPages = 8;

unsigned draw(std::mt19937& random, unsigned below) {
  return static_cast<unsigned>(random() % below);
}

PagePoolOptions pages(std::size_t count) {
  return {.limit_bytes = count * kPageBytes};
}

std::size_t fill(FakeOwner& owner, Arena& arena, unsigned slab_class) {
  std::size_t stored = 0;
  while (owner.evicted == 0 && owner.store(arena, slab_class) != kNoChunk) ++stored;
  return stored;
}

TEST_SUITE("arena") {
  TEST_CASE("uses every chunk of every page before it evicts, and address 0 never") {
    FakeOwner owner(pages(kPages), {{}});
    Arena& arena = *owner.arenas[0];
    for (const unsigned slab_class : {1U, 30U, 77U}) {
      CAPTURE(slab_class);
      owner.evicted = 0;
      FakeOwner fresh(pages(kPages), {{}});
      Arena& fresh_arena = *fresh.arenas[0];
      const std::size_t stored = fill(fresh, fresh_arena, slab_class);
      CHECK(stored ==
            kPages * fresh.classes.chunks_per_page(slab_class));  // one was evicted, one never handed out
      CHECK(fresh.items.size() == stored - 1);
      const ArenaClassStats stats = fresh_arena.class_stats(slab_class);
      CHECK(stats.pages == kPages);
      CHECK(stats.chunks_used == stored - 1);
      CHECK(stats.chunks_free == 0);
      CHECK(stats.evicted == 1);
      CHECK(stats.small_entries + stats.main_entries == stored - 1);
      CHECK(fresh.pool->pages_used() == kPages);
    }
    CHECK(arena.pages() == 0);
  }

  TEST_CASE("evicts in the order of S3-FIFO: used ones stay") {
    FakeOwner owner(pages(2), {{}});
    Arena& arena = *owner.arenas[0];
    const unsigned slab_class = owner.classes.class_for(4000);
    const std::size_t room = fill(owner, arena, slab_class) - 1;
    std::vector<ChunkAddress> used;
    for (auto& [head, item] : owner.items) {
      if (item.number % 4 != 0) continue;
      item.uses = 1;
      used.push_back(head);
    }
    std::vector<std::uint32_t> numbers;
    for (const ChunkAddress head : used) numbers.push_back(owner.items.at(head).number);
    for (std::size_t i = 0; i < room / 2; ++i) REQUIRE(owner.store(arena, slab_class) != kNoChunk);
    for (std::size_t i = 0; i < used.size(); ++i) {
      const auto found = owner.items.find(used[i]);
      REQUIRE(found != owner.items.end());
      CHECK(found->second.number == numbers[i]);
    }
    const ArenaClassStats stats = arena.class_stats(slab_class);
    CHECK(stats.promoted > 0);
    CHECK(stats.main_entries == stats.promoted + stats.ghost_hits);
    CHECK(stats.evicted == owner.evicted);
    CHECK(stats.evicted_unfetched == owner.evicted);
    CHECK(stats.last_eviction_age_seconds == 7);
    CHECK(stats.ghost_entries > 0);
  }

  TEST_CASE("the owner knows of an eviction before it is asked for it") {
    FakeOwner owner(pages(2), {{}});
    Arena& arena = *owner.arenas[0];
    const unsigned slab_class = owner.classes.class_for(200);
    fill(owner, arena, slab_class);
    for (std::size_t i = 0; i < 2000; ++i) REQUIRE(owner.store(arena, slab_class) != kNoChunk);
    CHECK(owner.evicted > 2000);
    CHECK(owner.announced * 10 >= owner.asked * 9);  // all but the first, and those at the start of a block
  }

  TEST_CASE("an item that comes back while its ghost is remembered enters the main queue") {
    FakeOwner owner(pages(2), {{}});
    Arena& arena = *owner.arenas[0];
    const unsigned slab_class = owner.classes.class_for(4000);
    fill(owner, arena, slab_class);
    owner.next_number = 1;  // the first one stored was evicted first
    REQUIRE(owner.store(arena, slab_class) != kNoChunk);
    const ArenaClassStats stats = arena.class_stats(slab_class);
    CHECK(stats.ghost_hits == 1);
    CHECK(stats.main_entries == 1);
  }

  TEST_CASE("items that are dead already count as reclaimed and leave no ghost") {
    FakeOwner owner(pages(2), {{}});
    Arena& arena = *owner.arenas[0];
    for (int i = 0; i < 100; ++i) REQUIRE(owner.store(arena, 77, true) != kNoChunk);
    const ArenaClassStats stats = arena.class_stats(77);
    CHECK(stats.reclaimed == 100 - 15);
    CHECK(stats.evicted == 0);
    CHECK(stats.ghost_entries == 0);
  }

  TEST_CASE("when every candidate is in use one is evicted all the same, after a bounded number of tries") {
    FakeOwner owner(pages(4), {{}});
    Arena& arena = *owner.arenas[0];
    fill(owner, arena, 20);
    for (auto& [head, item] : owner.items) item.uses = 3;
    owner.asked = 0;
    CHECK(owner.store(arena, 20) != kNoChunk);
    CHECK(owner.asked <= Arena::kEvictionTries + 1);
    CHECK(owner.asked > Arena::kEvictionTries / 2);
  }

  TEST_CASE("when nothing can be decided allocation fails and memory is as before") {
    FakeOwner owner(pages(4), {{}});
    Arena& arena = *owner.arenas[0];
    fill(owner, arena, 60);
    const std::size_t items = owner.items.size();
    owner.busy = true;
    CHECK(owner.store(arena, 60) == kNoChunk);
    CHECK(owner.store(arena, 5) == kNoChunk);
    CHECK(arena.class_stats(60).out_of_memory == 1);
    CHECK(arena.class_stats(5).out_of_memory == 1);
    CHECK(!give_whole_page(arena, Arena::kAnyClass));
    CHECK(owner.items.size() == items);
    CHECK(arena.class_stats(60).small_entries + arena.class_stats(60).main_entries == items);
    owner.busy = false;
    CHECK(owner.store(arena, 60) != kNoChunk);
  }

  TEST_CASE("without eviction allocation fails cleanly when memory is used up") {
    FakeOwner owner(pages(2), {{.evict = false}});
    Arena& arena = *owner.arenas[0];
    const std::size_t stored = fill(owner, arena, 50);
    CHECK(stored == 2 * owner.classes.chunks_per_page(50) - 1);
    CHECK(owner.evicted == 0);
    CHECK(owner.asked == 0);
    CHECK(arena.class_stats(50).out_of_memory == 1);
    CHECK(owner.store(arena, 3) == kNoChunk);
    CHECK(!give_whole_page(arena, 50));
    CHECK(arena.overhead_bytes() < 4096);
    owner.remove(owner.items.begin()->first, false);
    CHECK(owner.store(arena, 50) != kNoChunk);
    CHECK(owner.store(arena, 50) == kNoChunk);
    // Memory of removed items serves other classes.
    while (!owner.items.empty()) owner.remove(owner.items.begin()->first, true);
    CHECK(owner.store(arena, 3) != kNoChunk);
    CHECK(owner.store(arena, 77) != kNoChunk);
    CHECK(owner.pool->pages_used() == 2);
  }

  TEST_CASE("a class without items takes a page of another") {
    FakeOwner owner(pages(kPages), {{}});
    Arena& arena = *owner.arenas[0];
    fill(owner, arena, 1);
    CHECK(owner.store(arena, 77) != kNoChunk);
    CHECK(arena.class_stats(77).pages == 1);
    CHECK(arena.class_stats(1).pages == kPages - 1);
    CHECK(arena.class_stats(1).chunks_used + 1 == owner.items.size());
    CHECK(owner.pool->pages_used() == kPages);
    for (unsigned slab_class = 2; slab_class <= 76; ++slab_class) {
      CAPTURE(slab_class);
      CHECK(owner.store(arena, slab_class) != kNoChunk);
    }
  }

  TEST_CASE("a long chain fits while memory is full of small items") {
    FakeOwner owner(pages(kPages), {{}});
    Arena& arena = *owner.arenas[0];
    fill(owner, arena, 6);
    // 6 pages of parts, while chunks being filled block pages.
    CHECK(owner.store_chain(arena, 40, std::vector<unsigned>(47, 77)) != kNoChunk);
    CHECK(arena.class_stats(77).chunks_used == 47);
    // Small items replace each other, not the chain.
    const std::size_t chain_pages = arena.class_stats(77).pages;
    CHECK(chain_pages == 6);
    for (int i = 0; i < 40'000; ++i) REQUIRE(owner.store(arena, 6) != kNoChunk);
    CHECK(arena.class_stats(77).chunks_used == 47);
    for (int i = 0; i < 10; ++i) CHECK(give_whole_page(arena, 77) == (i < static_cast<int>(chain_pages)));
    CHECK(arena.class_stats(77).pages == 0);
    CHECK(owner.head_of_part.empty());
  }

  TEST_CASE("chains that fill memory make room for each other") {
    FakeOwner owner(pages(kPages), {{}});
    Arena& arena = *owner.arenas[0];
    std::mt19937 random(3);
    for (int i = 0; i < 300; ++i) {
      CAPTURE(i);
      REQUIRE(owner.store_chain(arena, 1 + draw(random, 77),
                                std::vector<unsigned>(1 + draw(random, 30), 77)) != kNoChunk);
    }
  }

  TEST_CASE("a page with parts of a chain whose head is in another arena") {
    FakeOwner owner(pages(kPages), {{.id = 0}, {.id = 1}});
    Arena &first = *owner.arenas[0], &second = *owner.arenas[1];
    // Head in the first arena, its parts in the second.
    FakeItem item{.head = first.allocate(30), .slab_class = 30, .number = 99};
    owner.claim(item.head.address, 30, 99);
    for (int i = 0; i < 5; ++i) {
      const Chunk part = second.allocate(77);
      owner.claim(part.address, 77, 99);
      item.parts.emplace_back(part.address, 77);
      owner.head_of_part[part.address] = item.head.address;
      owner.set_kind(part.address, ChunkKind::kPart);
    }
    owner.set_kind(item.head.address, ChunkKind::kItem);
    owner.items[item.head.address] = item;
    first.publish(item.head, 30, 1);
    CHECK(give_whole_page(second, 77));
    CHECK(second.pages() == 0);
    CHECK(owner.items.empty());
    // The head comes back through the first arena's remote list, its queue entry is stale then.
    CHECK(owner.store(first, 30) == item.head.address);
    CHECK(first.class_stats(30).small_entries == 2);
    CHECK(first.class_stats(30).chunks_used == 1);
  }

  TEST_CASE("pages with chunks being filled stay, others go") {
    FakeOwner owner(pages(4), {{}});
    Arena& arena = *owner.arenas[0];
    std::vector<ChunkAddress> filling;
    for (int i = 0; i < 4; ++i) {
      const Chunk chunk = arena.allocate(77);
      filling.push_back(chunk.address);
      const PageId page = owner.pool->page_of(chunk.address);
      // The first chunk of each page is being filled, the rest are items; the last page is items only.
      while (owner.pool->page_of(owner.store(arena, 77)) == page && owner.evicted == 0 &&
             arena.class_stats(77).chunks_free != 0) {
      }
    }
    CHECK(owner.pool->pages_used() == 4);
    for (const auto& [head, item] : owner.items) CHECK(std::ranges::find(filling, head) == filling.end());
    const std::size_t before = arena.pages();
    std::size_t given = 0;
    while (give_whole_page(arena, 77)) ++given;
    CHECK(arena.pages() == before - given);
    for (const ChunkAddress chunk : filling) {
      CHECK(chunk_kind(chunk_state(owner.pool->chunk_pointer(chunk))) == ChunkKind::kFilling);
      arena.free_chunk(chunk);
    }
    while (give_whole_page(arena, 77)) {
    }
    CHECK(arena.pages() == 0);
    CHECK(owner.pool->pages_used() == 0);
    CHECK(owner.items.empty());
  }

  TEST_CASE("a pinned chunk waits in limbo until its pin is gone") {
    FakeOwner owner(pages(1), {{}});
    Arena& arena = *owner.arenas[0];
    fill(owner, arena, 77);
    for (auto& [head, item] : owner.items) owner.pool->pins(head).fetch_add(1);
    const std::vector<std::pair<ChunkAddress, FakeItem>> before(owner.items.begin(), owner.items.end());
    // All are unlinked, none may be handed out.
    CHECK(owner.store(arena, 77) == kNoChunk);
    CHECK(owner.items.empty());
    for (const auto& [head, item] : before) {
      CHECK(chunk_kind(chunk_state(owner.pool->chunk_pointer(head))) == ChunkKind::kLimbo);
    }
    CHECK(arena.class_stats(77).chunks_used == 7);
    CHECK(!give_whole_page(arena, 77));
    owner.pool->pins(before[3].first).fetch_sub(1);
    // Found by one of the next few calls.
    ChunkAddress got = kNoChunk;
    for (int i = 0; i < 8 && got == kNoChunk; ++i) got = owner.store(arena, 77);
    CHECK(got == before[3].first);
    for (const auto& [head, item] : before) {
      if (head != got) owner.pool->pins(head).fetch_sub(1);
    }
    for (int i = 0; i < 20; ++i) CHECK(owner.store(arena, 77) != kNoChunk);
    CHECK(arena.class_stats(77).chunks_used == 7);
  }

  TEST_CASE("pinned items that are freed, and pins of small neighbours") {
    FakeOwner owner(pages(1), {{}});
    Arena& arena = *owner.arenas[0];
    const unsigned big = owner.classes.class_for(4096), small = owner.classes.class_for(2048);
    const ChunkAddress pinned = owner.store(arena, big);
    owner.pool->pins(pinned).fetch_add(1);
    owner.remove(pinned, true);
    CHECK(owner.store(arena, big) != pinned);
    owner.pool->pins(pinned).fetch_sub(1);
    CHECK(owner.store(arena, big) == pinned);
    // The grain of a small chunk may be a reader's that came too late: it does not matter.
    FakeOwner other(pages(1), {{}});
    const ChunkAddress unpinnable = other.store(*other.arenas[0], small);
    other.pool->pins(unpinnable).fetch_add(1);
    other.remove(unpinnable, false);
    CHECK(other.store(*other.arenas[0], small) == unpinnable);
  }

  TEST_CASE("a page that becomes empty goes back to the pool when there is room besides") {
    FakeOwner owner(pages(kPages), {{}});
    Arena& arena = *owner.arenas[0];
    fill(owner, arena, 60);
    while (!owner.items.empty()) owner.remove(owner.items.begin()->first, owner.items.size() % 2 == 0);
    CHECK(owner.store(arena, 60) != kNoChunk);
    CHECK(arena.pages() <= 3);
    CHECK(owner.pool->pages_used() == arena.pages());
  }

  TEST_CASE("what others have freed comes back in steps, however much it is") {
    constexpr unsigned kClass = 1;
    FakeOwner owner(pages(2), {{}});
    Arena& arena = *owner.arenas[0];
    fill(owner, arena, kClass);
    while (!owner.items.empty()) owner.remove(owner.items.begin()->first, true);
    const auto used = [&] { return arena.class_stats(kClass).chunks_used; };
    std::size_t before = used();
    REQUIRE(before > 8 * Arena::kReturnedStep);
    const auto came_back = [&] {
      const std::size_t last = std::exchange(before, used());
      return last > before ? last - before : 0;
    };
    CHECK(arena.take_returned());
    CHECK(used() == before - Arena::kReturnedStep);
    before = used();
    // Whatever else is asked for takes part of it only, too.
    CHECK(arena.allocate(kClass));
    CHECK(came_back() <= Arena::kReturnedStep);
    arena.give_page(kClass);
    CHECK(came_back() <= 2 * Arena::kReturnedStep);
    arena.step_page();
    CHECK(came_back() <= 2 * Arena::kReturnedStep);
    while (arena.take_returned()) {
    }
    CHECK(used() == 1);
  }

  TEST_CASE("what is freed by others is found before an allocation fails") {
    FakeOwner owner(pages(2), {{.evict = false}});
    Arena& arena = *owner.arenas[0];
    while (owner.store(arena, 1) != kNoChunk) {
    }
    while (!owner.items.empty()) owner.remove(owner.items.begin()->first, true);
    CHECK(arena.allocate(77, Arena::Effort::kShort));
  }

  TEST_CASE("a page of many items is not emptied for who may ask elsewhere") {
    FakeOwner owner(pages(2), {{}});
    Arena& arena = *owner.arenas[0];
    fill(owner, arena, 1);
    owner.asked = 0;
    CHECK_FALSE(arena.allocate(77, Arena::Effort::kShort));
    CHECK(owner.asked == 0);
    CHECK(arena.class_stats(77).out_of_memory == 0);
    CHECK(arena.allocate(77));
    CHECK(owner.asked > 4 * Arena::kEmptyingStep);
  }

  TEST_CASE("of the last free pages some are kept, so that no class empties a page for its first chunk") {
    constexpr unsigned kSmall = 20;  // more to a page than a step empties
    for (const unsigned count : {8U, 31U, 32U, 127U, 128U, 300U, 576U}) {
      CAPTURE(count);
      FakeOwner owner(pages(count), {{}});
      Arena& arena = *owner.arenas[0];
      REQUIRE(owner.classes.chunks_per_page(kSmall) > 2 * Arena::kEmptyingStep);
      // To the last chunk, and no further.
      while (owner.pool->pages_free() != 0 || arena.class_stats(kSmall).chunks_free != 0) {
        REQUIRE(arena.allocate(kSmall));
      }
      CHECK(owner.asked == 0);
      const std::size_t kept = count - arena.pages();
      CHECK(kept == (count < 32 ? 0 : std::clamp<std::size_t>(count / 64, 1, 8)));
      for (unsigned i = 0; i < kept; ++i) CHECK(arena.allocate(70 + i));
      CHECK(owner.asked == 0);
      CHECK(arena.pages() == count);
      CHECK(arena.move_stats().moved == 0);
    }
  }

  TEST_CASE("each arena keeps some of the last free pages") {
    FakeOwner owner(pages(160), {{}, {}});
    while (owner.pool->pages_free() != 0) {
      for (const auto& arena : owner.arenas) REQUIRE(arena->allocate(60));
    }
    const std::size_t held = owner.arenas[0]->pages() + owner.arenas[1]->pages();
    CHECK(held == 160 - 2);
    for (const auto& arena : owner.arenas) CHECK(arena->allocate(77, Arena::Effort::kShort));
    CHECK(owner.asked == 0);
  }

  TEST_CASE("without eviction no free page is kept") {
    FakeOwner owner(pages(128), {{.evict = false}});
    Arena& arena = *owner.arenas[0];
    while (arena.allocate(60)) {
    }
    CHECK(arena.pages() == 128);
  }

  TEST_CASE("other arenas do not get the last page of the reserve") {
    FakeOwner owner(pages(64), {{}});
    Arena& arena = *owner.arenas[0];
    fill(owner, arena, 30);
    for (unsigned steps = 0; arena.step_page(); ++steps) REQUIRE(steps < 64);
    CHECK(arena.pages() == 63);
    CHECK(arena.ask_for_page() == Arena::PageStep::kGone);  // noted
    CHECK(arena.pages() == 63);
    CHECK(owner.pool->pages_free() == 0);
    owner.asked = 0;
    CHECK(arena.allocate(77, Arena::Effort::kShort));
    CHECK(owner.asked == 0);
  }

  TEST_CASE("give_page takes free memory first, then the class with the most pages") {
    FakeOwner owner(pages(12), {{}});
    Arena& arena = *owner.arenas[0];
    std::vector<ChunkAddress> sparse;
    for (unsigned i = 0; i < 4 * owner.classes.chunks_per_page(40); ++i)
      sparse.push_back(owner.store(arena, 40));
    while (owner.pool->pages_free() != 0) owner.store(arena, 70);
    const std::uint64_t pages_of_70 = arena.class_stats(70).pages;
    CHECK(pages_of_70 > 6);
    for (std::size_t i = 0; i < sparse.size(); ++i) {
      if (i % 3 != 0) owner.remove(sparse[i], false);
    }
    const std::uint64_t pages_of_40 = arena.class_stats(40).pages;
    CHECK(give_whole_page(arena, Arena::kAnyClass));
    CHECK(arena.class_stats(40).pages == pages_of_40 - 1);
    while (arena.class_stats(40).chunks_free >= owner.classes.chunks_per_page(40)) {
      REQUIRE(give_whole_page(arena, Arena::kAnyClass));
    }
    CHECK(arena.class_stats(70).pages == pages_of_70);
    CHECK(give_whole_page(arena, Arena::kAnyClass));
    CHECK(arena.class_stats(70).pages == pages_of_70 - 1);
    CHECK(!give_whole_page(arena, 1));
    CHECK(!give_whole_page(arena, 1000));
  }

  TEST_CASE("a lowered limit: pages given back go to the kernel until the limit is kept") {
    FakeOwner owner(pages(kPages), {{}});
    Arena& arena = *owner.arenas[0];
    fill(owner, arena, 30);
    owner.pool->set_limit(3 * kPageBytes);
    CHECK(owner.pool->pages_over_limit() == kPages - 3);
    while (owner.pool->pages_over_limit() != 0) REQUIRE(give_whole_page(arena, Arena::kAnyClass));
    CHECK(arena.pages() == 3);
    for (int i = 0; i < 5000; ++i) REQUIRE(owner.store(arena, 30) != kNoChunk);
    CHECK(owner.pool->pages_used() == 3);
    owner.pool->set_limit(5 * kPageBytes);
    for (int i = 0; i < 5000; ++i) REQUIRE(owner.store(arena, 30) != kNoChunk);
    CHECK(owner.pool->pages_used() == 5);
  }

  TEST_CASE("visit_page shows every item once and nothing else") {
    FakeOwner owner(pages(kPages), {{}});
    Arena& arena = *owner.arenas[0];
    for (int i = 0; i < 3000; ++i) owner.store(arena, 10 + static_cast<unsigned>(i) % 50);
    std::vector<ChunkAddress> heads;
    for (const auto& [head, item] : owner.items) heads.push_back(head);
    for (std::size_t i = 0; i < heads.size(); i += 2) owner.remove(heads[i], false);
    const Chunk filling = arena.allocate(12);
    REQUIRE(filling);
    std::map<ChunkAddress, std::uint32_t> seen;
    const auto visit = [](void* context, ChunkAddress chunk, std::uint32_t state) {
      CHECK(static_cast<std::map<ChunkAddress, std::uint32_t>*>(context)->emplace(chunk, state).second);
    };
    std::size_t page = 0;
    for (; arena.page_at(page) != kNoPage; ++page) arena.visit_page(page, visit, &seen);
    CHECK(page == arena.pages());
    CHECK(arena.page_at(page) == kNoPage);
    CHECK(seen.size() == owner.items.size());
    for (const auto& [head, item] : owner.items) {
      REQUIRE(seen.contains(head));
      CHECK(chunk_generation(seen[head]) == item.head.generation);
    }
  }

  TEST_CASE("adding and removing one key does not grow the queues, nor hurt the others") {
    FakeOwner owner(pages(2), {{}});
    Arena& arena = *owner.arenas[0];
    fill(owner, arena, 25);
    owner.remove(owner.items.begin()->first, false);
    const std::size_t entries = owner.items.size();
    const std::size_t evicted = owner.evicted;
    std::size_t most = 0;
    for (int i = 0; i < 100'000; ++i) {
      const ChunkAddress head = owner.store(arena, 25);
      REQUIRE(head != kNoChunk);
      owner.remove(head, i % 3 == 0);
      if (i % 64 == 0) most = std::max(most, arena.overhead_bytes());
    }
    const ArenaClassStats stats = arena.class_stats(25);
    CHECK(stats.small_entries + stats.main_entries <= 4 * entries);
    CHECK(most <= 4 * entries * 5 + 200 * kPageBytes / 1024);
    // Chunks that had to be parked meanwhile cost a few items at most.
    CHECK(owner.evicted - evicted <= entries / 8);
  }

  TEST_CASE("an old entry of a chunk is never taken for the item that is there now") {
    FakeOwner owner(pages(2), {{}});
    Arena& arena = *owner.arenas[0];
    // The same chunk over and over, between items that stay: its old entries lie in front of theirs.
    ChunkAddress reused = owner.store(arena, 50);
    for (int i = 0; i < 30; ++i) {
      owner.remove(reused, i % 2 == 0);
      reused = owner.store(arena, 50);
      REQUIRE(reused != kNoChunk);
      REQUIRE(owner.store(arena, 50) != kNoChunk);
    }
    const std::size_t room = 2 * owner.classes.chunks_per_page(50) - 1;
    while (owner.evicted_numbers.size() < room) REQUIRE(owner.store(arena, 50) != kNoChunk);
    // Nothing is used twice here, so items leave in the order they came.
    CHECK(std::ranges::is_sorted(owner.evicted_numbers));
  }

  TEST_CASE("with one chunk in the class, four generations in the queue park it until they are dropped") {
    // 8 chunks in the only page, all but one held: the free one is published and freed over and over.
    FakeOwner owner(pages(1), {{}});
    Arena& arena = *owner.arenas[0];
    std::vector<Chunk> held;
    for (int i = 0; i < 6; ++i) held.push_back(arena.allocate(77));
    std::size_t stored = 0;
    for (int i = 0; i < 100; ++i) {
      const ChunkAddress head = owner.store(arena, 77);
      if (head == kNoChunk) continue;
      ++stored;
      owner.remove(head, false);
    }
    CHECK(stored == 100);
    CHECK(arena.class_stats(77).small_entries <= 4);
    for (const Chunk& chunk : held) arena.free_chunk(chunk.address);
    CHECK(arena.class_stats(77).chunks_used == 0);
    CHECK(give_whole_page(arena, 77));
  }

  // Found by a soak under the address sanitizer: the first page of all has no chunk 0, but an entry of the
  // page that had its slot before names one.
  TEST_CASE("old entries of a slot are stale when the first page comes into it") {
    FakeOwner owner(pages(2), {{}});
    Arena& arena = *owner.arenas[0];
    const ChunkAddress elsewhere = owner.store(arena, 50);
    REQUIRE(owner.pool->page_of(elsewhere) == 0);
    std::vector<ChunkAddress> large;
    for (int i = 0; i < 8; ++i) large.push_back(owner.store(arena, 77));
    for (const ChunkAddress head : large) owner.remove(head, false);
    if (arena.class_stats(77).pages != 0) REQUIRE(give_whole_page(arena, 77));
    REQUIRE(owner.store(arena, 20) != kNoChunk);
    owner.remove(elsewhere, false);
    if (arena.class_stats(50).pages != 0) REQUIRE(give_whole_page(arena, 50));
    const ChunkAddress first = owner.store(arena, 77);
    REQUIRE(owner.pool->page_of(first) == 0);
    for (int i = 0; i < 20; ++i) CHECK(owner.store(arena, 77) != kNoChunk);
    CHECK(arena.class_stats(77).chunks_used == 7);
  }

  TEST_CASE("without memory for queue blocks everything still works, by taking pages") {
    FakeOwner owner(pages(4), {{}});
    Arena& arena = *owner.arenas[0];
    arena.set_queue_blocks_max(0);
    for (int i = 0; i < 20'000; ++i)
      REQUIRE(owner.store(arena, 1 + static_cast<unsigned>(i) % 77) != kNoChunk);
    CHECK(arena.class_stats(5).small_entries == 0);
    arena.set_queue_blocks_max(3);
    for (int i = 0; i < 20'000; ++i)
      REQUIRE(owner.store(arena, 1 + static_cast<unsigned>(i) % 7) != kNoChunk);
    CHECK(arena.overhead_bytes() > 0);
  }

  TEST_CASE("items that are never published are evicted with their page") {
    FakeOwner owner(pages(2), {{}});
    Arena& arena = *owner.arenas[0];
    owner.publishing = false;
    for (int i = 0; i < 100; ++i) REQUIRE(owner.store(arena, 77) != kNoChunk);
    CHECK(owner.evicted > 0);
  }

  TEST_CASE("publishing late, after the chunk was freed and used again, adds no second entry") {
    FakeOwner owner(pages(1), {{}});
    Arena& arena = *owner.arenas[0];
    const Chunk late = arena.allocate(50);
    arena.free_chunk(late.address);
    arena.publish(late, 50, 1);
    CHECK(arena.class_stats(50).small_entries == 0);
    const ChunkAddress head = owner.store(arena, 50);
    CHECK(head == late.address);
    arena.publish(late, 50, 1);
    arena.publish(owner.items.at(head).head, 50, 1);
    CHECK(arena.class_stats(50).small_entries == 1);
    arena.publish(late, 51, 1);
    CHECK(arena.class_stats(51).small_entries == 0);
  }

  TEST_CASE("a class that outgrows its queue numbers opens further lanes") {
    FakeOwner owner(pages(kPages), {{.lane_pages_max = 3}});
    Arena& arena = *owner.arenas[0];
    const std::size_t stored = fill(owner, arena, 60);
    CHECK(stored == kPages * owner.classes.chunks_per_page(60));
    for (int i = 0; i < 2000; ++i) REQUIRE(owner.store(arena, 60) != kNoChunk);
    // Every lane had its share of the evictions: no old item is left.
    std::uint32_t oldest = ~0U;
    for (const auto& [head, item] : owner.items) oldest = std::min(oldest, item.number);
    CHECK(oldest > 1000);
    CHECK(arena.class_stats(60).pages == kPages);
    for (std::size_t i = 0; i < kPages; ++i) CHECK(give_whole_page(arena, 60));
    CHECK(owner.items.empty());
  }
}

}  // namespace
}  // namespace ringcached::store
