// Gives the memory of expired and flushed items back without anybody asking for them.
//
// Each thread goes over the pages of its own arena. After a flush it visits all of them once, for a crawl all
// of the wanted classes; otherwise only those where something has expired by now (PageInfo::earliest_expiry).
// A visit collects the dead items of a page under the arena's lock; they are then unlinked one by one, as
// many as the caller's budget allows, the rest at the next call.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "store/chunk.h"
#include "store/slab_classes.h"

namespace ringcached::store {

class Arena;
class StoreCore;
struct ThreadState;

class Reaper {
 public:
  // Once, before anything else: room for what is found in a page. Nothing is asked of the heap later: what
  // has expired must go above all when memory is short.
  void open();
  // At most about `chunks_max` chunks looked at. True if more is waiting.
  bool step(ThreadState& thread, CacheTime now, std::size_t chunks_max);
  // Starts a pass over all pages of `classes`, in place of one that is under way.
  void begin_crawl(ThreadState& thread, const SlabClassSet& classes);
  bool crawling() const { return crawl_.any(); }
  // No item of an earlier flush epoch than this is left in the arena, nor will be linked there: a pass waits
  // for writers that may have looked at the epoch before it began (ChunkKind::kLinking). Any thread.
  std::uint64_t clean_epoch() const { return clean_epoch_.load(std::memory_order_acquire); }

  void raise_clean_epoch(std::uint64_t epoch);
  struct PageLook {
    std::size_t chunks;  // looked at; many may be no items (any more)
    bool linking;        // a writer is about to link one of them
  };
  // Appends the dead items of one page of `arena` to `found`, which has room for them.
  static PageLook collect_dead(StoreCore& core, Arena& arena, std::size_t page,
                               std::vector<ChunkAddress>& found);

 private:
  struct Visit;
  std::size_t visit_page(ThreadState& thread, CacheTime now);
  std::size_t reap_found(ThreadState& thread, CacheTime now, std::size_t chunks_max);
  void begin_pass(ThreadState& thread);
  void finish_pass();

  std::size_t page_ = 0;          // the pages below this one are still to be looked at in this pass
  std::uint64_t pass_epoch_ = 0;  // flush epoch at the start of the pass
  bool everything_ = false;       // this pass visits all pages: there was a flush
  SlabClassSet crawl_;            // it visits all pages of these, too
  bool found_in_pass_ = false;
  bool visited_writer_ = false;      // the page last visited has a chunk that is about to be linked
  std::vector<ChunkAddress> found_;  // dead items of the page last visited, still to be unlinked
  std::atomic<std::uint64_t> clean_epoch_{0};
};

// Frees flush epochs when reaping does not keep up with flushes: goes over the arena that holds the oldest
// ones, whosever it is, in steps. What a step leaves is gone on with by the next, of any thread; one at a
// time. So that no flush has to wait for all of it, each waits for its share, in proportion to the epochs
// that are left.
class EpochPurge {
 public:
  void open();  // as Reaper::open(): a flush does not fail for want of memory
  // At most about `chunks_max` chunks; does nothing while few epochs are in use. False: it cannot go on
  // before a writer has linked what it has.
  bool step(ThreadState& thread, std::size_t chunks_max);
  // There was a flush, and `epochs_left` more may follow before there must be none of the oldest epochs left.
  void share_out(const StoreCore& core, std::uint64_t epochs_left);
  // The next flush's share is not done yet. Any thread.
  bool owes() const { return pages_owed_.load(std::memory_order_relaxed) != 0; }

 private:
  bool begin(const StoreCore& core);
  void note_page();

  Reaper* reaper_ = nullptr;  // of the arena; null: nothing has begun
  unsigned arena_ = 0;
  std::size_t page_ = 0;  // the pages below this one are still to be looked at
  std::uint64_t epoch_ = 0;
  std::vector<ChunkAddress> found_;         // dead items of the page last visited
  std::atomic<std::size_t> pages_owed_{0};  // to be looked at before the next flush
};

}  // namespace ringcached::store
