#include "server/event.h"

#include <charconv>
#include <cstring>

#include "protocol/uri.h"

namespace ringcached::server {
namespace {

constexpr std::uint64_t kMicrosecondsPerSecond = 1'000'000;

// Appends to room that is known to suffice.
class LineWriter {
 public:
  explicit LineWriter(char* out) : at_(out) {}

  LineWriter& text(std::string_view bytes) {
    std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
    return *this;
  }
  template <typename Number>
  LineWriter& number(Number value) {
    at_ = std::to_chars(at_, at_ + kDigitsMax, value).ptr;
    return *this;
  }
  LineWriter& key(std::string_view bytes) {
    at_ = protocol::write_uri_encoded(at_, bytes);
    return *this;
  }
  char* end() const { return at_; }

 private:
  static constexpr std::size_t kDigitsMax = 20;
  char* at_;
};

std::string_view word(EventStatus status) {
  switch (status) {
    case EventStatus::kNotFound:
      return "not_found";
    case EventStatus::kFound:
      return "found";
    case EventStatus::kFlushed:
      return "flushed";
    case EventStatus::kExpired:
      return "expired";
    case EventStatus::kNotStored:
      return "not_stored";
    case EventStatus::kStored:
      return "stored";
    case EventStatus::kExists:
      return "exists";
    case EventStatus::kTooLarge:
      return "too_large";
    case EventStatus::kNoMemory:
      return "no_memory";
  }
  return "na";
}

std::string_view word(EventVerb verb) {
  switch (verb) {
    case EventVerb::kNone:
      break;
    case EventVerb::kAdd:
      return "add";
    case EventVerb::kSet:
      return "set";
    case EventVerb::kReplace:
      return "replace";
    case EventVerb::kAppend:
      return "append";
    case EventVerb::kPrepend:
      return "prepend";
    case EventVerb::kCas:
      return "cas";
    case EventVerb::kDelete:
      return "delete";
    case EventVerb::kMetaDelete:
      return "md";
  }
  return "na";
}

void write_body(LineWriter& line, const Event& event, std::string_view text) {
  switch (event.stream) {
    case EventStream::kFetchers:
      line.text("type=item_get key=").key(text).text(" status=").text(word(event.status));
      line.text(" clsid=").number(event.slab_class).text(" cfd=").number(event.descriptor);
      break;
    case EventStream::kMutations:
      line.text("type=item_store key=").key(text).text(" status=").text(word(event.status));
      line.text(" cmd=").text(word(event.verb)).text(" ttl=").number(event.ttl_seconds);
      line.text(" clsid=").number(event.slab_class).text(" cfd=").number(event.descriptor);
      break;
    case EventStream::kDeletions:
      line.text("type=deleted key=").key(text).text(" cmd=").text(word(event.verb));
      line.text(" clsid=").number(event.slab_class);
      break;
    case EventStream::kEvictions:
      line.text("type=eviction key=").key(text).text(event.fetched ? " fetch=yes" : " fetch=no");
      line.text(" ttl=").number(event.ttl_seconds).text(" la=").number(event.idle_seconds);
      line.text(" clsid=").number(event.slab_class);
      break;
    case EventStream::kConnections:
    case EventStream::kSystem:
      line.text(text);
      return;
  }
  line.text(" size=").number(event.value_bytes);
}

struct StreamWord {
  std::string_view word;
  StreamMask mask;
};

// The last four exist in memcached for its proxy, or have never said anything.
constexpr StreamWord kStreamWords[] = {
    {"fetchers", mask_of(EventStream::kFetchers)},
    {"mutations", mask_of(EventStream::kMutations)},
    {"evictions", mask_of(EventStream::kEvictions)},
    {"connevents", mask_of(EventStream::kConnections)},
    {"sysevents", mask_of(EventStream::kSystem)},
    {"deletions", mask_of(EventStream::kDeletions)},
    {"rawcmds", 0},
    {"proxyreqs", 0},
    {"proxyevents", 0},
    {"proxyuser", 0},
};

}  // namespace

char* write_event_line(char* out, const Event& event, std::string_view text) {
  LineWriter line(out);
  // The fraction has no leading zeroes; tools expect memcached's form.
  line.text("ts=").number(event.wall_us / kMicrosecondsPerSecond);
  line.text(".").number(event.wall_us % kMicrosecondsPerSecond);
  line.text(" gid=").number(event.number).text(" ");
  write_body(line, event, text);
  return line.text("\n").end();
}

char* write_skipped_line(char* out, std::uint64_t lines) {
  return LineWriter(out).text("skipped=").number(lines).text("\n").end();
}

NamedStream stream_named(std::string_view word) {
  for (const StreamWord& row : kStreamWords) {
    if (row.word == word) return {true, row.mask};
  }
  return {};
}

}  // namespace ringcached::server
