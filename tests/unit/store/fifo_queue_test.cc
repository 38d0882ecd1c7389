#include "store/fifo_queue.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

namespace ringcached::store {
namespace {

TEST_SUITE("fifo_queue") {
  TEST_CASE("keeps order over many blocks, and memory follows length") {
    FifoBlocks blocks;
    FifoQueue queue(blocks);
    constexpr std::uint32_t kCount = 100'000;
    for (std::uint32_t i = 0; i < kCount; ++i) REQUIRE(queue.push(i));
    CHECK(queue.size() == kCount);
    CHECK(static_cast<double>(blocks.bytes()) / kCount <= 4.1);
    std::uint32_t wrong = 0;
    for (std::uint32_t i = 0; i < kCount; ++i) wrong += queue.pop() != i;
    CHECK(wrong == 0);
    CHECK(queue.empty());
    CHECK(blocks.bytes() <= FifoBlocks::kSlabBytes);
  }

  TEST_CASE("memory goes back in small pieces, wherever the blocks are that get free") {
    for (const bool in_order : {true, false}) {
      FifoBlocks blocks;
      std::vector<FifoBlock*> taken;
      for (unsigned i = 0; i < 2000; ++i) taken.push_back(blocks.allocate());
      if (!in_order) std::shuffle(taken.begin(), taken.end(), std::mt19937(1));
      std::size_t before = blocks.bytes(), most = 0;
      CHECK(before >= 2000 * FifoBlock::kBytes);
      for (FifoBlock* const block : taken) {
        blocks.free(block);
        most = std::max(most, before - blocks.bytes());
        before = blocks.bytes();
      }
      CHECK(most == FifoBlocks::kSlabBytes);
      CHECK(blocks.bytes() <= FifoBlocks::kSlabBytes);
    }
  }

  TEST_CASE("a queue that breathes keeps its memory") {
    FifoBlocks blocks;
    FifoBlock* const first = blocks.allocate();
    blocks.free(first);
    const std::size_t bytes = blocks.bytes();
    for (unsigned i = 0; i < 1000; ++i) {
      FifoBlock* const again = blocks.allocate();
      CHECK(again == first);
      blocks.free(again);
    }
    CHECK(blocks.bytes() == bytes);
  }

  TEST_CASE("peeks ahead within a block only") {
    FifoBlocks blocks;
    FifoQueue queue(blocks);
    std::uint32_t entry = 0;
    CHECK(!queue.peek(0, entry));
    for (std::uint32_t i = 0; i < FifoBlock::kEntries + 5; ++i) queue.push(i);
    queue.pop();
    CHECK(queue.peek(0, entry));
    CHECK(entry == 1);
    CHECK(queue.peek(FifoBlock::kEntries - 2, entry));
    CHECK(entry == FifoBlock::kEntries - 1);
    CHECK(!queue.peek(FifoBlock::kEntries - 1, entry));
  }

  TEST_CASE("without memory for a block push fails and the queue is as before") {
    FifoBlocks blocks;
    FifoQueue queue(blocks);
    blocks.set_blocks_max(1);
    std::uint32_t pushed = 0;
    while (queue.push(pushed)) ++pushed;
    CHECK(pushed == FifoBlock::kEntries);
    CHECK(queue.size() == pushed);
    CHECK(!queue.push(1));
    CHECK(queue.pop() == 0);
    blocks.set_blocks_max(2);
    CHECK(queue.push(pushed));
    for (std::uint32_t i = 1; i <= pushed; ++i) CHECK(queue.pop() == i);
    blocks.set_blocks_max(0);
    CHECK(!queue.push(1));
    CHECK(queue.empty());
  }

  TEST_CASE("compaction drops what is not kept, keeps the order and joins blocks") {
    FifoBlocks blocks;
    FifoQueue queue(blocks);
    constexpr std::uint32_t kCount = 10 * FifoBlock::kEntries;
    for (std::uint32_t i = 0; i < kCount; ++i) queue.push(i);
    const std::size_t before = blocks.bytes();
    const auto keep = [](std::uint32_t entry) { return entry % 10 == 0; };
    while (queue.compact_step([](std::uint32_t) {}, keep)) {
    }
    CHECK(queue.size() == kCount / 10 + (kCount % 10 != 0));
    CHECK(blocks.bytes() <= before);
    for (std::uint32_t i = 0; i < kCount; i += 10) CHECK(queue.pop() == i);
    CHECK(queue.empty());
    while (queue.compact_step([](std::uint32_t) {}, keep)) {
    }
    CHECK(queue.empty());
  }

  TEST_CASE("compaction that drops everything leaves a usable queue") {
    FifoBlocks blocks;
    FifoQueue queue(blocks);
    for (std::uint32_t i = 0; i < 3 * FifoBlock::kEntries; ++i) queue.push(i);
    while (queue.compact_step([](std::uint32_t) {}, [](std::uint32_t) { return false; })) {
    }
    CHECK(queue.empty());
    CHECK(queue.push(7));
    CHECK(queue.pop() == 7);
  }

  TEST_CASE("pushes, pops and compaction in any order agree with a deque") {
    for (const unsigned seed : {1U, 2U, 3U, 4U, 5U}) {
      CAPTURE(seed);
      std::mt19937 random(seed);
      FifoBlocks blocks;
      FifoQueue queue(blocks);
      std::deque<std::uint32_t> model;
      std::uint32_t next = 0, wrong = 0;
      for (int step = 0; step < 200'000; ++step) {
        const auto what = static_cast<unsigned>(random() % 100);
        // Phases that grow, breathe and shrink.
        const unsigned pushes = step / 20'000 % 3 == 0 ? 60 : step / 20'000 % 3 == 1 ? 50 : 30;
        if (what < pushes) {
          queue.push(next);
          model.push_back(next++);
        } else if (what < 98 && !model.empty()) {
          wrong += queue.pop() != model.front();
          model.pop_front();
        } else if (what >= 98) {
          // Drops a pseudo-random third of one block; the model drops the same entries.
          std::vector<std::uint32_t> dropped;
          queue.compact_step([](std::uint32_t) {},
                             [&](std::uint32_t entry) {
                               if (entry * 2654435761U % 3 != 0) return true;
                               dropped.push_back(entry);
                               return false;
                             });
          std::size_t at = 0;
          std::erase_if(model, [&](std::uint32_t entry) {
            if (at == dropped.size() || dropped[at] != entry) return false;
            ++at;
            return true;
          });
          wrong += at != dropped.size();
        }
        wrong += queue.size() != model.size();
      }
      while (!model.empty()) {
        wrong += queue.pop() != model.front();
        model.pop_front();
      }
      CHECK(wrong == 0);
      CHECK(queue.empty());
    }
  }
}

}  // namespace
}  // namespace ringcached::store
