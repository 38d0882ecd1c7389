// A hit's value on its way into the output, in the frame of any dialect: small ones are copied behind their
// header, large ones are pinned and sent from where they lie.
#pragma once

#include <cstring>
#include <string_view>

#include "ringcached/network.h"
#include "server/reporting.h"
#include "server/retrieval.h"
#include "store/store_read.h"

namespace ringcached::server {

// The value stays where it is until sent; the last piece gives the pin back.
void append_pinned(store::Store& items, Output& output, store::Pin&& pin);

// Frame, what a dialect puts around a value:
//   kHeaderBytesMax, kEnd          the most that write_header() needs; the bytes behind the value
//   write_header(out, ItemInfo)    writes at `out`, returns the end
template <typename Frame>
class ValueReply {
 public:
  // A copied value must fit into one room() with its frame.
  static_assert(store::kPinBytesMin + Frame::kHeaderBytesMax + Frame::kEnd.size() <= Output::kRoomBytesMax);

  ValueReply(Output& output, const Frame& frame) : output_(output), frame_(frame) {}

  store::ReadTarget operator()(const store::ItemInfo& info) {
    info_ = info;
    if (info.value_bytes >= store::kPinBytesMin) return {nullptr, true};
    start_ = output_.room(Frame::kHeaderBytesMax + info.value_bytes + Frame::kEnd.size());
    value_ = frame_.write_header(start_, info);
    return {value_, false};
  }

  void finish(store::Store& items, store::Pin&& pin) {
    if (pin) {
      start_ = output_.room(Frame::kHeaderBytesMax);
      output_.commit(static_cast<std::size_t>(frame_.write_header(start_, info_) - start_));
      append_pinned(items, output_, std::move(pin));
      output_.append(Frame::kEnd);
      return;
    }
    char* end = value_ + info_.value_bytes;
    std::memcpy(end, Frame::kEnd.data(), Frame::kEnd.size());
    output_.commit(static_cast<std::size_t>(end + Frame::kEnd.size() - start_));
  }

  const store::ItemInfo& info() const { return info_; }

 private:
  Output& output_;
  const Frame& frame_;
  store::ItemInfo info_;
  char* start_ = nullptr;
  char* value_ = nullptr;
};

inline void count_retrieval(WorkerCounters& counters, const Retrieval& retrieval, store::Lookup lookup,
                            unsigned slab_class) {
  counters.add(retrieval.touch ? Count::kCmdTouch : Count::kCmdGet);
  if (lookup == store::Lookup::kHit) {
    counters.add(retrieval.touch ? Count::kTouchHits : Count::kGetHits);
    counters.add(retrieval.touch ? ClassCount::kTouchHits : ClassCount::kGetHits, slab_class);
    return;
  }
  counters.add(retrieval.touch ? Count::kTouchMisses : Count::kGetMisses);
  if (lookup == store::Lookup::kExpired) counters.add(Count::kGetExpired);
  if (lookup == store::Lookup::kFlushed) counters.add(Count::kGetFlushed);
}

// Looks `key` up, appends a hit in its frame, and counts. True: it was a hit.
template <typename Frame>
bool retrieve_in_frame(WorkerContext& worker, Output& output, const store::Key& key,
                       const Retrieval& retrieval, const Frame& frame) {
  const store::ReadOptions options{.touch = retrieval.touch, .expiry = retrieval.expiry};
  ValueReply<Frame> reply(output, frame);
  store::Pin pin;
  const store::Lookup lookup = worker.store.read(worker.thread, key, worker.now(), options, reply, &pin);
  const bool hit = lookup == store::Lookup::kHit;
  if (hit) reply.finish(worker.store, std::move(pin));
  count_retrieval(worker.counters, retrieval, lookup, reply.info().slab_class);
  report_lookup(worker, key.bytes, lookup, reply.info());
  return hit;
}

}  // namespace ringcached::server
