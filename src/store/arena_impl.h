// Inside of Arena: what arena.cc (chunks, the public calls), arena_reclaim.cc (eviction), arena_pages.cc
// (taking pages) and arena_balance.cc (which ones) share.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/spin_lock.h"
#include "store/arena.h"
#include "store/lane.h"
#include "store/segmented_table.h"

namespace ringcached::store {

// A class beyond this many lanes (512 GiB of the smallest chunks in one arena) takes no further pages.
inline constexpr unsigned kLanesMax = 16;

struct Arena::Impl {
  struct SlabClass {
    std::array<std::unique_ptr<Lane>, kLanesMax> lanes;
    unsigned lane_count = 0;
    std::int64_t bytes_to_look = 0;        // to be evicted before pages of other classes are looked at again
    std::uint64_t evicted_since_page = 0;  // bytes, since the class was given the last page of another
    float returning_share = 0;             // of new items, smoothed: they had been evicted shortly before
    double mean_worth = -1;                // of the pages last looked at, smoothed; below 0: not known
    ArenaClassStats stats;                 // the counters that are not kept elsewhere

    std::size_t pages() const {
      std::size_t sum = 0;
      for (unsigned i = 0; i < lane_count; ++i) sum += lanes[i]->pages();
      return sum;
    }
    std::size_t chunks_used() const {
      std::size_t sum = 0;
      for (unsigned i = 0; i < lane_count; ++i) sum += lanes[i]->chunks_used();
      return sum;
    }
    std::size_t chunks_free() const {
      std::size_t sum = 0;
      for (unsigned i = 0; i < lane_count; ++i) sum += lanes[i]->chunks_free();
      return sum;
    }
  };

  // The page that is being emptied in steps.
  static constexpr unsigned kToReserve = ~0U;
  static constexpr unsigned kDepartureTries = 4;
  static constexpr unsigned kReturnWaits = 16;  // steps
  static constexpr unsigned kAtOnce = ~0U;      // instead of a number of chunks
  struct Departure {
    Lane* lane = nullptr;  // null: none
    std::uint32_t slot = 0;
    std::uint32_t next = 0;  // the chunk that is next
    unsigned from = 0;       // its class
    unsigned to = kToPool;   // the class it will belong to
    bool by_itself = false;  // the class that evicts made it leave
    bool far_apart = false;  // see take_less_used_page()
    unsigned waits = 0;      // steps in which nothing was left to do but wait for what others give back
  };

  // Pages that leave the arena under its lock and go to the pool after it (the pool may make a system call).
  // Declare it before the lock's guard.
  class Leaving {
   public:
    explicit Leaving(PagePool& pool) : pool_(pool) {}
    Leaving(const Leaving&) = delete;
    Leaving& operator=(const Leaving&) = delete;
    ~Leaving() {
      while (first_ != kNoPage) {
        const PageId page = first_;
        first_ = static_cast<PageId>(link(page).load(std::memory_order_relaxed));
        pool_.release(page);
      }
    }
    void add(PageId page) { link(page).store(std::exchange(first_, page), std::memory_order_relaxed); }

   private:
    // Bytes of page 0 are not special here: nobody else looks at a page between its owners.
    std::atomic<std::uint64_t>& link(PageId page) { return chunk_link(pool_.page_address(page)); }
    PagePool& pool_;
    PageId first_ = kNoPage;
  };

  Impl(const Options& arena_options, PagePool& page_pool, const SlabClasses& slab_classes,
       ItemOwner& item_owner)
      : options(arena_options), pool(page_pool), classes(slab_classes), owner(item_owner) {}

  // Everything below is called with the lock held.
  Lane* lane_with_room(unsigned slab_class);
  Lane& lane_of(ChunkAddress chunk);
  Lane& lane_to_evict_from(SlabClass& slab_class);
  Chunk take(unsigned slab_class);
  // What attach() needs of the heap. Null: it has nothing, or the class has all the lanes it may. To ask
  // first is for who would take a page from others: what is in it would be lost for nothing.
  Lane* prepare_attach(unsigned slab_class);
  bool attach(unsigned slab_class, PageId page);
  PageId detach(Lane& lane, std::uint32_t slot);
  bool give_back(Lane& lane, ChunkAddress chunk);
  void free_local(ChunkAddress chunk, Leaving* leaving);
  unsigned drain_remote(unsigned chunks_max, Leaving* leaving);
  bool has_returned() const;  // without the lock, too
  void recheck_limbo(Leaving* leaving);
  ItemOwner::Decision ask_owner(ChunkAddress chunk, std::uint32_t generation, Queue queue, bool force);
  void count_eviction(SlabClass& slab_class, const ItemOwner::Decision& decision);
  void note_gain(std::size_t bytes);
  void note_shortage(std::size_t bytes);
  void note_move(unsigned to);
  float sample_page(const Lane& lane, std::uint32_t slot, bool clear);
  void look_at_class(SlabClass& slab_class);
  void look_at_next_class();
  static double page_worth(const LanePage& page);
  std::uint32_t least_used_page(Lane& lane, const double* worth_max);
  unsigned giver_for(unsigned taker) const;
  void take_less_used_page(unsigned slab_class, Leaving& leaving);
  unsigned take_credit(unsigned chunks);
  unsigned emptying_step(unsigned from, unsigned to) const;
  bool evict_in(unsigned slab_class);
  bool blocked_page(const Lane& lane, std::uint32_t slot) const;
  // Evicts what is in the page from chunk `first` on, looking at `chunks_max`; tells where it stopped. False
  // when something cannot be evicted now; what could is gone then.
  bool empty_chunks(Lane& lane, std::uint32_t slot, std::uint32_t& first, std::uint32_t chunks_max);
  bool empty_page(Lane& lane, std::uint32_t slot);
  bool begin_leaving(unsigned slab_class, unsigned to);
  bool begin_leaving_of(unsigned slab_class, unsigned to, const double* worth_max = nullptr);
  PageStep step_leaving(unsigned chunks_max, Leaving& to_pool);
  PageId finish_leaving(std::uint32_t items_max);
  void arrive(const Departure& departed, PageId page, Leaving& to_pool);
  PageStep give_page(unsigned from, unsigned to, unsigned chunks_max, Leaving& to_pool);
  void step_page(Leaving& to_pool);
  PageId page_at_once(Effort effort);
  void want_reserve();
  static std::size_t reserve_of(std::size_t held);  // by an arena of so many pages
  std::size_t reserve_size() const;
  std::size_t reserve_kept() const;
  bool wants_free_page() const;
  void keep_in_reserve(PageId page, Leaving& to_pool);
  bool give_reserved(std::size_t kept, Leaving& to_pool);
  void abandon_leaving();
  void note_page_work();
  void expect_evictions(const Lane& lane, std::uint32_t slot, std::uint32_t first);
  bool empty_part(ChunkAddress part);
  unsigned victim_class(const std::array<bool, SlabClasses::kClassesMax + 1>& excluded, bool at_once) const;
  PageId take_page_of(unsigned slab_class, std::uint32_t items_max);
  PageId take_page(std::uint32_t items_max);
  Chunk allocate_under_pressure(unsigned slab_class, Effort effort, Leaving& leaving);

  const Options options;
  PagePool& pool;
  const SlabClasses& classes;
  ItemOwner& owner;

  // A stack linked through the chunks, pushed to by anybody, taken as a whole under the lock.
  alignas(64) std::atomic<ChunkAddress> remote{kNoChunk};

  alignas(64) SpinLock lock;
  std::atomic<ChunkAddress> remote_taken{kNoChunk};  // the rest of a stack that was taken
  ChunkAddress limbo_first = kNoChunk, limbo_last = kNoChunk;
  bool emptying = false;             // a page: enough work without compaction of queues
  std::size_t gained_in_window = 0;  // bytes; see BalanceSettings
  std::uint32_t window = 1;
  unsigned class_looked_at = 0;
  PageMoveStats moves;
  unsigned page_came_from = 0;  // class of the page taken last
  Departure departure;
  // Emptied pages of no class, for page_at_once().
  static constexpr std::size_t kReserveMax = 8;
  struct Emptied {
    PageId page = kNoPage;
    unsigned from = 0;  // class; kToPool: none, it was the pool's
  };
  std::array<Emptied, kReserveMax> reserve;
  std::size_t reserve_count = 0;
  bool reserve_wanted = false;
  std::uint64_t reserve_not_before = 0;  // gained_bytes
  std::uint64_t lane_choice = 0;
  FifoBlocks blocks;
  std::array<SlabClass, SlabClasses::kClassesMax + 1> per_class;
  SegmentedTable<PageId> pages;
  std::size_t page_count = 0;
  std::size_t short_bytes = 0;  // gained by eviction or asked for in vain since the last shortage was told

  // Read without the lock.
  std::atomic<std::uint64_t> gained_bytes{0};
  std::atomic<std::size_t> pages_held{0};
  std::atomic<bool> is_short{false}, in_hurry{false}, page_work{false}, page_asked{false};
  std::atomic<std::uint32_t> turns{0};
  std::atomic<unsigned> credit{kChunksPerTurn};  // chunks that allocations may still look at in this turn
};

}  // namespace ringcached::store
