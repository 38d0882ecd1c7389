// An index made of a map: knows every item of its arenas, what was written into its chunks, and who uses it.
// Stands for the store in the tests of Arena. One thread.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "store/arena.h"

namespace ringcached::store::testing {

struct FakeItem {
  Chunk head;
  unsigned slab_class = 0;
  std::uint32_t number = 0;  // repeated through all its chunks
  unsigned uses = 0;
  bool expired = false;
  std::vector<std::pair<ChunkAddress, unsigned>> parts;  // with their classes
};

class FakeOwner final : public ItemOwner {
 public:
  FakeOwner(const PagePoolOptions& pool_options, const std::vector<Arena::Options>& arena_options,
            unsigned class_steps = SlabClasses::kStepsMin)
      : classes(class_steps) {
    auto made = PagePool::create(pool_options);
    REQUIRE(made.is_ok());
    pool = std::move(made.value());
    for (const Arena::Options& options : arena_options) {
      arenas.push_back(std::make_unique<Arena>(options, *pool, classes, *this));
    }
  }

  Arena& arena_of(ChunkAddress chunk) { return *arenas[pool->info(pool->page_of(chunk)).arena.load()]; }

  // Takes chunks into use: no byte of them may belong to anything else.
  void claim(ChunkAddress chunk, unsigned slab_class, std::uint32_t number) {
    const std::uint64_t start = chunk * kGranuleBytes, end = start + classes.chunk_bytes(slab_class);
    const auto after = claimed.lower_bound(start);
    REQUIRE((after == claimed.end() || after->first >= end));
    REQUIRE((after == claimed.begin() || std::prev(after)->second <= start));
    REQUIRE(chunk != kNoChunk);
    REQUIRE(start / kPageBytes == (end - 1) / kPageBytes);
    claimed[start] = end;
    for_words(chunk, slab_class, [&](std::uint32_t& word) { word = number; });
  }
  // Checks that nobody wrote into the chunk meanwhile.
  void unclaim(ChunkAddress chunk, unsigned slab_class, std::uint32_t number) {
    std::uint32_t wrong = 0;
    for_words(chunk, slab_class, [&](std::uint32_t& word) { wrong += word != number; });
    CHECK(wrong == 0);
    REQUIRE(claimed.erase(chunk * kGranuleBytes) == 1);
  }

  void set_kind(ChunkAddress chunk, ChunkKind kind) {
    auto& state = chunk_state(pool->chunk_pointer(chunk));
    state = (state & ~7U) | static_cast<std::uint32_t>(kind);
  }

  // A new item of one chunk, published; kNoChunk when the arena has nothing.
  ChunkAddress store(Arena& arena, unsigned slab_class, bool expired = false) {
    return store_chain(arena, slab_class, {}, expired);
  }
  // The same with further chunks of the given classes.
  ChunkAddress store_chain(Arena& arena, unsigned slab_class, const std::vector<unsigned>& parts,
                           bool expired = false) {
    FakeItem item{.slab_class = slab_class, .number = next_number++, .expired = expired};
    item.head = arena.allocate(slab_class);
    if (!item.head) return kNoChunk;
    CHECK(chunk_kind(chunk_state(pool->chunk_pointer(item.head.address))) == ChunkKind::kFilling);
    claim(item.head.address, slab_class, item.number);
    bool complete = true;
    for (const unsigned part_class : parts) {
      const Chunk part = arena.allocate(part_class);
      if (!part) {
        complete = false;
        break;
      }
      claim(part.address, part_class, item.number);
      item.parts.emplace_back(part.address, part_class);
    }
    if (!complete) {
      free_parts(item);
      unclaim(item.head.address, slab_class, item.number);
      arena_of(item.head.address).free_chunk(item.head.address);
      return kNoChunk;
    }
    for (const auto& [part, part_class] : item.parts) {
      set_kind(part, ChunkKind::kPart);
      head_of_part[part] = item.head.address;
    }
    set_kind(item.head.address, ChunkKind::kItem);
    items[item.head.address] = item;
    if (publishing) arena_of(item.head.address).publish(item.head, slab_class, item.number * 2654435761U);
    return item.head.address;
  }

  void remove(ChunkAddress head, bool remote) {
    const FakeItem item = unlink(head);
    free_parts(item);
    if (remote) {
      arena_of(head).free_remote(head);
    } else {
      arena_of(head).free_chunk(head);
    }
  }

  Decision try_evict(ChunkAddress chunk, std::uint32_t generation, Queue queue, bool force) override {
    ++asked;
    announced += expected.erase(chunk);
    const auto found = items.find(chunk);
    if (found == items.end()) return {};
    FakeItem& item = found->second;
    if (item.head.generation != generation) return {};
    if (busy || (!item.parts.empty() && pool->pins(chunk) != 0)) return {.verdict = Verdict::kBusy};
    if (item.uses != 0 && !force && !item.expired) {
      item.uses = queue == Queue::kSmall ? 0 : item.uses - 1;
      return {.verdict = Verdict::kKept};
    }
    const FakeItem gone = unlink(chunk);
    free_parts(gone);
    ++evicted;
    evicted_numbers.push_back(gone.number);
    return {.verdict = Verdict::kEvicted,
            .fingerprint = gone.number * 2654435761U,
            .expired = gone.expired,
            .fetched = gone.uses != 0,
            .idle_seconds = 7};
  }
  void expect_eviction(ChunkAddress chunk) override {
    CHECK(items.contains(chunk));
    expected.insert(chunk);
  }
  ChunkAddress head_of(ChunkAddress part) override {
    const auto found = head_of_part.find(part);
    return found == head_of_part.end() ? kNoChunk : found->second;
  }
  bool was_used(ChunkAddress /*chunk*/, bool /*clear*/) override { return false; }
  void free_elsewhere(ChunkAddress chunk) override { arena_of(chunk).free_remote(chunk); }

  const SlabClasses classes;
  std::unique_ptr<PagePool> pool;
  std::vector<std::unique_ptr<Arena>> arenas;
  std::map<ChunkAddress, FakeItem> items;
  std::map<ChunkAddress, ChunkAddress> head_of_part;
  std::map<std::uint64_t, std::uint64_t> claimed;  // byte ranges in use
  std::uint32_t next_number = 1;
  std::set<ChunkAddress> expected;
  std::size_t evicted = 0, asked = 0, announced = 0;
  std::vector<std::uint32_t> evicted_numbers;  // in order
  bool busy = false;
  bool publishing = true;

 private:
  FakeItem unlink(ChunkAddress head) {
    const FakeItem item = items.at(head);
    items.erase(head);
    unclaim(head, item.slab_class, item.number);
    return item;
  }
  void free_parts(const FakeItem& item) {
    for (const auto& [part, part_class] : item.parts) {
      unclaim(part, part_class, item.number);
      head_of_part.erase(part);
      arena_of(part).free_remote(part);
    }
  }
  template <typename Visit>
  void for_words(ChunkAddress chunk, unsigned slab_class, Visit&& visit) {
    std::byte* const memory = pool->chunk_pointer(chunk);
    for (std::size_t at = kStateOffset + 4; at < classes.chunk_bytes(slab_class); at += 4) {
      visit(*reinterpret_cast<std::uint32_t*>(memory + at));
    }
  }
};

// In as many steps as it takes. False when nothing could be taken, or a page that was leaving stays.
inline bool give_whole_page(Arena& arena, unsigned slab_class) {
  Arena::PageStep step;
  do {
    step = arena.give_page(slab_class);
  } while (step == Arena::PageStep::kUnderWay);
  return step == Arena::PageStep::kGone;
}

}  // namespace ringcached::store::testing
