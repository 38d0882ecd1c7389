// What was evicted lately and not asked for since: 16 bits of the key's fingerprint and an 8-bit time, in
// buckets of one cache line. 4 bytes per remembered key. A key evicted less than `capacity` evictions ago is
// found with a probability of about 98 % (a full bucket forgets its oldest), one that was never evicted with
// about 16 / 65536 up to a million entries, beyond that with capacity / 2^32.
//
// Threads: none of its own; the arena's lock guards it. Bounded work per call, whatever the size: a table
// gets its memory, and is given back, in pieces. Insertions lie anywhere in it; that each of them makes the
// kernel clear a page was half a millisecond of a turn.
#pragma once

#include <cstddef>
#include <cstdint>

#include "store/mapping.h"

namespace ringcached::store {

class Ghost {
 public:
  // Remembers a key that is being evicted. `capacity`: how many later evictions it is to be remembered for;
  // the table follows when this has grown by an eighth or shrunk to a half, some calls later if it is large.
  // Without memory for a table nothing is remembered.
  void insert(std::uint32_t fingerprint, std::size_t capacity);
  // True if the key was remembered; it is forgotten then. A false alarm is possible.
  bool take(std::uint32_t fingerprint);

  // Slots filled, some of them outdated: a figure for statistics.
  std::size_t entries() const { return current_.filled + previous_.filled; }
  std::size_t bytes() const {
    return current_.memory.bytes() + previous_.memory.bytes() + next_.memory.bytes();
  }
  // Of a table, taken or given back by a call.
  static constexpr std::size_t kBytesPerCall = std::size_t{16} << 10;

 private:
  struct alignas(64) Bucket {
    static constexpr unsigned kSlots = 20;
    std::uint16_t tags[kSlots];
    std::uint8_t times[kSlots];
    std::uint32_t filled;  // a bit per slot
  };
  static_assert(sizeof(Bucket) == 64);

  struct Table {
    Mapping memory;  // of Bucket; zeroed is empty
    std::uint32_t bucket_count = 0;
    // Time is counted in insertions, in units of `epoch_length`, and known modulo 256.
    std::uint32_t epoch_length = 1;
    std::uint32_t epochs_valid = 1;
    std::uint32_t in_epoch = 0;
    std::uint8_t epoch = 0;
    std::size_t capacity = 0;
    std::size_t filled = 0;

    bool create(std::size_t for_capacity);
    void insert(std::uint32_t fingerprint);
    bool take(std::uint32_t fingerprint);
    void drop_outdated(Bucket& bucket);
    Bucket& bucket_of(std::uint32_t fingerprint);
  };

  void resize();

  Table current_;
  Table next_;                      // its successor, while memory is put behind it
  std::size_t next_populated_ = 0;  // bytes of that
  Table previous_;  // before a change of capacity; looked at until what it knows is outdated, then given back
                    // in pieces
  std::size_t previous_left_ = 0;
};

}  // namespace ringcached::store
