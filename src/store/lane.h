// The pages of one slab class in one arena, their free chunks, and the eviction queues of the items in them.
// A class is normally one lane; a queue entry of 32 bits addresses 2^30 chunk numbers (32 GiB of the smallest
// chunks), so a class that outgrows that opens further lanes, each with its own queues.
//
// A queue entry is page slot | chunk in the page | 2 bits of generation. What a chunk's bits (`marks`, a
// nibble per chunk: one bit per generation that has an entry in a queue) are for: a freed chunk is given a
// generation that no entry refers to, so that an old entry is never taken for the new item's. When all four
// are taken the chunk is parked until one of its entries has been dropped.
//
// Threads: the arena's lock guards everything here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "store/arena.h"
#include "store/chunk.h"
#include "store/fifo_queue.h"
#include "store/page_pool.h"
#include "store/s3fifo.h"
#include "store/segmented_table.h"

namespace ringcached::store {

struct LanePage {
  PageId page = kNoPage;             // kNoPage: a vacant slot, to be used again
  std::uint32_t first = 0;           // the first usable chunk: 1 in the page that holds address 0
  std::uint32_t fresh = 0;           // chunks from here on were never handed out
  std::uint32_t used = 0;            // neither fresh nor free
  std::uint32_t free_head = 0;       // chunk number + 1 of a list linked through the chunks; 0: empty
  std::uint32_t next = 0, prev = 0;  // slot + 1 in the list of pages with room
  bool listed = false;               // in that list
  bool leaving = false;              // hands out no more chunks and is not listed, see set_leaving()
  std::uint32_t entries = 0;         // in the queues, for chunks of this slot
  std::uint32_t index = 0;           // in the arena's list of pages
  // Kept by the arena's balance, see there. The window of the last look; 0: not looked at yet.
  std::uint32_t looked_at = 0;
  bool use_known = false;
  float used_share = 0, last_share = 0;
  std::unique_ptr<std::uint8_t[]> marks;
};

class Lane {
 public:
  struct Place {
    std::uint32_t slot = 0, chunk = 0;
  };
  struct Config {
    unsigned arena = 0;
    unsigned slab_class = 0;
    unsigned number = 0;  // of the lane in its class
    std::size_t chunk_bytes = 0;
    std::uint32_t slots_max = ~0U;  // lowered by tests
    S3FifoOptions policy;
  };
  Lane(const Config& config, PagePool& pool, FifoBlocks& blocks);

  // --- Pages.
  // Makes `page` part of the lane; `index` is its place in the arena's list. False when the lane is full or
  // the heap has nothing.
  bool attach(PageId page, std::uint32_t index);
  // What the next attach() needs of the heap; false: it has nothing, or the lane is full.
  bool prepare();
  // The page at `slot` leaves. Precondition: none of its chunks is used.
  PageId detach(std::uint32_t slot);
  // While a page is to leave, none of its chunks is taken; those that are given back make it emptier.
  void set_leaving(std::uint32_t slot, bool leaving);
  bool full() const { return vacant_ == 0 && slots_ == slots_max_; }
  std::size_t pages() const { return pages_; }
  LanePage& page_at(std::uint32_t slot) { return table_[slot]; }
  const LanePage& page_at(std::uint32_t slot) const { return table_[slot]; }
  // Of the next few pages in turn the one with the fewest used chunks; its slot, or ~0 if the lane has no
  // page.
  std::uint32_t next_victim(unsigned pages_looked_at);

  // --- Chunks.
  // A chunk in state kFilling, or none.
  Chunk take();
  // Gives back a used chunk. True when its page has no used chunk left.
  bool put(ChunkAddress chunk);
  std::size_t chunks_used() const { return used_; }
  std::size_t chunks_free() const { return capacity_ - used_; }
  std::size_t chunks_parked() const { return parked_; }
  std::size_t chunk_bytes() const { return chunk_bytes_; }
  unsigned chunks_per_page() const { return chunks_per_page_; }
  Place place_of(ChunkAddress chunk) const;
  ChunkAddress address_of(Place place) const;

  // --- Queues.
  S3Fifo::Insertion publish(Chunk chunk, std::uint32_t fingerprint);
  // decide(chunk, generation, Queue) -> Candidate; expect(chunk) is called for an item that it will be asked
  // about soon.
  template <typename Decide, typename Expect>
  S3Fifo::Eviction evict(unsigned tries_max, Decide&& decide, Expect&& expect);
  // A bounded step of dropping entries of items that are gone, when there are many; called once per change.
  void compact_if_due();
  // The same when chunks are wanted: until one is no longer parked, or a bounded number of steps was done.
  bool unpark();
  const S3Fifo& policy() const { return policy_; }
  // The item that `queue` comes to next; kNoChunk when none of its first few entries is one.
  ChunkAddress oldest(Queue queue) const;
  std::size_t stale_entries() const { return stale_; }
  // Ghost and marks; the queues' blocks are counted by FifoBlocks.
  std::size_t overhead_bytes() const {
    return policy_.ghost().bytes() + pages_ * ((chunks_per_page_ + 1) / 2);
  }

 private:
  static constexpr unsigned kGenerations = 4;
  static constexpr std::size_t kExpectAhead = 1;
  static constexpr unsigned kEntryGenerationBits = 2;
  static constexpr std::uint8_t kAllMarks = (1U << kGenerations) - 1;
  static_assert(kEntryGenerationBits <= kGenerationBits && kGenerations == 1U << kEntryGenerationBits);

  static std::uint8_t marks_of(const LanePage& page, std::uint32_t chunk) {
    return static_cast<std::uint8_t>(page.marks[chunk / 2] >> (chunk % 2 * kGenerations)) & kAllMarks;
  }
  static void flip_mark(LanePage& page, std::uint32_t chunk, std::uint32_t generation) {
    page.marks[chunk / 2] ^= static_cast<std::uint8_t>(1U << (chunk % 2 * kGenerations + generation));
  }
  std::uint32_t entry_of(Place place, std::uint32_t generation) const {
    return ((place.slot << chunk_bits_ | place.chunk) << kEntryGenerationBits) | generation;
  }
  Place place_of_entry(std::uint32_t entry) const {
    const std::uint32_t number = entry >> kEntryGenerationBits;
    return {number >> chunk_bits_, number & ((1U << chunk_bits_) - 1)};
  }
  static std::uint32_t generation_of_entry(std::uint32_t entry) { return entry & (kGenerations - 1); }

  std::byte* pointer(const LanePage& page, std::uint32_t chunk) const {
    return pool_.page_address(page.page) + chunk * chunk_bytes_;
  }
  enum class EntryState : std::uint8_t { kItem, kUnlinked, kStale };
  EntryState look_at(std::uint32_t entry) const;
  void prefetch(std::uint32_t entry) const;
  void forget(std::uint32_t entry, EntryState state);
  bool compact_step();
  void list_free(std::uint32_t slot, std::uint32_t chunk, std::uint32_t generation);
  std::uint32_t next_slot() const { return vacant_ != 0 ? vacant_ - 1 : slots_; }
  void list_page(std::uint32_t slot);
  void unlist_page(std::uint32_t slot);
  Chunk take_from(std::uint32_t slot);

  PagePool& pool_;
  const unsigned arena_, slab_class_, number_;
  const std::size_t chunk_bytes_;
  const unsigned chunks_per_page_;
  const unsigned chunk_bits_;
  const std::uint32_t slots_max_;
  const std::uint64_t reciprocal_;  // of chunk_bytes_, see place_of

  SegmentedTable<LanePage> table_;
  std::uint32_t slots_ = 0;   // of table_ in use or vacant
  std::uint32_t vacant_ = 0;  // slot + 1 of a list through LanePage::next
  std::uint32_t roomy_ = 0;   // slot + 1: pages with free or fresh chunks
  std::uint32_t victim_ = 0;  // where next_victim goes on
  std::size_t pages_ = 0;
  std::size_t capacity_ = 0, used_ = 0, parked_ = 0;

  S3Fifo policy_;
  std::size_t stale_ = 0;  // entries in the queues whose chunk was freed since
  bool compacting_ = false;
  unsigned compact_credit_ = 0;
};

template <typename Decide, typename Expect>
S3Fifo::Eviction Lane::evict(unsigned tries_max, Decide&& decide, Expect&& expect) {
  return policy_.evict(
      tries_max,
      [&](std::uint32_t entry, Queue queue) -> S3Fifo::Candidate {
        std::uint32_t soon = 0;
        const FifoQueue& from = queue == Queue::kSmall ? policy_.small() : policy_.main();
        // Its own memory was asked for earlier and has come.
        if (from.peek(kExpectAhead, soon) && look_at(soon) == EntryState::kItem) {
          expect(address_of(place_of_entry(soon)));
        }
        const EntryState state = look_at(entry);
        if (state != EntryState::kItem) {
          forget(entry, state);
          return {};
        }
        const S3Fifo::Candidate candidate =
            decide(address_of(place_of_entry(entry)), generation_of_entry(entry), queue);
        if (candidate.verdict == Verdict::kGone || candidate.verdict == Verdict::kEvicted)
          forget(entry, state);
        return candidate;
      },
      [this](std::uint32_t entry) { prefetch(entry); },
      [this](std::uint32_t entry) { forget(entry, look_at(entry)); });
}

}  // namespace ringcached::store
