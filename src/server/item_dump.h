// The dumps that list items: lru_crawler metadump and mgdump (section 10.3), stats cachedump (9.8), and the
// histogram of stats sizes (9.5).
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "server/crawler.h"
#include "server/dump_session.h"
#include "server/item_scan.h"

namespace ringcached::server {

enum class KeyDumpFormat : std::uint8_t { kMetadump, kMgdump };
// Once the lease is lost to somebody else, an error line takes the place of the rest and of END.
std::unique_ptr<DumpSource> make_key_dump(WorkerContext& worker, KeyDumpFormat format,
                                          const store::SlabClassSet& classes, CrawlLease lease);

// At most `items_max` items (0: no limit) of a class, and at most so many bytes.
inline constexpr std::size_t kCachedumpBytesMax = std::size_t{2} << 20;
std::unique_ptr<DumpSource> make_cachedump(WorkerContext& worker, unsigned slab_class,
                                           std::uint32_t items_max);

// How many items there are of each size, in steps of 32 bytes.
class SizeHistogram {
 public:
  explicit SizeHistogram(WorkerContext& worker) : worker_(worker), scan_(worker) {}
  // Counts some more items; false when all have been.
  bool step();
  const std::map<std::size_t, std::uint64_t>& counts() const { return counts_; }

 private:
  WorkerContext& worker_;
  ItemScan scan_;
  std::map<std::size_t, std::uint64_t> counts_;
};
std::unique_ptr<DumpSource> make_sizes_dump(WorkerContext& worker);

}  // namespace ringcached::server
