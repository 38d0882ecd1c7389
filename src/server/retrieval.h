// get, gets, gat, gats: keys in, VALUE blocks out.
#pragma once

#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

struct Retrieval {
  bool with_cas = false;  // gets, gats
  bool touch = false;     // gat, gats: hits get the expiry below
  CacheTime expiry = 0;
};

// Appends the VALUE block of `key` if it is there, and counts. The closing END is the caller's.
void retrieve(WorkerContext& worker, Output& output, const store::Key& key, const Retrieval& retrieval);

// All that answers "get <key>": the same, and the END.
void retrieve_whole(WorkerContext& worker, Output& output, const store::Key& key);

// A lookup in all its counters; `slab_class` of a hit.
void count_retrieval(WorkerCounters& counters, const Retrieval& retrieval, store::Lookup lookup,
                     unsigned slab_class);
// The hit of a lookup in its counters, total and per class; `touch`: those of touching.
inline void count_hit(WorkerCounters& counters, bool touch, unsigned slab_class) {
  counters.add(touch ? Count::kTouchHits : Count::kGetHits);
  counters.add(touch ? ClassCount::kTouchHits : ClassCount::kGetHits, slab_class);
}
// What a lookup found instead of a living item.
void count_dead(WorkerCounters& counters, store::Lookup lookup);

}  // namespace ringcached::server
