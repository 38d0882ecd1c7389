#include "store/slab_classes.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace ringcached::store {
namespace {

// Pages per arena from which finer steps pay whatever the mixture of sizes: measured hit ratios with values
// of 1 to 4 KiB, 50 to 8000 and 50 to 30000 bytes (docs/performance.md). With fewer, sizes far apart are in
// more classes than there are pages for.
constexpr std::size_t kPagesForMiddleSteps = 1024;
constexpr std::size_t kPagesForFineSteps = 2048;

// The largest chunk of which `chunks` go into a page.
constexpr std::size_t largest_chunk(std::size_t chunks) {
  return kPageBytes / chunks / kGranuleBytes * kGranuleBytes;
}

}  // namespace

unsigned SlabClasses::steps_for(std::size_t pages_per_arena) {
  if (pages_per_arena >= kPagesForFineSteps) return kStepsMax;
  return pages_per_arena >= kPagesForMiddleSteps ? kStepsMax / 2 : kStepsMin;
}

SlabClasses::SlabClasses(unsigned steps) {
  RC_CHECK(std::has_single_bit(steps) && steps >= kStepsMin && steps <= kStepsMax);
  const auto add = [this](std::size_t bytes) {
    RC_CHECK(count_ < kClassesMax);
    chunk_bytes_[++count_] = static_cast<std::uint32_t>(bytes);
  };
  add(kChunkBytesMin);
  for (std::size_t low = kChunkBytesMin; low < kChunkBytesMax; low *= 2) {
    const std::size_t chunks_low = kPageBytes / low, chunks_high = chunks_low / 2;
    if (chunks_high <= steps) {
      // A page holds so few that equal steps would leave out some of the counts.
      for (std::size_t chunks = chunks_low - 1; chunks >= chunks_high; --chunks) add(largest_chunk(chunks));
    } else {
      // What would be the page's rest goes to the chunks.
      const std::size_t step = std::max(low / steps, kGranuleBytes);
      for (std::size_t bytes = low + step; bytes <= low * 2; bytes += step) {
        add(largest_chunk(kPageBytes / bytes));
      }
    }
  }

  unsigned slab_class = 1;
  for (std::size_t granules = 0; granules < class_of_granules_.size(); ++granules) {
    if (granules * kGranuleBytes > chunk_bytes_[slab_class]) ++slab_class;
    class_of_granules_[granules] = static_cast<std::uint8_t>(slab_class);
  }
}

}  // namespace ringcached::store
