// What the allocator asks the index when it needs memory back. Implemented by the store (and by a fake in the
// tests).
#pragma once

#include <cstdint>

#include "store/chunk.h"

namespace ringcached::store {

enum class Queue : std::uint8_t { kSmall, kMain };

enum class Verdict : std::uint8_t {
  kGone,  // no item of this generation lives there any more: forget the entry, the chunk is somebody else's
          // business
  kKept,  // it was used since: its counter was cleared (small) or lowered (main); requeue it in main
  kEvicted,  // unlinked from the index, see ItemOwner::try_evict for who frees what
  kBusy,     // cannot be decided now: requeue where it was
};

// Called with the lock of the calling arena held: an implementation may take bucket locks, and must use the
// lock-free free_remote for chunks it gives back, also for chunks of the calling arena.
class ItemOwner {
 public:
  virtual ~ItemOwner() = default;

  struct Decision {
    Verdict verdict = Verdict::kGone;
    // The rest is for kEvicted only.
    std::uint32_t fingerprint = 0;   // for the ghost; the same that publish() was given
    bool expired = false;            // it was dead already (counts as reclaimed, leaves no ghost)
    bool has_expiry = false;         // for the statistics: an expiry time was set,
    bool fetched = false;            // it was read at least once,
    bool active = false;             // it was read recently (memcached's evicted_active),
    std::uint32_t idle_seconds = 0;  // and the time since its last access
  };

  // Decides about the item whose head is `chunk`, if its generation is still `generation`.
  // `force`: evict whatever its counter says (page moves, all candidates exhausted).
  // On kEvicted the owner has given back every further chunk of a chain by free_remote of the chunk's arena;
  // the head itself is freed by the calling arena (kept in limbo while its pins are not 0). A chain whose
  // head is pinned must not be evicted (kBusy): its parts have no pins of their own.
  virtual Decision try_evict(ChunkAddress chunk, std::uint32_t generation, Queue queue, bool force) = 0;

  // try_evict() of this item will be called soon: asks for the memory that it will need. Of the calling
  // arena.
  virtual void expect_eviction(ChunkAddress /*chunk*/) {}

  // The head of the item that the continuation chunk `part` belongs to; kNoChunk if it is being filled or
  // gone.
  virtual ChunkAddress head_of(ChunkAddress part) = 0;

  // Whether the item whose head is `chunk` has been used since its counter was cleared last, which `clear`
  // does.
  virtual bool was_used(ChunkAddress chunk, bool clear) = 0;

  // The items of the page that begins at chunk `page` are unlinked, and it is going to be cut into chunks of
  // another class: returns when nobody writes there any more who has found an item in time.
  virtual void await_writers(ChunkAddress /*page*/) {}

  // free_remote(chunk) of the arena that `chunk` lies in, which is not the calling one. For heads that were
  // met through a part of their chain in the calling arena.
  virtual void free_elsewhere(ChunkAddress chunk) = 0;
};

}  // namespace ringcached::store
