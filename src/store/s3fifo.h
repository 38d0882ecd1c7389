// The order of eviction of one set of equally large items: S3-FIFO (Yang et al., SOSP 2023). New items enter
// a small FIFO of a tenth of the entries; what was used there once more moves to the main FIFO, the rest is
// evicted and remembered by fingerprint (Ghost), so that it enters the main FIFO when it is stored again
// soon. The main FIFO gives an item one more round per use, up to its 2-bit counter. The counters live with
// the items: `decide` asks and changes them.
//
// Threads: none of its own; the arena's lock guards it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "store/fifo_queue.h"
#include "store/ghost.h"
#include "store/item_owner.h"

namespace ringcached::store {

struct S3FifoOptions {
  unsigned small_percent = 10;
  // One queue, where any use since the last visit gives one more round: close to least-recently-used order.
  bool lru = false;
};

class S3Fifo {
 public:
  struct Candidate {
    Verdict verdict = Verdict::kGone;
    std::uint32_t fingerprint = 0;
    bool ghost = true;  // kEvicted: worth remembering
  };
  struct Insertion {
    bool queued = false;  // false: no memory for the entry
    bool ghost_hit = false;
  };
  struct Eviction {
    bool evicted = false;
    unsigned tries = 0;     // entries asked about that were not gone
    unsigned promoted = 0;  // of these, moved from small to main
  };

  S3Fifo(FifoBlocks& blocks, const S3FifoOptions& options)
      : options_(options), small_(blocks), main_(blocks) {}

  Insertion insert(std::uint32_t entry, std::uint32_t fingerprint);

  // Looks at up to `tries_max` entries, not counting up to kGoneMax that are gone, until one is evicted.
  // decide(entry, Queue) -> Candidate; prefetch(entry) is called a few entries ahead. An entry that cannot be
  // queued again for want of memory is lost: its item stays until it is removed or its page is taken.
  template <typename Decide, typename Prefetch, typename Lost>
  Eviction evict(unsigned tries_max, Decide&& decide, Prefetch&& prefetch, Lost&& lost);

  // One bounded step of dropping entries for which keep(entry) is false; false when both queues are through.
  template <typename Prefetch, typename Keep>
  bool compact_step(Prefetch&& prefetch, Keep&& keep);

  std::size_t size() const { return small_.size() + main_.size(); }
  const FifoQueue& small() const { return small_; }
  const FifoQueue& main() const { return main_; }
  const Ghost& ghost() const { return ghost_; }

 private:
  static constexpr std::size_t kPrefetchAhead = 4;
  // Entries of items that are gone, mostly of pages that left: nanoseconds each, but they come by the
  // thousand.
  static constexpr std::size_t kGoneMax = 32768;

  bool small_is_due() const {
    return main_.empty() || (!small_.empty() && small_.size() * 100 >= size() * options_.small_percent);
  }
  // As many keys as the main queue has at its share of the entries; one more was just taken out of a queue.
  std::size_t ghost_capacity() const { return (size() + 1) * (100 - options_.small_percent) / 100; }

  S3FifoOptions options_;
  FifoQueue small_;
  FifoQueue main_;
  Ghost ghost_;
  bool compacting_main_ = false;
};

template <typename Decide, typename Prefetch, typename Lost>
S3Fifo::Eviction S3Fifo::evict(unsigned tries_max, Decide&& decide, Prefetch&& prefetch, Lost&& lost) {
  Eviction result;
  std::size_t gone_left = kGoneMax;
  while (result.tries < tries_max && gone_left != 0 && size() != 0) {
    const bool from_small = small_is_due();
    FifoQueue& from = from_small ? small_ : main_;
    std::uint32_t near = 0;
    if (from.peek(kPrefetchAhead, near)) prefetch(near);
    const std::uint32_t entry = from.pop();
    ++result.tries;
    // Under LRU the answer to kSmall is wanted: the counter is cleared, so that many uses count as one.
    const Candidate candidate = decide(entry, from_small || options_.lru ? Queue::kSmall : Queue::kMain);
    switch (candidate.verdict) {
      case Verdict::kGone:
        --result.tries;
        --gone_left;
        break;
      case Verdict::kKept:
        if (from_small) ++result.promoted;
        if (!main_.push(entry)) lost(entry);
        break;
      case Verdict::kBusy:
        if (!from.push(entry)) lost(entry);
        break;
      case Verdict::kEvicted:
        if (from_small && candidate.ghost) ghost_.insert(candidate.fingerprint, ghost_capacity());
        result.evicted = true;
        return result;
    }
  }
  return result;
}

template <typename Prefetch, typename Keep>
bool S3Fifo::compact_step(Prefetch&& prefetch, Keep&& keep) {
  if (!compacting_main_) {
    if (small_.compact_step(prefetch, keep)) return true;
    compacting_main_ = true;
  }
  if (main_.compact_step(prefetch, keep)) return true;
  compacting_main_ = false;
  return false;
}

}  // namespace ringcached::store
