// The reply to a hit: a header and, behind it, the value. A small value is copied, a large one is sent from
// where it lies. One for all dialects; they differ in the header.
#pragma once

#include <concepts>
#include <cstring>
#include <string_view>
#include <utility>

#include "ringcached/network.h"
#include "server/reporting.h"
#include "server/retrieval.h"
#include "store/store.h"
#include "store/store_read.h"

namespace ringcached::server {

// The value stays where it is until sent; the last piece gives the pin back.
void append_pinned(store::Store& items, Output& output, store::Pin&& pin);

// What Store::read() calls to place a value; finish() after a hit. `Header` has
//   static constexpr std::size_t kBytesMax;              room that write() needs
//   static constexpr std::string_view kEnd;              bytes behind the value
//   bool with_value(const store::ItemInfo&) const;       else the header is the whole reply
//   char* write(char* out, const store::ItemInfo&) const;
template <typename Header>
class ValueReply {
 public:
  // A copied value must fit into one room() with its header and end.
  static_assert(store::kPinBytesMin + Header::kBytesMax + Header::kEnd.size() <= Output::kRoomBytesMax);

  ValueReply(Output& output, const Header& header) : output_(output), header_(header) {}

  store::ReadTarget operator()(const store::ItemInfo& info) {
    info_ = info;
    value_ = nullptr;
    if (!header_.with_value(info)) return {};
    if (info.value_bytes >= store::kPinBytesMin) return {nullptr, true};
    start_ = output_.room(Header::kBytesMax + info.value_bytes + Header::kEnd.size());
    value_ = header_.write(start_, info);
    return {value_, false};
  }

  void finish(store::Store& items, store::Pin&& pin) {
    if (value_ == nullptr) return finish_behind_header(items, std::move(pin));
    char* end = value_ + info_.value_bytes;
    std::memcpy(end, Header::kEnd.data(), Header::kEnd.size());
    output_.commit(static_cast<std::size_t>(end + Header::kEnd.size() - start_));
  }

  const store::ItemInfo& info() const { return info_; }

 private:
  void finish_behind_header(store::Store& items, store::Pin&& pin) {
    start_ = output_.room(Header::kBytesMax);
    output_.commit(static_cast<std::size_t>(header_.write(start_, info_) - start_));
    if (!pin) return;
    append_pinned(items, output_, std::move(pin));
    output_.append(Header::kEnd);
  }

  Output& output_;
  const Header& header_;
  store::ItemInfo info_;
  char* start_ = nullptr;
  char* value_ = nullptr;
};

// A header that has its say about the item before it is used for Store::read_plain().
template <typename Header>
concept DecliningHeader = requires(const Header& header, const store::ItemInfo& info) {
  { header.declines(info) } -> std::same_as<bool>;
};

// Most lookups: a hit by Store::read_plain(), in a function small enough to stay in registers. With its
// value. False: nothing has happened.
template <typename Header>
bool append_plain(WorkerContext& worker, Output& output, const store::Key& key, const Header& header) {
  char* start = nullptr;
  char* end = nullptr;
  std::uint32_t value_bytes = 0;
  unsigned slab_class = 0;
  const bool hit =
      worker.store.read_plain(worker.thread, key, worker.now(), [&](const store::ItemInfo& info) -> char* {
        if constexpr (DecliningHeader<Header>) {
          if (header.declines(info)) return nullptr;
        }
        start = output.room(Header::kBytesMax + info.value_bytes + Header::kEnd.size());
        char* value = header.write(start, info);
        value_bytes = info.value_bytes;
        slab_class = info.slab_class;
        end = value + value_bytes;
        return value;
      });
  if (!hit) return false;
  std::memcpy(end, Header::kEnd.data(), Header::kEnd.size());
  output.commit(static_cast<std::size_t>(end + Header::kEnd.size() - start));
  worker.counters.add(Count::kCmdGet);
  count_hit(worker.counters, false, slab_class);
  report_hit(worker, key.bytes, value_bytes, slab_class);
  return true;
}

// The same, counted by prefix, too.
template <typename Header>
bool retrieve_plain(WorkerContext& worker, Output& output, const store::Key& key, const Header& header) {
  if (!append_plain(worker, output, key, header)) return false;
  worker.count_prefix_get(key.bytes, true);
  return true;
}

// All others.
template <typename Header>
[[gnu::noinline]] bool retrieve_any(WorkerContext& worker, Output& output, const store::Key& key,
                                    const Retrieval& retrieval, const Header& header) {
  const store::ReadOptions options{.touch = retrieval.touch, .expiry = retrieval.expiry};
  ValueReply reply(output, header);
  store::Pin pin;
  const store::Lookup lookup = worker.store.read(worker.thread, key, worker.now(), options, reply, &pin);
  const bool hit = lookup == store::Lookup::kHit;
  worker.count_prefix_get(key.bytes, hit);
  if (hit) reply.finish(worker.store, std::move(pin));
  count_retrieval(worker.counters, retrieval, lookup, reply.info().slab_class);
  report_lookup(worker, key.bytes, lookup, reply.info());
  return hit;
}

// Looks `key` up, appends a hit with its header, and counts. True: it was a hit. Every hit has its value
// (Header::with_value()).
template <typename Header>
bool retrieve_behind(WorkerContext& worker, Output& output, const store::Key& key, const Retrieval& retrieval,
                     const Header& header) {
  return (!retrieval.touch && retrieve_plain(worker, output, key, header)) ||
         retrieve_any(worker, output, key, retrieval, header);
}

}  // namespace ringcached::server
