// The items of the store in bounded pieces, for whoever has to look at all of them without holding up a
// worker.
#pragma once

#include <cstddef>

#include "server/context.h"

namespace ringcached::server {

class ItemScan {
 public:
  explicit ItemScan(WorkerContext& worker) : worker_(worker) {}

  // Calls visit(const store::ScannedItem&) -> bool for some more live items, a fraction of a millisecond's
  // worth, but for no bucket more once it has said false. False when all have been met.
  template <typename Visit>
  bool step(Visit&& visit) {
    struct Visiting {
      Visit& visit;
      bool more = true;
    } visiting{visit};
    for (std::size_t done = 0; done < kBucketsPerStep && visiting.more; done += kBucketsPerScan) {
      cursor_ = worker_.store.scan(
          cursor_, kBucketsPerScan, worker_.now(),
          [](void* context, const store::ScannedItem& item) {
            auto& state = *static_cast<Visiting*>(context);
            state.more = state.visit(item) && state.more;
          },
          &visiting);
      if (cursor_ == 0) return false;
    }
    return true;
  }

 private:
  // Some 7 items each; a cold one costs about 100 ns.
  static constexpr std::size_t kBucketsPerStep = 256;
  static constexpr std::size_t kBucketsPerScan = 16;

  WorkerContext& worker_;
  std::size_t cursor_ = 0;
};

}  // namespace ringcached::server
