// Moves pages between the classes of a thread's arena, and between arenas, by how long items live.
//
// A class that evicts items still young while another class holds items that nobody has asked for in much
// longer (or chunks that nobody uses) gets a page from it: the other class gives one to the pool, and the
// first takes it at its next allocation. One page per second. How old the items of a class are is sampled
// from one of its pages.
//
// An arena that has less than half of the pages of the largest one, and evicts, or has to store in the memory
// of others, gets pages of that one: one per step, in a second as many as it evicted in the last. Else a
// worker whose clients came when memory was used up would keep little memory, or none on its own node.
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
  std::uint64_t pages_evicted(const ThreadState& thread) const;
  bool take_from_richer(ThreadState& thread);

  CacheTime last_step_ = 0;
  std::array<std::uint64_t, SlabClasses::kClassesMax + 1> evicted_before_{};
  std::array<std::uint64_t, SlabClasses::kClassesMax + 1> evicted_now_{};
  std::array<std::uint32_t, SlabClasses::kClassesMax + 1> eviction_age_{};
  std::size_t sample_page_ = 0;
  unsigned hungry_ = 0;  // the class that takes_left_ pages are for; 0: whichever asks next
  std::uint64_t takes_left_ = 0;
  std::uint64_t steals_before_ = 0;
};

}  // namespace ringcached::store
