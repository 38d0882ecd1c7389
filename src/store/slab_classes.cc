#include "store/slab_classes.h"

#include "base/assert.h"

namespace ringcached::store {
namespace {

constexpr std::size_t kStepsPerDoubling = 8;

// The largest chunk that goes as often into a page as `bytes` does: what would be the page's rest goes to the
// chunks.
constexpr std::size_t fit_to_page(std::size_t bytes) {
  return kPageBytes / (kPageBytes / bytes) / kGranuleBytes * kGranuleBytes;
}

}  // namespace

SlabClasses::SlabClasses() {
  const auto add = [this](std::size_t bytes) {
    RC_CHECK(count_ < kClassesMax);
    chunk_bytes_[++count_] = static_cast<std::uint32_t>(bytes);
  };
  add(kChunkBytesMin);
  for (std::size_t low = kChunkBytesMin; low < kChunkBytesMax / 2; low *= 2) {
    const std::size_t step =
        low / kStepsPerDoubling < kGranuleBytes ? kGranuleBytes : low / kStepsPerDoubling;
    for (std::size_t bytes = low + step; bytes <= low * 2; bytes += step) add(fit_to_page(bytes));
  }
  // In the last doubling a page holds 16 to 8 chunks: equal steps would leave out some of these counts.
  constexpr std::size_t kChunksLast = kPageBytes / kChunkBytesMax;
  static_assert(kChunksLast == kStepsPerDoubling);
  for (std::size_t chunks = kChunksLast * 2 - 1; chunks >= kChunksLast; --chunks) {
    add(kPageBytes / chunks / kGranuleBytes * kGranuleBytes);
  }

  unsigned slab_class = 1;
  for (std::size_t granules = 0; granules < class_of_granules_.size(); ++granules) {
    if (granules * kGranuleBytes > chunk_bytes_[slab_class]) ++slab_class;
    class_of_granules_[granules] = static_cast<std::uint8_t>(slab_class);
  }
}

}  // namespace ringcached::store
