// Threads that meet in an arena or the page pool; run under the thread sanitizer.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

#include "store/arena.h"

namespace ringcached::store {
namespace {

// An index of chunk addresses under a mutex, which stands for the bucket locks: taken after the arena's lock.
class LockedOwner final : public ItemOwner {
 public:
  LockedOwner(std::size_t pages, unsigned arena_count) {
    auto made = PagePool::create({.limit_bytes = pages * kPageBytes});
    REQUIRE(made.is_ok());
    pool = std::move(made.value());
    for (unsigned id = 0; id < arena_count; ++id) {
      arenas.push_back(std::make_unique<Arena>(Arena::Options{.id = id}, *pool, classes, *this));
    }
  }

  Decision try_evict(ChunkAddress chunk, std::uint32_t generation, Queue, bool force) override {
    const std::lock_guard guard(mutex_);
    const auto found = items_.find(chunk);
    if (found == items_.end() || found->second != generation) return {};
    if (!force && chunk % 7 == generation) return {.verdict = Verdict::kKept};
    items_.erase(found);
    return {.verdict = Verdict::kEvicted, .fingerprint = static_cast<std::uint32_t>(chunk * 2654435761U)};
  }
  ChunkAddress head_of(ChunkAddress) override { return kNoChunk; }
  bool was_used(ChunkAddress chunk, bool /*clear*/) override { return chunk % 3 == 0; }
  void free_elsewhere(ChunkAddress chunk) override { arena_of(chunk).free_remote(chunk); }

  bool store(Arena& arena, unsigned slab_class) {
    const Chunk chunk = arena.allocate(slab_class);
    if (!chunk) return false;
    std::byte* const memory = pool->chunk_pointer(chunk.address);
    // The whole chunk is the storing thread's: a second owner would be a data race.
    std::fill(memory + kStateOffset + 4, memory + classes.chunk_bytes(slab_class), std::byte{1});
    {
      const std::lock_guard guard(mutex_);
      auto& state = chunk_state(memory);
      state = (state & ~7U) | static_cast<std::uint32_t>(ChunkKind::kItem);
      items_[chunk.address] = chunk.generation;
    }
    arena.publish(chunk, slab_class, static_cast<std::uint32_t>(chunk.address * 2654435761U));
    return true;
  }
  // Removes some item and gives its chunk back; false when there is none.
  bool remove_any(unsigned random, bool remote) {
    ChunkAddress chunk = kNoChunk;
    {
      const std::lock_guard guard(mutex_);
      if (items_.empty()) return false;
      auto at = items_.begin(random % items_.bucket_count());
      chunk = at == items_.end(random % items_.bucket_count()) ? items_.begin()->first : at->first;
      items_.erase(chunk);
    }
    if (remote) {
      arena_of(chunk).free_remote(chunk);
    } else {
      arena_of(chunk).free_chunk(chunk);
    }
    return true;
  }
  Arena& arena_of(ChunkAddress chunk) { return *arenas[pool->info(pool->page_of(chunk)).arena.load()]; }
  std::size_t size() {
    const std::lock_guard guard(mutex_);
    return items_.size();
  }

  const SlabClasses classes;
  std::unique_ptr<PagePool> pool;
  std::vector<std::unique_ptr<Arena>> arenas;

 private:
  std::mutex mutex_;
  std::unordered_map<ChunkAddress, std::uint32_t> items_;
};

std::uint64_t chunks_used(LockedOwner& owner, Arena& arena) {
  std::uint64_t used = 0;
  for (unsigned c = 1; c <= owner.classes.count(); ++c) used += arena.class_stats(c).chunks_used;
  return used;
}

void run_threads(unsigned count, const auto& work) {
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < count; ++i) threads.emplace_back([&work, i] { work(i); });
  for (std::thread& each : threads) each.join();
}

TEST_SUITE("arena threads") {
  TEST_CASE("chunks freed by other threads come back to their arena") {
    LockedOwner owner(16, 1);
    Arena& arena = *owner.arenas[0];
    std::atomic<bool> stop{false};
    std::atomic<unsigned> removed{0};
    run_threads(3, [&](unsigned thread) {
      std::mt19937 random(thread);
      if (thread == 0) {
        for (unsigned i = 0; i < 20'000; ++i) CHECK(owner.store(arena, 50 + i % 3));
        stop = true;
        return;
      }
      while (!stop) {
        if (owner.remove_any(static_cast<unsigned>(random()), true)) ++removed;
        std::this_thread::yield();
      }
    });
    CHECK(removed > 0);
    arena.give_page(0);  // empties the remote list
    CHECK(chunks_used(owner, arena) == owner.size());
  }

  TEST_CASE("two workers, their arenas used by both, pages moving, statistics read") {
    LockedOwner owner(8, 2);
    std::atomic<unsigned> running{2};
    run_threads(3, [&](unsigned thread) {
      std::mt19937 random(thread + 10);
      if (thread < 2) {
        for (unsigned i = 0; i < 8000; ++i) {
          Arena& arena = *owner.arenas[i % 16 == 0 ? 1 - thread : thread];
          const unsigned slab_class = 30 + static_cast<unsigned>(random() % 48);
          owner.store(arena, slab_class);
          if (i % 3 == 0) owner.remove_any(static_cast<unsigned>(random()), i % 2 == 0);
        }
        --running;
        return;
      }
      std::size_t seen = 0;
      while (running != 0) {
        Arena& arena = *owner.arenas[random() % 2];
        arena.visit_page(
            random() % 8,
            [](void* context, ChunkAddress, std::uint32_t) { ++*static_cast<std::size_t*>(context); }, &seen);
        seen += arena.class_stats(40).chunks_used + arena.pages();
        if (random() % 8 == 0) arena.give_page(Arena::kAnyClass, 1 + random() % 32);
        if (random() % 8 == 0) arena.move_page(Arena::kAnyClass, 30 + static_cast<unsigned>(random() % 48));
        if (random() % 8 == 0) arena.step_page();
        owner.pool->set_limit((6 + random() % 3) * kPageBytes);
        std::this_thread::yield();
      }
      CHECK(seen > 0);
    });
    for (auto& arena : owner.arenas) arena->give_page(0);
    CHECK(chunks_used(owner, *owner.arenas[0]) + chunks_used(owner, *owner.arenas[1]) == owner.size());
    CHECK(owner.arenas[0]->pages() + owner.arenas[1]->pages() == owner.pool->pages_used());
    CHECK(owner.pool->pages_used() <= 8);
  }

  TEST_CASE("pages are handed out once, and never more than the limit") {
    auto made = PagePool::create({.limit_bytes = 8 * kPageBytes, .nodes = {0, 1}});
    REQUIRE(made.is_ok());
    PagePool& pool = *made.value();
    std::atomic<unsigned> failures{0};
    run_threads(3, [&](unsigned thread) {
      std::vector<PageId> held;
      std::mt19937 random(thread);
      for (int i = 0; i < 3000; ++i) {
        if (random() % 2 == 0) {
          const PageId page = pool.acquire(thread % 2);
          if (page == kNoPage) continue;
          // A page with two owners would be a data race.
          pool.page_address(page)[8] = std::byte{1};
          held.push_back(page);
        } else if (!held.empty()) {
          pool.release(held.back());
          held.pop_back();
        }
        failures += pool.pages_used() > 8 ? 1 : 0;
        if (i % 500 == 0) pool.set_limit((i / 500 % 2 == 0 ? 4 : 8) * kPageBytes);
      }
      for (const PageId page : held) pool.release(page);
    });
    CHECK(failures == 0);
    CHECK(pool.pages_used() == 0);
  }
}

}  // namespace
}  // namespace ringcached::store
