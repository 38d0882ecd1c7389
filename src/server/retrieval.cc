#include "server/retrieval.h"

#include "protocol/reply.h"
#include "server/value_reply.h"

namespace ringcached::server {
namespace {

struct TextHeader {
  static constexpr std::size_t kBytesMax = protocol::kValueHeaderCasBytesMax;
  static constexpr std::string_view kEnd = protocol::reply::kCrlf;

  std::string_view key;
  bool with_cas;

  bool with_value(const store::ItemInfo&) const { return true; }
  char* write(char* out, const store::ItemInfo& info) const {
    return with_cas
               ? protocol::write_value_header_cas(out, key, info.client_flags, info.value_bytes, info.cas)
               : protocol::write_value_header(out, key, info.client_flags, info.value_bytes);
  }
};

// A get of one key: the END follows at once.
struct WholeGetHeader {
  static constexpr std::size_t kBytesMax = protocol::kValueHeaderBytesMax;
  static constexpr std::string_view kEnd = "\r\nEND\r\n";

  std::string_view key;

  bool with_value(const store::ItemInfo&) const { return true; }
  char* write(char* out, const store::ItemInfo& info) const {
    return protocol::write_value_header(out, key, info.client_flags, info.value_bytes);
  }
};
static_assert(WholeGetHeader::kEnd.ends_with(protocol::reply::kEnd));

}  // namespace

void append_pinned(store::Store& items, Output& output, store::Pin&& pin) {
  std::span<const char> last;
  items.for_each_piece(pin, [&](std::span<const char> piece) {
    if (!last.empty()) output.reference(last, OutputPin{});
    last = piece;
  });
  void* head = reinterpret_cast<void*>(static_cast<std::uintptr_t>(pin.detach()));
  output.reference(last, OutputPin{&store::Pin::release_raw, &items, head});
}

void count_dead(WorkerCounters& counters, store::Lookup lookup) {
  if (lookup == store::Lookup::kExpired) counters.add(Count::kGetExpired);
  if (lookup == store::Lookup::kFlushed) counters.add(Count::kGetFlushed);
}

void count_retrieval(WorkerCounters& counters, const Retrieval& retrieval, store::Lookup lookup,
                     unsigned slab_class) {
  counters.add(retrieval.touch ? Count::kCmdTouch : Count::kCmdGet);
  if (lookup == store::Lookup::kHit) return count_hit(counters, retrieval.touch, slab_class);
  counters.add(retrieval.touch ? Count::kTouchMisses : Count::kGetMisses);
  count_dead(counters, lookup);
}

// A hit in one piece, as most gets are; link-time optimisation would leave parts of it to calls.
[[gnu::flatten, gnu::noinline]] void retrieve_whole(WorkerContext& worker, Output& output,
                                                    const store::Key& key) {
  if (!retrieve_behind(worker, output, key, {}, WholeGetHeader{key.bytes}))
    output.append(protocol::reply::kEnd);
}

void retrieve(WorkerContext& worker, Output& output, const store::Key& key, const Retrieval& retrieval) {
  retrieve_behind(worker, output, key, retrieval, TextHeader{key.bytes, retrieval.with_cas});
}

}  // namespace ringcached::server
