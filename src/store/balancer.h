// Moves pages between the arenas of threads, by how long their items live (see BalanceSettings). Between the
// classes of one arena the arena does it itself.
//
// A thread that has been short of memory by a page compares its arena with the others: if items live clearly
// shorter there than in the oldest other arena, that one gives a page to the pool, where the thread's next
// allocation finds it. A thread that has stopped storing loses its pages this way to those that store.
#pragma once

#include <cstdint>
#include <vector>

#include "store/arena.h"

namespace ringcached::store {

struct ThreadState;

class Balancer {
 public:
  // Once, for as many arenas as there may be: nothing is asked of the heap later, where items are stored.
  void open(unsigned arenas_max) { seen_.resize(arenas_max); }
  // Called before memory is allocated; cheap unless the arena is short.
  void before_allocation(ThreadState& thread);

 private:
  struct Seen {
    std::uint64_t gained_bytes = 0;  // so far
    double gained_pages = 0;         // of late
    std::uint32_t turns = 0;
    unsigned asked_in_turn = 0;
  };
  void look(ThreadState& thread, unsigned arenas);
  Arena::PageStep take_page_of(ThreadState& thread, Arena& giver);
  double age_of(const ThreadState& thread, unsigned arena) const;

  std::vector<Seen> seen_;  // by arena
  double gained_in_period_ = 0;
};

}  // namespace ringcached::store
