// Replaying a trace as a client that reads, and sets what it missed: against the store in this process, or a
// server over a socket.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bench/key_trace.h"
#include "bench/server_connection.h"
#include "ringcached/status.h"

namespace ringcached::bench {

// Bytes of the value of a key: from `min` to `max`, spread evenly over the keys, always the same for one key.
struct ValueSizes {
  std::size_t min = 100, max = 100;
  std::size_t of(std::uint32_t key) const;
};

struct ReplayResult {
  std::uint64_t hits = 0;
  std::uint64_t refused = 0;  // sets; 0 in any run worth believing
  std::uint64_t items = 0;    // in the cache at the end
};

// One thread's store with `memory_bytes` of item memory.
Result<ReplayResult> replay_in_store(const KeyTrace& trace, std::size_t memory_bytes,
                                     const ValueSizes& sizes);

// The same where memory holds a number of equally large items as close to `items` as pages allow; how many it
// was is the result's `items`, if the trace has so many keys. Values fill their chunk whatever the key's
// length.
Result<ReplayResult> replay_in_store_of(const KeyTrace& trace, std::size_t items);

// Against a server that speaks memcached's classic text. Up to `batch` accesses of different keys are read in
// one go, then what was missed is set: as one client would that reads several keys. A batch ends before a key
// that it has already, so a miss is always followed by its set before the next read of that key.
Result<ReplayResult> replay_to_server(const KeyTrace& trace, const ServerAddress& address,
                                      const ValueSizes& sizes, unsigned batch);

// Chunks of `chunk_bytes` filling `pages` pages make room for `items` items.
struct ItemRoom {
  std::size_t chunk_bytes = 0, pages = 0, items = 0;
};
// The closest there is, of chunks that hold every key of up to `key_bytes`.
ItemRoom room_for(std::size_t items, std::size_t key_bytes);

}  // namespace ringcached::bench
