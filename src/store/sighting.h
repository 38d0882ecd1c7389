// Where a key's item was when its memory was asked for ahead (Store::prefetch_items).
#pragma once

#include <atomic>
#include <cstdint>

namespace ringcached::store {

struct Bucket;

// Whatever is done for the key soon after starts from here instead of searching again, if nothing has changed
// the bucket in the meantime; else this is of no use, but never wrong. The index outlives it.
struct Sighting {
  const Bucket* bucket = nullptr;              // the home bucket; null: not asked for
  std::atomic<std::uint64_t>* slot = nullptr;  // of an item with the tag of the key; null: none was seen
  const void* to_write = nullptr;              // the lines asked for last, if they will be written
  std::uint32_t version = 0;                   // of the bucket when the slot was seen
  std::uint32_t next_overflow = 0;             // where the chain goes on that was not searched to its end
};

}  // namespace ringcached::store
