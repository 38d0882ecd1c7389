// The item memory of the process: one reserved range, cut into pages, handed to arenas and taken back.
//
// Threads: all calls from any thread; acquire and release take a spin lock for nanoseconds and are rare (a
// page is 256 KiB). Per-page facts are atomics.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/spin_lock.h"
#include "ringcached/status.h"
#include "store/chunk.h"
#include "store/mapping.h"

namespace ringcached::store {

using PageId = std::uint32_t;
inline constexpr PageId kNoPage = ~PageId{0};

// Ahead: transparent ones where MemoryAhead gets memory before it is used, nowhere else. Transparent: the
// kernel makes them wherever it can, when memory is touched first. Explicit: those set aside in the system,
// all taken at creation, for a range that cannot grow; a node that has too few gets transparent ones.
enum class LargePages : std::uint8_t { kNone, kAhead, kTransparent, kExplicit };

struct PagePoolOptions {
  std::size_t limit_bytes = std::size_t{64}
                            << 20;  // pages handed out never exceed this (rounded down to pages, at least 1)
  std::size_t reserve_bytes = 0;    // address space, for set_limit to grow into; 0: four times the limit, or
                                    // just the limit where the kernel refuses that much (no overcommit);
                                    // cut to what addresses can name
  // NUMA nodes, by the kernel's numbers; the range is split evenly and each part prefers its node. One or
  // none: the range is left to the kernel's policy.
  std::vector<unsigned> nodes;
  LargePages large_pages = LargePages::kNone;
};

// A node's part of the range, in figures.
struct PoolNodeStats {
  unsigned node = 0;           // by the kernel's number; 0 if the pool has no nodes
  std::size_t pages_used = 0;  // handed out
  std::size_t pages_max = 0;   // of the range
  bool huge_pages = false;     // explicit ones, all taken
};

// Facts about a page that outlive what is in it. `slab_class`, `arena` are set while the page belongs to an
// arena. Lies in zeroed memory that is never constructed, so that pages never used cost nothing.
struct PageInfo {
  static constexpr std::uint8_t kNoClass = 0;  // classes count from 1
  std::atomic<std::uint8_t> slab_class{kNoClass};
  std::atomic<std::uint8_t> lane{0};  // the arena's own: which part of the class it is in,
  std::atomic<std::uint16_t> arena{0};
  std::atomic<std::uint32_t> slot{0};  // and the page's place there
  // No item in the page expires before this (a lower bound, kept by the store); ~0 when none expires.
  // acquire() sets it.
  std::atomic<std::uint32_t> earliest_expiry{~std::uint32_t{0}};
};

class PagePool {
 public:
  static Result<std::unique_ptr<PagePool>> create(const PagePoolOptions& options);
  ~PagePool();
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  // What was asked for and the kernel refused: nodes, explicit huge pages. The memory works all the same.
  const std::vector<Status>& refusals() const;

  // A page of zeroed or formerly used memory of part `part` (another's when that one is used up), or kNoPage
  // when the limit is reached. May make a system call (several nodes): not under a lock.
  PageId acquire(unsigned part);
  // May make a system call (above a lowered limit): not under a lock.
  void release(PageId page);

  // At most the reserved range, at least one page. Pages above a lowered limit go back to the kernel as they
  // are released, those that lie unused at once; pages_over_limit() says how many are still to go. Not under
  // a lock.
  void set_limit(std::size_t bytes);
  std::size_t limit_bytes() const;
  std::size_t pages_used() const;
  std::size_t pages_resident() const;  // in use, and released ones that the kernel still has memory for
  std::size_t pages_free() const;      // below the limit, not handed out
  std::size_t pages_over_limit() const;

  std::byte* base() const { return base_; }
  std::byte* page_address(PageId page) const { return base_ + std::size_t{page} * kPageBytes; }
  std::byte* chunk_pointer(ChunkAddress address) const { return base_ + address * kGranuleBytes; }
  ChunkAddress chunk_address(const std::byte* chunk) const {
    return static_cast<ChunkAddress>(chunk - base_) / kGranuleBytes;
  }
  PageId page_of(ChunkAddress address) const {
    return static_cast<PageId>(address * kGranuleBytes / kPageBytes);
  }
  PageInfo& info(PageId page) const { return infos_[page]; }
  PageId page_count() const { return page_count_; }  // in the reserved range

  // Parts of the range, one for each node, in the order of the options; one if there are no nodes.
  unsigned part_count() const;
  unsigned part_of(PageId page) const;
  // The part of a node by the kernel's number; 0 for a node that has none.
  unsigned part_of_node(unsigned node) const;
  PoolNodeStats part_stats(unsigned part) const;
  // Of the part, what was never used before beginning behind what was; as far as the limit allows.
  GrowingMemory part_memory(unsigned part) const;
  // Pages handed out for the first time, so far; no lock.
  std::size_t fresh_pages_taken() const;
  // Calls visit(page) for the pages of a part that were ever handed out.
  template <typename Visit>
  void for_each_known_page(unsigned part, Visit&& visit) const {
    const auto [first, end] = known_pages(part);
    for (PageId page = first; page < end; ++page) visit(page);
  }

  // Pins: readers that send straight out of a chunk. The counter lies outside the item memory (one per 4
  // KiB), so that a late reader never writes into memory that has become something else. Only chunks of at
  // least 4 KiB are pinned.
  static constexpr std::size_t kPinGrainBytes = 4096;
  std::atomic<std::uint32_t>& pins(ChunkAddress address) const {
    return pins_[address * kGranuleBytes / kPinGrainBytes];
  }

 private:
  PagePool() = default;
  Status reserve(const PagePoolOptions& options, std::size_t limit);
  void divide(const PagePoolOptions& options);
  void place(unsigned part, const PagePoolOptions& options);
  std::pair<PageId, PageId> known_pages(unsigned part) const;

  std::byte* base_ = nullptr;
  PageInfo* infos_ = nullptr;
  std::atomic<std::uint32_t>* pins_ = nullptr;
  PageId page_count_ = 0;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ringcached::store
