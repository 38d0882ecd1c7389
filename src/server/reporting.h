// What the execution of requests tells the watchers. While nobody watches, each call is one load and a
// branch; none of them looks anything up: they tell what the operation has found anyway.
#pragma once

#include <string_view>

#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

namespace detail {
void report_lookup(WorkerContext& worker, std::string_view key, const store::ItemSeen& seen);
void report_store(WorkerContext& worker, const store::StoreRequest& request, store::StoreResult result,
                  std::size_t value_bytes);
void report_abandoned(WorkerContext& worker, const store::StoreRequest& request);
void report_removal(WorkerContext& worker, std::string_view key, bool deleted, EventVerb verb);
void report_cleared(WorkerContext& worker, std::string_view key, CacheTime expiry);
}  // namespace detail

// After a read. `info` counts for a hit.
inline void report_lookup(WorkerContext& worker, std::string_view key, store::Lookup lookup,
                          const store::ItemInfo& info) {
  if (worker.server.events.wants(EventStream::kFetchers)) [[unlikely]] {
    const bool hit = lookup == store::Lookup::kHit;
    detail::report_lookup(worker, key, {lookup, hit ? info.value_bytes : 0, hit ? info.slab_class : 0});
  }
}

// The same of a hit.
inline void report_hit(WorkerContext& worker, std::string_view key, std::uint32_t value_bytes,
                       unsigned slab_class) {
  if (worker.server.events.wants(EventStream::kFetchers)) [[unlikely]] {
    detail::report_lookup(worker, key, {store::Lookup::kHit, value_bytes, slab_class});
  }
}

// After touch, arithmetic, or a removal that leaves the item: the item they found.
inline void report_found(WorkerContext& worker, std::string_view key) {
  if (worker.server.events.wants(EventStream::kFetchers)) [[unlikely]] {
    detail::report_lookup(worker, key, worker.thread.last_seen());
  }
}

// After a put, a commit, or a begin that was refused: the item found, and what came of it. `value_bytes`: as
// the client sent them.
inline void report_store(WorkerContext& worker, const store::StoreRequest& request, store::StoreResult result,
                         std::size_t value_bytes) {
  constexpr StreamMask kStreams = mask_of(EventStream::kFetchers) | mask_of(EventStream::kMutations);
  if (worker.server.events.wants_any(kStreams)) [[unlikely]] {
    detail::report_store(worker, request, result, value_bytes);
  }
}

// A value that came in pieces, and memory ran out on the way: the old item is untouched.
inline void report_abandoned(WorkerContext& worker, const store::StoreRequest& request) {
  if (worker.server.events.wants(EventStream::kMutations)) [[unlikely]] {
    detail::report_abandoned(worker, request);
  }
}

// After a removal that leaves an empty value: also a store.
inline void report_cleared(WorkerContext& worker, std::string_view key, CacheTime expiry) {
  if (worker.server.events.wants(EventStream::kMutations)) [[unlikely]] {
    detail::report_cleared(worker, key, expiry);
  }
}

// After a removal: the item found, and that it was deleted.
inline void report_removal(WorkerContext& worker, std::string_view key, bool deleted, EventVerb verb) {
  constexpr StreamMask kStreams = mask_of(EventStream::kFetchers) | mask_of(EventStream::kDeletions);
  if (worker.server.events.wants_any(kStreams)) [[unlikely]] {
    detail::report_removal(worker, key, deleted, verb);
  }
}

// A client has come, or gone.
void report_connection(WorkerContext& worker, const Connection& connection);
void report_close(WorkerContext& worker, const Connection& connection, CloseReason reason);

// What background work has done since `before` (StoreThread::counters()).
struct BackgroundFigures {
  std::uint64_t examined = 0, reclaimed = 0, pages_moved = 0;
};
BackgroundFigures background_figures(const WorkerContext& worker);
void report_pages_moved(WorkerContext& worker, const BackgroundFigures& before);
// The pages that moved in the worker's memory because it needed some; one line tells of the last.
void report_own_page_moves(WorkerContext& worker, std::uint64_t& told);
// A pass over the worker's items is through. `seconds`: how long it took.
void report_pass(WorkerContext& worker, const BackgroundFigures& before, CacheTime seconds);

}  // namespace ringcached::server
