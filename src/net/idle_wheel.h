// Coarse deadlines for many connections: entries hang in buckets by due tick, one bucket is looked at per
// tick.
//
// Made for deadlines that are mostly put off: nothing happens here when a connection is active; the entry
// comes due, its owner looks at the connection's last activity and schedules anew. A tick is whatever the
// owner says it is (NetworkOptions::tick). Deadlines further away than the wheel's turn stay in their bucket
// for another turn. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>

#include "base/intrusive_list.h"

namespace ringcached::net {

struct WheelTag;

class IdleWheel {
 public:
  struct Entry : ListNode<WheelTag> {
    std::uint32_t due_tick = 0;
  };

  // How far ahead of now() a deadline may be, and some: ticks are compared modulo 2^32.
  static constexpr std::uint32_t kTicksAheadMax = 1U << 30;

  // The entry comes due at `due_tick`, or at the next tick if that is past. Replaces an earlier deadline.
  void schedule(Entry& entry, std::uint32_t due_tick) {
    entry.unlink();
    if (static_cast<std::int32_t>(due_tick - now_) <= 0) due_tick = now_ + 1;
    entry.due_tick = due_tick;
    buckets_[due_tick % kBuckets].push_back(entry);
  }
  static void cancel(Entry& entry) { entry.unlink(); }

  // Moves time to `now_tick` and calls `due(entry)` for each entry that has come due; it may schedule or
  // cancel any.
  template <typename Due>
  void advance(std::uint32_t now_tick, Due due) {
    const std::uint32_t elapsed = now_tick - now_;
    if (elapsed == 0) return;
    const std::uint32_t first = now_ + 1;
    const std::uint32_t buckets = elapsed < kBuckets ? elapsed : kBuckets;
    now_ = now_tick;
    for (std::uint32_t i = 0; i < buckets; ++i) visit_bucket(first + i, due);
  }

  std::uint32_t now() const { return now_; }

 private:
  static constexpr std::uint32_t kBuckets = 256;
  using List = IntrusiveList<Entry, WheelTag>;

  template <typename Due>
  void visit_bucket(std::uint32_t tick, Due& due) {
    List looked_at;
    looked_at.take_all(buckets_[tick % kBuckets]);
    while (!looked_at.empty()) {
      Entry& entry = looked_at.pop_front();
      if (static_cast<std::int32_t>(entry.due_tick - now_) <= 0) {
        due(entry);
      } else {
        buckets_[entry.due_tick % kBuckets].push_back(entry);
      }
    }
  }

  std::array<List, kBuckets> buckets_;
  std::uint32_t now_ = 0;
};

}  // namespace ringcached::net
