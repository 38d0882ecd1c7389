// The lock of one item, for overwriting its value in place without the lock of its bucket: seven keys share
// that, and the line of a popular key's bucket would go from core to core with every set.
//
// The lock is the item's state word: ChunkKind::kWriting, with the number of the thread that holds it. Who
// holds it waits for nothing. Both locks exclude each other:
//  - Who wants the item (1) takes a ticket of the bucket and finds the item in it, (2) locks the item by
//    compare-and-swap of the state word it has seen, (3) looks whether the bucket's version is still the
//    ticket's. If not, somebody has the bucket, or has changed it: the word is put back, and nothing else was
//    changed.
//  - Who has the bucket and relies on the item looks at the state word (StoreCore::settled_state) and waits
//    while it is kWriting.
// Each side does a locked instruction, then loads what the other has locked, so one sees the other. What (2)
// hits may be locked in vain for a moment, even be unlinked meanwhile by a holder of the bucket who looked
// before: that one's word stays, as the word is put back by compare-and-swap, which succeeds only on a word
// with the thread's own number. It may also be the next item in the same chunk, whose holders wait or
// overrule in the same way. It is never anything else: PageGuard keeps pages from being cut anew while
// somebody is between (1) and the end.
//
// Readers believe what they copied if the bucket's version and the item's CAS id have not changed
// (store_read.h): the id is the version of an item in its chunk. It is the first that is written under this
// lock, and no two generated ones of a key are equal. Ids that clients choose are stored under the lock of
// the bucket only.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "store/chunk.h"
#include "store/item.h"
#include "store/shared_bytes.h"

namespace ringcached::store {

class ItemLock {
 public:
  // `state`: the word as it was seen, of an unchained item that nobody has locked.
  ItemLock(std::byte* chunk, std::uint32_t state, unsigned thread)
      : word_(chunk_state(chunk)), state_(state), writing_(writing_word(state, thread)) {
    held_ = word_.compare_exchange_strong(state, writing_, std::memory_order_seq_cst);
    fence_behind_lock();
    write_fence();
  }
  ~ItemLock() {
    if (!held_) return;
    std::uint32_t mine = writing_;
    word_.compare_exchange_strong(mine, state_, std::memory_order_release, std::memory_order_relaxed);
  }
  ItemLock(const ItemLock&) = delete;
  ItemLock& operator=(const ItemLock&) = delete;

  explicit operator bool() const { return held_; }
  // The item has got its next state word, which has unlocked it.
  void passed_on() { held_ = false; }

 private:
  std::atomic<std::uint32_t>& word_;
  std::uint32_t state_, writing_;
  bool held_;
};

}  // namespace ringcached::store
