#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "bench/random.h"
#include "bench/trace_replay.h"
#include "ringcached/store.h"
#include "store/item.h"
#include "store/slab_classes.h"

namespace ringcached::bench {
namespace {

// Chunks this large waste time on copying; a smaller one that comes as close is preferred.
constexpr double kCloseEnough = 0.005;

template <typename ValueBytes>
Result<ReplayResult> replay(const KeyTrace& trace, std::size_t memory_bytes, std::size_t value_bytes_max,
                            ValueBytes&& value_bytes) {
  auto opened = Store::open({.memory_limit_bytes = memory_bytes});
  if (!opened) return opened.status();
  Result<StoreHandle> attached = opened.value()->attach();
  if (!attached) return attached.status();
  StoreHandle& handle = attached.value();
  const std::string bytes(value_bytes_max, 'v');
  std::string value;
  ReplayResult result;
  for (const std::uint32_t number : trace.accesses) {
    const std::string& key = trace.keys[number];
    if (handle.get(key, value)) {
      ++result.hits;
    } else if (handle.set(key, {bytes.data(), value_bytes(number)}) != StoreOutcome::kStored) {
      ++result.refused;
    }
  }
  result.items = opened.value()->statistics().items;
  return result;
}

}  // namespace

std::size_t ValueSizes::of(std::uint32_t key) const {
  return min + static_cast<std::size_t>(mix(key + 1) % (max - min + 1));
}

ItemRoom room_for(std::size_t items, std::size_t key_bytes) {
  ItemRoom best;
  double best_error = HUGE_VAL;
  const store::SlabClasses classes;
  for (unsigned c = classes.class_for(store::unchained_bytes(key_bytes, 1, 0)); c <= classes.count(); ++c) {
    const std::size_t per_page = classes.chunks_per_page(c);
    // The very first chunk of all is never used.
    const std::size_t pages = std::max<std::size_t>(1, (items + 1 + per_page / 2) / per_page);
    // With more pages the store's classes are others.
    if (store::SlabClasses::steps_for(pages) != store::SlabClasses::kStepsMin) continue;
    const std::size_t room = pages * per_page - 1;
    const double error = std::abs(static_cast<double>(room) - static_cast<double>(items));
    if (error >= best_error) continue;
    best = {classes.chunk_bytes(c), pages, room};
    best_error = error;
    if (error <= kCloseEnough * static_cast<double>(items)) break;
  }
  return best;
}

Result<ReplayResult> replay_in_store(const KeyTrace& trace, std::size_t memory_bytes,
                                     const ValueSizes& sizes) {
  return replay(trace, memory_bytes, sizes.max, [&](std::uint32_t key) { return sizes.of(key); });
}

Result<ReplayResult> replay_in_store_of(const KeyTrace& trace, std::size_t items) {
  std::size_t key_bytes = 0;
  for (const std::string& key : trace.keys) key_bytes = std::max(key_bytes, key.size());
  const ItemRoom room = room_for(items, key_bytes);
  if (room.pages == 0) {
    return Status(StatusCode::kInvalidArgument, std::to_string(items) + " items are too many to count");
  }
  const auto value_bytes = [&](std::uint32_t key) {
    return room.chunk_bytes - store::unchained_bytes(trace.keys[key].size(), 0, 0);
  };
  return replay(trace, room.pages * store::kPageBytes, room.chunk_bytes, value_bytes);
}

}  // namespace ringcached::bench
