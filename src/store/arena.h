// The slab memory of one worker: pages cut into chunks by class, free lists, and the S3-FIFO queues that
// decide which item makes room. Eviction is per class of this arena, as in Yang et al., "FIFO queues are all
// you need for cache eviction" (SOSP 2023), with one re-access enough for promotion (the variant measured
// best here).
//
// Threads: the owning worker calls allocate, publish, free_chunk. Others may call free_remote (lock-free) at
// any time, and any call marked [any] under the arena's spin lock, which is otherwise touched by the owner
// alone. Lock order: arena lock, then bucket lock (inside ItemOwner's calls). Never the other way round.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "store/chunk.h"
#include "store/item_owner.h"
#include "store/page_pool.h"
#include "store/slab_classes.h"

namespace ringcached::store {

// Per class, for `stats items` and `stats slabs`. Copied under the arena lock.
struct ArenaClassStats {
  std::uint64_t pages = 0, chunks_used = 0, chunks_free = 0;
  std::uint64_t small_entries = 0, main_entries = 0, ghost_entries = 0;
  std::uint64_t evicted = 0, evicted_nonzero = 0, evicted_unfetched = 0, evicted_active = 0, reclaimed = 0;
  std::uint64_t out_of_memory = 0, promoted = 0, ghost_hits = 0;
  std::uint32_t last_eviction_age_seconds = 0;
};

// How pages move by themselves between classes (by what a page is worth, see arena_balance.cc) and between
// arenas (by how long items live, see balancer.h); changed at any time by anybody. Time is measured in memory
// gained, by eviction or as new pages, so that a busy cache adapts in seconds and an idle one is left alone.
struct BalanceSettings {
  std::atomic<bool> on{true};
  // A page moves if it is worth less than this share of what it is worth to the taker; between arenas, if the
  // taker's items live shorter than this share of the giver's.
  std::atomic<double> ratio{0.8};
  // A window of observation: so many per cent of the memory gained.
  static constexpr unsigned kWindowPercent = 10;
  std::atomic<unsigned> window_percent{kWindowPercent};
};

// What moving pages did, also when a class without anything to evict needed one.
struct PageMoveStats {
  unsigned last_from = 0, last_to = 0;  // classes, of the last of these:
  std::uint64_t moved = 0;              // from a class to another of this arena, without being asked for
  std::uint64_t reclaimed = 0;          // items found dead in pages that were emptied,
  std::uint64_t evicted = 0;            // and alive
  std::uint64_t busy = 0;               // pages left where they were because something in them was in use
};

struct Chunk {
  ChunkAddress address = kNoChunk;
  std::uint32_t generation = 0;  // to be kept in the chunk's state word by the filler
  explicit operator bool() const { return address != kNoChunk; }
};

class Arena {
 public:
  struct Options {
    unsigned id = 0;
    unsigned part = 0;  // of the pool, to take pages from
    bool evict = true;  // false: -M
    bool lru = false;   // the compatibility switch: close to LRU order instead of S3-FIFO
    unsigned small_percent = 10;
    std::uint32_t lane_pages_max = ~0U;  // pages that one set of queues addresses; lowered by tests only
    // Null: a page changes its class only when somebody asks for it or a class has nothing to evict.
    const BalanceSettings* balance = nullptr;
  };
  Arena(const Options& options, PagePool& pool, const SlabClasses& classes, ItemOwner& owner);
  ~Arena();

  // A chunk of kind kFilling. Order: remote frees, free list, a new page of the pool, eviction in the class,
  // a page of any other class. In passing a page of another class that is worth more here (BalanceSettings)
  // is emptied, a few chunks each time, and at most kChunksPerTurn until end_turn(). Empty when all of
  // that failed, or with evict == false when memory is used up. Never waits; the work is bounded by a few
  // times kEvictionTries calls of try_evict. Where the class has nothing to evict it gets a page of the
  // reserve, which step_page() makes ready; when that is used up one is emptied at once, which is the work of
  // a page's items: with kShort only if those are at most kEmptyingStep, for who may ask another arena first.
  // [any], so that a worker without memory can use another's.
  enum class Effort : std::uint8_t { kShort, kFull };
  Chunk allocate(unsigned slab_class, Effort effort = Effort::kFull);
  // Entries looked at before one is evicted whatever its counter says.
  static constexpr unsigned kEvictionTries = 64;

  // The filled chunk is an item now (state kItem, linked): enters the small queue, or main when `fingerprint`
  // is a ghost. Parts of chains are not published. An item that is not published (or for whose queue entry
  // there was no memory) is evicted only when its page is taken. [any]
  void publish(Chunk chunk, unsigned slab_class, std::uint32_t fingerprint);

  // Gives back a chunk of this arena that is not linked (filled and discarded, unlinked, part of a chain):
  // gives it another generation, poisons it. While a chunk of at least PagePool::kPinGrainBytes is pinned it
  // stays as it is, but for bytes 0-7 and the kind (kLimbo); parts of chains have no pins, so give back those
  // of a pinned item only when the pins are gone. [any] under the lock; not from within ItemOwner.
  void free_chunk(ChunkAddress chunk);
  // The same without the lock, from any thread and from within ItemOwner: pushes to a lock-free list that
  // take_returned(), allocate() and others empty, a few at a time: another thread may have freed millions
  // (flush_all). Until then the chunk's state word stays as it is.
  void free_remote(ChunkAddress chunk);

  // Takes a page out of the arena and gives it to the pool; evicts what is in it (with evict == false only
  // pages without items are taken). `slab_class` = kAnyClass: from the class with the most free chunks, if
  // that is a page's worth, else from the one whose pages are worth least. Of a page that turns out to hold
  // something that cannot be evicted now, what could is gone, and another is tried.
  //
  // At most about `chunks_max` chunks are looked at. A page of more begins to leave: it hands out no chunk
  // any more, and step_page() or the next call goes on with it. There is one such page at a time: while one
  // is leaving, on whatever grounds, this goes on with that. [any]
  enum class PageStep : std::uint8_t {
    kNone,      // nothing can be taken now, or the page that was leaving stays
    kBusy,      // another page is leaving (move_page only)
    kUnderWay,  // a page is leaving
    kGone,      // it has left
  };
  static constexpr unsigned kAnyClass = ~0U;
  static constexpr unsigned kEmptyingStep = 256;
  PageStep give_page(unsigned slab_class, unsigned chunks_max = kEmptyingStep);
  // The same for who can wait: a page of the reserve goes to the pool at once, else the owner's step_page()
  // gives one (kUnderWay when that was asked for before). While turns() advances the owner does so. [any]
  PageStep ask_for_page();
  std::uint32_t turns() const;  // of the owner, so far; any thread
  // The same as give_page(), but the page becomes one of class `to`, or with kToPool goes to the pool; and it
  // does not go on with another. [any]
  static constexpr unsigned kToPool = 0;
  PageStep move_page(unsigned from, unsigned to);
  // A step of emptying the page that is leaving, if any, or of making a page the reserve (see allocate()).
  // True if there is more to do. A page stays after all if it is found to hold something that cannot be
  // evicted now. [any]
  bool step_page();
  // A turn of the owner ends: allocations may again look at so many chunks in passing, of pages of this arena
  // and, by take_credit(), of others. With a step of each kind of upkeep that is less than half a
  // millisecond. Called by the owner.
  static constexpr unsigned kChunksPerTurn = 768;
  void end_turn();
  unsigned take_credit(unsigned chunks);  // how many of `chunks` may still be looked at. Called by the owner.
  bool wants_page_step() const;           // step_page() has something to do; no lock, any thread
  // Up to `chunks_max` of the chunks that came by free_remote() become free. True if there are more. [any]
  static constexpr unsigned kReturnedStep = 512;
  bool take_returned(unsigned chunks_max = kReturnedStep);
  // Takes a page of the pool for `slab_class`; false if there is none. [any]
  bool add_page(unsigned slab_class);

  // Calls visit(ChunkAddress, state word) for every chunk of kind kItem or kLinking in the `page`-th page
  // (0..pages()) of the arena; under the lock; the visitor must not call back into the arena, except
  // free_remote. Returns how many chunks were looked at for that, 0 past the end. Pages change places when
  // one leaves. [any]
  using Visitor = void (*)(void* context, ChunkAddress chunk, std::uint32_t state);
  std::size_t visit_page(std::size_t page, Visitor visit, void* context);
  // Calls visit(context, chunk, state) for the item that is next in `queue` of the class, if one of the first
  // few entries is one. [any]
  void visit_oldest(unsigned slab_class, Queue queue, Visitor visit, void* context);
  PageId page_at(std::size_t page);  // kNoPage past the end [any]
  std::size_t pages();               // [any]

  // For whoever compares arenas; no lock, any thread. Memory gained so far: pages, chunks by eviction, and
  // what was asked for in vain.
  std::uint64_t bytes_gained() const;
  std::size_t pages_held() const;  // may be a moment old
  // True once after the arena has been short of memory by a page since the last time; at once after
  // hurry(true), which is for who has far too little.
  bool take_shortage();
  void hurry(bool on);

  PageMoveStats move_stats();                        // [any]
  ArenaClassStats class_stats(unsigned slab_class);  // [any]
  // Heap memory of queues and ghosts. [any]
  std::size_t overhead_bytes();
  unsigned id() const;
  unsigned part() const;

  // For tests of exhausted memory: the queues get no more than so many blocks of FifoBlock::kBytes.
  void set_queue_blocks_max(std::size_t blocks);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringcached::store
