// What watchers are told (spec 10): one event, and the line it becomes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ringcached::server {

enum class EventStream : std::uint8_t {
  kFetchers,     // item_get
  kMutations,    // item_store
  kEvictions,    // eviction
  kConnections,  // conn_new, conn_close
  kSystem,       // lru_crawler, slab_move
  kDeletions,    // deleted
};
inline constexpr std::size_t kEventStreams = 6;

// A set of streams; 0 is none.
using StreamMask = std::uint32_t;
constexpr StreamMask mask_of(EventStream stream) {
  return StreamMask{1} << static_cast<unsigned>(stream);
}

enum class EventStatus : std::uint8_t {
  kNotFound,
  kFound,
  kFlushed,
  kExpired,
  kNotStored,
  kStored,
  kExists,
  kTooLarge,
  kNoMemory,
};

enum class EventVerb : std::uint8_t {
  kNone,
  kAdd,
  kSet,
  kReplace,
  kAppend,
  kPrepend,
  kCas,
  kDelete,
  kMetaDelete
};

// The stream says which fields count. Connections and the system have a text of their own instead, the line
// from `type=` on.
struct Event {
  EventStream stream = EventStream::kFetchers;
  EventStatus status = EventStatus::kNotFound;
  EventVerb verb = EventVerb::kNone;
  bool fetched = false;
  std::uint32_t value_bytes = 0;
  std::int32_t ttl_seconds = 0;
  std::uint32_t idle_seconds = 0;  // since the last access
  std::uint32_t slab_class = 0;
  std::int32_t descriptor = 0;
  // Filled in by the log.
  std::uint64_t number = 0;
  std::uint64_t wall_us = 0;  // microseconds since 1970
};

// A key, or a text of at most so many bytes.
inline constexpr std::size_t kEventTextBytesMax = 400;
inline constexpr std::size_t kEventLineBytesMax = 1280;

// Writes the line with its LF to `out` (room for kEventLineBytesMax) and returns its end. `text`: the key as
// the client sent it, or the text.
char* write_event_line(char* out, const Event& event, std::string_view text);

// "skipped=<lines>" with its LF; same room.
char* write_skipped_line(char* out, std::uint64_t lines);

// The stream that a word of the watch command names. `known` false: no such stream. A known one without
// events has an empty mask.
struct NamedStream {
  bool known = false;
  StreamMask mask = 0;
};
NamedStream stream_named(std::string_view word);

}  // namespace ringcached::server
