#include "server/reporting.h"

#include <algorithm>
#include <string>
#include <utility>

#include "store/expiry.h"

namespace ringcached::server {
namespace {

using store::StoreMode;
using store::StoreResult;

EventStatus status_of(store::Lookup lookup) {
  switch (lookup) {
    case store::Lookup::kHit:
      return EventStatus::kFound;
    case store::Lookup::kMiss:
      break;
    case store::Lookup::kExpired:
      return EventStatus::kExpired;
    case store::Lookup::kFlushed:
      return EventStatus::kFlushed;
  }
  return EventStatus::kNotFound;
}

EventStatus status_of(StoreResult result) {
  switch (result) {
    case StoreResult::kStored:
      return EventStatus::kStored;
    case StoreResult::kNotStored:
      return EventStatus::kNotStored;
    case StoreResult::kExists:
      return EventStatus::kExists;
    case StoreResult::kNotFound:
      return EventStatus::kNotFound;
    case StoreResult::kTooLarge:
      return EventStatus::kTooLarge;
    case StoreResult::kNoMemory:
      break;
  }
  return EventStatus::kNoMemory;
}

EventVerb verb_of(StoreMode mode) {
  switch (mode) {
    case StoreMode::kSet:
      break;
    case StoreMode::kAdd:
      return EventVerb::kAdd;
    case StoreMode::kReplace:
      return EventVerb::kReplace;
    case StoreMode::kAppend:
      return EventVerb::kAppend;
    case StoreMode::kPrepend:
      return EventVerb::kPrepend;
    case StoreMode::kCas:
      return EventVerb::kCas;
  }
  return EventVerb::kSet;
}

std::int32_t ttl_seconds(CacheTime expiry, CacheTime now) {
  if (expiry == store::kNeverExpires || expiry <= now) return 0;
  return static_cast<std::int32_t>(expiry - now);
}

int client_descriptor(const WorkerContext& worker) {
  return worker.client != nullptr ? worker.client->descriptor() : -1;
}

void record(WorkerContext& worker, const Event& event, std::string_view text) {
  worker.server.events.record(worker.thread.id(), event, text);
}

void record_store(WorkerContext& worker, const store::StoreRequest& request, StoreResult result,
                  std::size_t value_bytes) {
  if (!worker.server.events.wants(EventStream::kMutations)) return;
  Event event{.stream = EventStream::kMutations, .status = status_of(result), .verb = verb_of(request.mode)};
  event.descriptor = client_descriptor(worker);
  // Of an item there was no room for nothing is told, as nothing of it exists.
  if (result == StoreResult::kStored) {
    const store::WriteInfo& written = worker.thread.last_write();
    event.ttl_seconds = ttl_seconds(written.expiry, worker.now());
    event.value_bytes = written.value_bytes;
    event.slab_class = worker.thread.last_class();
  } else if (result != StoreResult::kTooLarge && result != StoreResult::kNoMemory) {
    event.ttl_seconds = ttl_seconds(request.expiry, worker.now());
    event.value_bytes = static_cast<std::uint32_t>(value_bytes);
    event.slab_class = worker.thread.last_class();
  }
  record(worker, event, request.key.bytes);
}

// "rip=127.0.0.1 rport=4711 transport=tcp" from "tcp:127.0.0.1:4711".
std::string peer_fields(const Connection& connection) {
  if (connection.is_unix()) return "rip=unix rport=0 transport=local";
  const std::string name = connection.peer_name();
  const std::size_t transport_end = name.find(':');
  const std::size_t port_start = name.rfind(':');
  if (transport_end == std::string::npos) return "rip=unknown rport=0 transport=tcp";
  std::string address = name.substr(transport_end + 1, port_start - transport_end - 1);
  std::erase_if(address, [](char c) { return c == '[' || c == ']'; });
  const std::string transport = name.starts_with("udp") ? "udp" : "tcp";
  return "rip=" + address + " rport=" + name.substr(port_start + 1) + " transport=" + transport;
}

std::string_view word(CloseReason reason) {
  switch (reason) {
    case CloseReason::kPeer:
    case CloseReason::kHandler:
      break;
    case CloseReason::kError:
      return "error";
    case CloseReason::kIdleTimeout:
      return "idle_timeout";
    case CloseReason::kShutdown:
      return "shutdown";
  }
  return "normal";
}

}  // namespace

namespace detail {

[[gnu::noinline]] void report_lookup(WorkerContext& worker, std::string_view key,
                                     const store::ItemSeen& seen) {
  Event event{.stream = EventStream::kFetchers, .status = status_of(seen.lookup)};
  event.value_bytes = seen.value_bytes;
  event.slab_class = seen.slab_class;
  event.descriptor = client_descriptor(worker);
  record(worker, event, key);
}

// A refused item is told about before the old one that goes with it, as memcached does.
[[gnu::noinline]] void report_store(WorkerContext& worker, const store::StoreRequest& request,
                                    StoreResult result, std::size_t value_bytes) {
  const bool refused = result == StoreResult::kTooLarge || result == StoreResult::kNoMemory;
  if (!refused) report_found(worker, request.key.bytes);
  record_store(worker, request, result, value_bytes);
  const bool removed = request.mode == StoreMode::kSet || request.remove_when_refused;
  if (refused && removed) report_found(worker, request.key.bytes);
}

void report_abandoned(WorkerContext& worker, const store::StoreRequest& request) {
  record_store(worker, request, StoreResult::kNoMemory, 0);
}

void report_cleared(WorkerContext& worker, std::string_view key, CacheTime expiry) {
  Event event{.stream = EventStream::kMutations, .status = EventStatus::kStored, .verb = EventVerb::kSet};
  event.ttl_seconds = ttl_seconds(expiry, worker.now());
  event.slab_class = worker.thread.last_class();
  event.descriptor = client_descriptor(worker);
  record(worker, event, key);
}

void report_removal(WorkerContext& worker, std::string_view key, bool deleted, EventVerb verb) {
  report_found(worker, key);
  if (!deleted || !worker.server.events.wants(EventStream::kDeletions)) return;
  const store::ItemSeen seen = worker.thread.last_seen();
  Event event{.stream = EventStream::kDeletions, .verb = verb};
  event.value_bytes = seen.value_bytes;
  event.slab_class = seen.slab_class;
  record(worker, event, key);
}

}  // namespace detail

void report_connection(WorkerContext& worker, const Connection& connection) {
  if (!worker.server.events.wants(EventStream::kConnections)) return;
  record(worker, {.stream = EventStream::kConnections},
         "type=conn_new " + peer_fields(connection) + " cfd=" + std::to_string(connection.descriptor()));
}

void report_close(WorkerContext& worker, const Connection& connection, CloseReason reason) {
  if (!worker.server.events.wants(EventStream::kConnections)) return;
  record(worker, {.stream = EventStream::kConnections},
         "type=conn_close " + peer_fields(connection) + " reason=" + std::string(word(reason)) +
             " cfd=" + std::to_string(connection.descriptor()));
}

BackgroundFigures background_figures(const WorkerContext& worker) {
  const store::StoreCounters& counters = worker.thread.counters();
  return {counters.reaper_checked.get(), counters.reaper_reclaimed.get(), counters.pages_moved.get()};
}

namespace {

void report_page_move(WorkerContext& worker, const store::StoreThread::PageMove& move) {
  record(
      worker, {.stream = EventStream::kSystem},
      "type=slab_move src=" + std::to_string(move.from) + " dst=" + std::to_string(move.to) + " state=done");
}

}  // namespace

void report_pages_moved(WorkerContext& worker, const BackgroundFigures& before) {
  if (!worker.server.events.wants(EventStream::kSystem)) return;
  for (std::uint64_t i = before.pages_moved; i < background_figures(worker).pages_moved; ++i) {
    report_page_move(worker, worker.thread.last_page_move());
  }
}

void report_own_page_moves(WorkerContext& worker, std::uint64_t& told) {
  if (!worker.server.events.wants(EventStream::kSystem)) return;
  const store::StoreThread::PageMoves moves = worker.thread.own_page_moves();
  if (std::exchange(told, moves.count) != moves.count) report_page_move(worker, moves.last);
}

void report_pass(WorkerContext& worker, const BackgroundFigures& before, CacheTime seconds) {
  if (!worker.server.events.wants(EventStream::kSystem)) return;
  const BackgroundFigures now = background_figures(worker);
  if (now.examined == before.examined) return;
  // A pass goes over all classes and queues of a worker, and the next one starts whenever something expires.
  record(worker, {.stream = EventStream::kSystem},
         "type=lru_crawler crawler=0 lru=all low_mark=0 next_reclaims=0 since_run=0 next_run=0 elapsed=" +
             std::to_string(seconds) + " examined=" + std::to_string(now.examined - before.examined) +
             " reclaimed=" + std::to_string(now.reclaimed - before.reclaimed));
}

}  // namespace ringcached::server
