// Moves pages between the classes of a thread's arena, and between arenas, by how long items live.
//
// A class that evicts items still young while another class holds items that nobody has asked for in much
// longer (or chunks that nobody uses) gets a page from it: the other class gives one to the pool, and the
// first takes it at its next allocation. One page per step and second. How old the items of a class are is
// sampled from one of its pages.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "store/slab_classes.h"

namespace ringcached::store {

struct ThreadState;

class Balancer {
 public:
  // True if a page was moved and another step is worth while soon.
  bool step(ThreadState& thread, CacheTime now);

 private:
  struct Sample;
  unsigned hungriest(ThreadState& thread);
  unsigned idlest(ThreadState& thread, CacheTime now, unsigned hungry);
  std::uint32_t sampled_idle_seconds(ThreadState& thread, unsigned slab_class, CacheTime now);
  bool take_from_richer(ThreadState& thread);

  CacheTime last_step_ = 0;
  std::array<std::uint64_t, SlabClasses::kClassesMax + 1> evicted_before_{};
  std::array<std::uint64_t, SlabClasses::kClassesMax + 1> evicted_now_{};
  std::array<std::uint32_t, SlabClasses::kClassesMax + 1> eviction_age_{};
  std::size_t sample_page_ = 0;
};

}  // namespace ringcached::store
