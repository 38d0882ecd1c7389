// Who is about to compare-and-swap a word of an item without having locked anything, and who waits for that.
//
// An item that was seen may be unlinked the next moment, and its page be cut into chunks of another size: the
// word would be somebody's bytes then, which may have any value. So a writer says which chunk it is about to
// write to (PageGuard::enter) and then looks once more whether the item is still linked; and before a page is
// cut anew, when all its items were unlinked, its owner waits until nobody is in it (await_none_in).
//
// Each side stores, then looks at what the other stored. The writer does so at every set, the owner when a
// page leaves its class, so the fence between the two is the owner's alone: membarrier(2) makes every core
// that runs this process pass one. Where the kernel has no such call, or forbids it, writers pay for a locked
// instruction. What is forbidden only later, by a seccomp filter that comes after the store, is an error.
#pragma once

#include <atomic>
#include <memory>

#include "store/chunk.h"
#include "store/shared_bytes.h"

namespace ringcached::store {

class PageGuard {
 public:
  // `asymmetric` false: do without membarrier.
  explicit PageGuard(unsigned threads, bool asymmetric = true);
  PageGuard(const PageGuard&) = delete;
  PageGuard& operator=(const PageGuard&) = delete;

  // While it lives the chunk is not cut anew, if what is looked at behind enter() shows that it has not been.
  class Inside {
   public:
    explicit Inside(std::atomic<ChunkAddress>& place) : place_(place) {}
    ~Inside() { place_.store(kNoChunk, std::memory_order_release); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    std::atomic<ChunkAddress>& place_;
  };
  // `thread`: whose call this is; it is in one chunk at a time.
  Inside enter(unsigned thread, ChunkAddress chunk) const {
    std::atomic<ChunkAddress>& place = places_[thread].chunk;
    if (asymmetric_) [[likely]] {
      place.store(chunk, std::memory_order_relaxed);
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      place.exchange(chunk, std::memory_order_seq_cst);
      fence_behind_lock();
    }
    return Inside(place);
  }

  // Nobody is in the `bytes` from `first` on any more who entered before what happened before this call.
  void await_none_in(ChunkAddress first, std::size_t bytes) const;

  bool asymmetric() const { return asymmetric_; }

 private:
  struct alignas(64) Place {
    std::atomic<ChunkAddress> chunk{kNoChunk};
  };

  const unsigned threads_;
  const bool asymmetric_;
  const std::unique_ptr<Place[]> places_;
};

}  // namespace ringcached::store
