// The memory unsent output lies in: blocks of one size, pooled per worker.
//
//   +--------+----------------------------------+------+------------+-----+-----------+
//   | header | copied bytes ->                  | free | reference n | ... | reference 0 |
//   +--------+----------------------------------+------+------------+-----+-----------+
//
// Copied bytes grow upward; a reference (bytes that lie elsewhere and are sent from there) takes a record at
// the end and remembers behind how many copied bytes it comes. So a queue of output needs nothing but blocks.
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/counter.h"
#include "base/intrusive_list.h"
#include "ringcached/network.h"

namespace ringcached::net {

struct OutputReference {
  const char* data;
  std::size_t bytes;
  OutputPin pin;
  std::uint32_t behind;  // offset among the block's copied bytes at which these are sent
};

struct OutputBlock {
  OutputBlock* next;
  void* allocation;          // what to free; the header lies up to kColourBytesMax behind it
  std::uint32_t capacity;    // bytes behind the header
  std::uint32_t begin;       // first copied byte not sent
  std::uint32_t end;         // behind the last copied byte (current only once the queue has sealed it)
  std::uint16_t references;  // records at the end
  std::uint16_t sent;        // of those, done with

  char* data() { return reinterpret_cast<char*>(this + 1); }
  char* data_end() { return data() + capacity; }
  OutputReference& reference(unsigned i) {
    return reinterpret_cast<OutputReference*>(data_end())[-1 - static_cast<int>(i)];
  }
};

class OutputBlockPool {
 public:
  static constexpr std::size_t kAllocationBytes = 16384;
  // Headers are put at different offsets: at one and the same, the first lines of all blocks would compete
  // for a few sets of the caches.
  static constexpr std::size_t kColours = 16;
  static constexpr std::size_t kColourStep = 128;
  static constexpr std::size_t kColourBytesMax = (kColours - 1) * kColourStep;
  static constexpr std::size_t kCapacityMin = kAllocationBytes - kColourBytesMax - sizeof(OutputBlock);

  OutputBlockPool() = default;
  ~OutputBlockPool();
  OutputBlockPool(const OutputBlockPool&) = delete;
  OutputBlockPool& operator=(const OutputBlockPool&) = delete;

  // An empty block. Comes from the heap only while the pool grows.
  OutputBlock* take();
  void give(OutputBlock* block);
  // Frees half of the blocks that nobody needed since the last call, but no more than a turn has time for;
  // call it now and then (each tick).
  void trim();
  static constexpr std::uint64_t kTrimmedMax = 1024;

  // Any thread: blocks in existence, used or not.
  std::uint64_t blocks() const { return blocks_.get(); }
  std::uint64_t blocks_free() const { return free_count_; }

 private:
  OutputBlock* allocate();
  static void free_block(OutputBlock* block);

  OutputBlock* free_ = nullptr;
  std::uint64_t free_count_ = 0;
  std::uint64_t free_low_ = 0;  // fewest free ones since the last trim
  std::size_t next_colour_ = 0;
  Counter blocks_;
};

static_assert(OutputBlockPool::kCapacityMin >= Output::kRoomBytesMax + sizeof(OutputReference));
static_assert(sizeof(OutputBlock) % alignof(OutputReference) == 0);

class SendQueue;
struct DirtyTag;

// What all send queues of a worker share.
struct OutputPool {
  OutputBlockPool blocks;
  // Queues that got output since they were last flushed.
  IntrusiveList<SendQueue, DirtyTag> dirty;
};

}  // namespace ringcached::net
