#include "server/retrieval.h"

#include <cstring>

#include "protocol/reply.h"
#include "store/store_read.h"

namespace ringcached::server {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

// A copied value must fit into one room() with its header and line end.
static_assert(store::kPinBytesMin + protocol::kValueHeaderCasBytesMax + kLineEnd.size() <=
              Output::kRoomBytesMax);

char* write_header(char* out, std::string_view key, const store::ItemInfo& info, bool with_cas) {
  return with_cas ? protocol::write_value_header_cas(out, key, info.client_flags, info.value_bytes, info.cas)
                  : protocol::write_value_header(out, key, info.client_flags, info.value_bytes);
}

// The value stays where it is until sent; the last piece gives the pin back.
void append_pinned(store::Store& items, Output& output, store::Pin&& pin) {
  std::span<const char> last;
  items.for_each_piece(pin, [&](std::span<const char> piece) {
    if (!last.empty()) output.reference(last, OutputPin{});
    last = piece;
  });
  void* head = reinterpret_cast<void*>(static_cast<std::uintptr_t>(pin.detach()));
  output.reference(last, OutputPin{&store::Pin::release_raw, &items, head});
}

// Copies a small value behind its header, or sends a large one from where it lies.
class ValueReply {
 public:
  ValueReply(Output& output, std::string_view key, bool with_cas)
      : output_(output), key_(key), with_cas_(with_cas) {}

  store::ReadTarget operator()(const store::ItemInfo& info) {
    info_ = info;
    if (info.value_bytes >= store::kPinBytesMin) return {nullptr, true};
    start_ = output_.room(protocol::kValueHeaderCasBytesMax + info.value_bytes + kLineEnd.size());
    value_ = write_header(start_, key_, info, with_cas_);
    return {value_, false};
  }

  void finish(store::Store& items, store::Pin&& pin) {
    if (pin) {
      start_ = output_.room(protocol::kValueHeaderCasBytesMax);
      output_.commit(static_cast<std::size_t>(write_header(start_, key_, info_, with_cas_) - start_));
      append_pinned(items, output_, std::move(pin));
      output_.append(kLineEnd);
      return;
    }
    char* end = value_ + info_.value_bytes;
    std::memcpy(end, kLineEnd.data(), kLineEnd.size());
    output_.commit(static_cast<std::size_t>(end + kLineEnd.size() - start_));
  }

  const store::ItemInfo& info() const { return info_; }

 private:
  Output& output_;
  std::string_view key_;
  bool with_cas_;
  store::ItemInfo info_;
  char* start_ = nullptr;
  char* value_ = nullptr;
};

void count_miss(WorkerCounters& counters, const Retrieval& retrieval, store::Lookup lookup) {
  counters.add(retrieval.touch ? Count::kTouchMisses : Count::kGetMisses);
  if (lookup == store::Lookup::kExpired) counters.add(Count::kGetExpired);
  if (lookup == store::Lookup::kFlushed) counters.add(Count::kGetFlushed);
}

void count_hit(WorkerCounters& counters, const Retrieval& retrieval, unsigned slab_class) {
  counters.add(retrieval.touch ? Count::kTouchHits : Count::kGetHits);
  counters.add(retrieval.touch ? ClassCount::kTouchHits : ClassCount::kGetHits, slab_class);
}

}  // namespace

void retrieve(WorkerContext& worker, Output& output, const store::Key& key, const Retrieval& retrieval) {
  worker.counters.add(retrieval.touch ? Count::kCmdTouch : Count::kCmdGet);
  const store::ReadOptions options{.touch = retrieval.touch, .expiry = retrieval.expiry};
  ValueReply reply(output, key.bytes, retrieval.with_cas);
  store::Pin pin;
  const store::Lookup lookup = worker.store.read(worker.thread, key, worker.now(), options, reply, &pin);
  if (worker.server.prefixes.enabled()) [[unlikely]] {
    worker.prefixes.count_get(key.bytes, lookup == store::Lookup::kHit);
  }
  if (lookup != store::Lookup::kHit) {
    count_miss(worker.counters, retrieval, lookup);
    return;
  }
  reply.finish(worker.store, std::move(pin));
  count_hit(worker.counters, retrieval, reply.info().slab_class);
}

}  // namespace ringcached::server
