#include <algorithm>
#include <string>
#include <vector>

#include "store/store_core.h"

namespace ringcached::store {

std::size_t Store::scan(std::size_t cursor, std::size_t buckets, CacheTime now, ScanVisitor visit,
                        void* context) {
  StoreCore& core = *impl_;
  struct Found {
    ItemInfo info;
    std::size_t key_start = 0, key_bytes = 0;
  };
  std::vector<Found> found;
  std::string keys;
  const std::size_t end = std::min(cursor + std::max<std::size_t>(buckets, 1), core.index->bucket_count());
  for (; cursor < end; ++cursor) {
    found.clear();
    keys.clear();
    core.index->visit_bucket(cursor, [&](std::atomic<std::uint64_t>& slot) {
      const Existing existing = core.examine_at(&slot, now);
      if (!existing.alive()) return;
      const ItemHeader& header = existing.header;
      found.push_back({core.describe(header, slot.load(std::memory_order_relaxed), now), keys.size(),
                       header.key_bytes()});
      const std::byte* item = core.item(existing.address);
      keys.append(reinterpret_cast<const char*>(item) + key_offset(header.state), header.key_bytes());
    });
    for (const Found& each : found) {
      visit(context, {std::string_view(keys).substr(each.key_start, each.key_bytes), each.info});
    }
  }
  return cursor >= core.index->bucket_count() ? 0 : cursor;
}

}  // namespace ringcached::store
