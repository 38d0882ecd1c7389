// Pins, and the way of an unlinked item's memory back to its arena.
//
// A pin is a count beside the item memory, one per 4 KiB. A reader counts up, then looks whether the bucket's
// version has changed; an unlinker changes the version, then looks at the count. Both use a read-modify-write
// of the count, so one of the two comes first, and the other sees what was done before it: either the reader
// gives up, or the unlinker sees the pin. A count may also be up for a moment by a reader that is about to
// give up; it means nothing then, and does no harm but delay.
//
// What is unlinked and pinned waits in limbo. A single chunk does so at its arena, which looks at the count
// before it frees. The parts of a chain have no counts: a pinned chain waits as a whole in the list here,
// which is looked through by maintain(), a step at a time, and by a step before an allocation fails.
#include <mutex>
#include <utility>

#include "store/store_core.h"

namespace ringcached::store {
namespace {

// Thousands of slow readers of values that are gone shall not make a turn long; a look is two lines of cache.
constexpr unsigned kLimboChunksPerStep = 256;

}  // namespace

void StoreCore::unpin(ChunkAddress head) {
  pool->pins(head).fetch_sub(1, std::memory_order_release);
}

bool StoreCore::release_parts(const Existing& existing, ThreadState* thread) {
  if (existing.header.value_bytes < kPinBytesMin) return true;
  const bool pinned = pool->pins(existing.address).fetch_add(0, std::memory_order_acq_rel) != 0;
  if (!existing.header.chained()) return true;
  if (pinned) {
    std::byte* chunk = item(existing.address);
    chunk_state(chunk).store(with_kind(existing.header.state, ChunkKind::kLimbo), std::memory_order_release);
    push_limbo(existing.address);
    return false;
  }
  free_parts(thread, shared_load64(item(existing.address) + kChainNextOffset));
  return true;
}

void StoreCore::retire(ThreadState& thread, const Existing& existing) {
  if (release_parts(existing, &thread)) free_chunk(&thread, existing.address);
}

// Linked through the CAS ids, which nobody needs any more.
void StoreCore::push_limbo(ChunkAddress head) {
  ChunkAddress first = limbo_.load(std::memory_order_relaxed);
  do {
    shared_store64(item(head) + kCasOffset, first);
  } while (!limbo_.compare_exchange_weak(first, head, std::memory_order_release, std::memory_order_relaxed));
}

// Those that are still pinned join the new ones, which are looked at when the rest of these has been.
StoreCore::LimboStep StoreCore::step_limbo(ThreadState& thread) {
  LimboStep step;
  if (limbo_left_.load(std::memory_order_relaxed) == kNoChunk &&
      limbo_.load(std::memory_order_relaxed) == kNoChunk) {
    return step;
  }
  const std::unique_lock guard(limbo_lock_, std::try_to_lock);
  if (!guard) return step;
  ChunkAddress head = limbo_left_.load(std::memory_order_relaxed);
  if (head == kNoChunk) head = limbo_.exchange(kNoChunk, std::memory_order_acquire);
  for (unsigned used = 0; head != kNoChunk && used < kLimboChunksPerStep; ++used) {
    std::byte* chunk = item(head);
    const ChunkAddress next = shared_load64(chunk + kCasOffset);
    if (pool->pins(head).load(std::memory_order_acquire) != 0) {
      push_limbo(head);
    } else {
      used += free_parts(&thread, shared_load64(chunk + kChainNextOffset));
      free_chunk(&thread, head);
      step.freed = true;
    }
    head = next;
  }
  limbo_left_.store(head, std::memory_order_relaxed);
  step.more = head != kNoChunk;
  return step;
}

Pin::Pin(Pin&& other) noexcept : store_(other.store_), head_(std::exchange(other.head_, kNoChunk)) {}

Pin& Pin::operator=(Pin&& other) noexcept {
  if (this == &other) return *this;
  release();
  store_ = other.store_;
  head_ = std::exchange(other.head_, kNoChunk);
  return *this;
}

void Pin::release() {
  if (head_ == kNoChunk) return;
  store_->impl_->unpin(std::exchange(head_, kNoChunk));
}

ChunkAddress Pin::detach() {
  return std::exchange(head_, kNoChunk);
}

void Pin::release_raw(void* store, void* head) {
  static_cast<Store*>(store)->impl_->unpin(static_cast<ChunkAddress>(reinterpret_cast<std::uintptr_t>(head)));
}

}  // namespace ringcached::store
