#include "server/retrieval.h"

#include "protocol/reply.h"
#include "server/value_reply.h"

namespace ringcached::server {
namespace {

// "VALUE <key> <flags> <bytes> [<cas>]", the value, CR LF.
struct TextFrame {
  static constexpr std::size_t kHeaderBytesMax = protocol::kValueHeaderCasBytesMax;
  static constexpr std::string_view kEnd = protocol::reply::kCrlf;

  std::string_view key;
  bool with_cas;

  char* write_header(char* out, const store::ItemInfo& info) const {
    return with_cas
               ? protocol::write_value_header_cas(out, key, info.client_flags, info.value_bytes, info.cas)
               : protocol::write_value_header(out, key, info.client_flags, info.value_bytes);
  }
};

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

void retrieve(WorkerContext& worker, Output& output, const store::Key& key, const Retrieval& retrieval) {
  retrieve_in_frame(worker, output, key, retrieval, TextFrame{key.bytes, retrieval.with_cas});
}

}  // namespace ringcached::server
