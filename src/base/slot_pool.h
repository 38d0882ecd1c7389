// Numbered places for objects, each with a generation that tells a late reference from a current one.
//
// Objects are built once, when their block of slots is first needed, and stay until the pool ends: a free
// slot keeps its object (reset by its owner) and its address. So other threads may look at atomic members of
// any object at any time by for_each_built(), and taking a slot costs no allocation once the pool has reached
// its size.
//
// Threads: take, release and find belong to the owner; for_each_built() and built() are for any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "base/assert.h"

namespace ringcached {

template <typename T>
class SlotPool {
 public:
  // Generations run from 1 to this and start again; tokens carry that many bits.
  static constexpr std::uint32_t kGenerationMax = (1U << 24) - 1;
  static constexpr std::uint32_t kSlotsPerBlock = 64;

  struct Taken {
    T* object = nullptr;  // null when every slot is taken, or the heap has nothing for more of them
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
  };

  explicit SlotPool(std::uint32_t slots_max)
      : slots_max_(slots_max),
        directory_(
            std::make_unique<std::atomic<Block*>[]>((slots_max + kSlotsPerBlock - 1) / kSlotsPerBlock)) {}
  ~SlotPool() {
    for (std::uint32_t slot = 0; slot < built(); slot += kSlotsPerBlock) {
      delete directory_[slot / kSlotsPerBlock].load(std::memory_order_relaxed);
    }
  }
  SlotPool(const SlotPool&) = delete;
  SlotPool& operator=(const SlotPool&) = delete;

  Taken take() {
    if (free_ == kNone && !build_block()) return {};
    const std::uint32_t number = free_;
    Slot& slot = at(number);
    free_ = slot.next_free;
    slot.next_free = kInUse;
    ++taken_;
    return {&slot.object, number, slot.generation};
  }

  // The slot's generation moves on, so that find() with the old one fails from now on.
  void release(std::uint32_t number) {
    RC_CHECK(number < built());
    Slot& slot = at(number);
    RC_CHECK(slot.next_free == kInUse);
    slot.generation = slot.generation == kGenerationMax ? 1 : slot.generation + 1;
    slot.next_free = free_;
    free_ = number;
    --taken_;
  }

  // The object, if the slot is taken and in this generation; else null.
  T* find(std::uint32_t number, std::uint32_t generation) {
    if (number >= built()) return nullptr;
    Slot& slot = at(number);
    return slot.generation == generation && slot.next_free == kInUse ? &slot.object : nullptr;
  }

  // Calls `visit(object)` for each taken slot. Owner only.
  template <typename Visit>
  void for_each_taken(Visit visit) {
    for (std::uint32_t number = 0; number < built(); ++number) {
      if (at(number).next_free == kInUse) visit(at(number).object);
    }
  }
  // Calls `visit(object)` for every object ever built, taken or not. Any thread.
  template <typename Visit>
  void for_each_built(Visit visit) const {
    const std::uint32_t count = built();
    for (std::uint32_t number = 0; number < count; ++number) visit(std::as_const(at(number).object));
  }

  std::uint32_t taken() const { return taken_; }
  std::uint32_t slots_max() const { return slots_max_; }
  // Number of objects in existence. Any thread.
  std::uint32_t built() const { return built_.load(std::memory_order_acquire); }

 private:
  static constexpr std::uint32_t kNone = ~0U;
  static constexpr std::uint32_t kInUse = ~0U - 1;

  struct Slot {
    T object;
    std::uint32_t generation = 1;
    std::uint32_t next_free = kNone;
  };
  struct Block {
    Slot slots[kSlotsPerBlock];
  };

  Slot& at(std::uint32_t number) const {
    return directory_[number / kSlotsPerBlock]
        .load(std::memory_order_relaxed)
        ->slots[number % kSlotsPerBlock];
  }

  bool build_block() {
    const std::uint32_t first = built_.load(std::memory_order_relaxed);
    if (first >= slots_max_) return false;
    std::unique_ptr<Block> block(new (std::nothrow) Block);
    if (block == nullptr) return false;
    const std::uint32_t count = slots_max_ - first < kSlotsPerBlock ? slots_max_ - first : kSlotsPerBlock;
    for (std::uint32_t i = count; i-- > 0;) {
      block->slots[i].next_free = free_;
      free_ = first + i;
    }
    directory_[first / kSlotsPerBlock].store(block.release(), std::memory_order_relaxed);
    built_.store(first + count, std::memory_order_release);
    return true;
  }

  const std::uint32_t slots_max_;
  std::uint32_t free_ = kNone;
  std::uint32_t taken_ = 0;
  std::atomic<std::uint32_t> built_{0};
  std::unique_ptr<std::atomic<Block*>[]> directory_;
};

}  // namespace ringcached
