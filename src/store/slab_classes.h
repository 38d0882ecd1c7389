// Item size -> slab class, pure arithmetic. From kChunkBytesMin to kChunkBytesMax in equal steps within each
// doubling (at least 8 bytes apart); sizes are multiples of 8 and fitted so that a page's rest is small.
// Class numbers are what users see in `stats slabs`, starting at 1 as in memcached; they are stable for a
// build and a number of steps.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>

#include "store/chunk.h"

namespace ringcached::store {

inline constexpr std::size_t kChunkBytesMin = 32;

class SlabClasses {
 public:
  static constexpr unsigned kClassesMax = 255;  // a number fits PageInfo::slab_class
  static constexpr unsigned kStepsMin = 8, kStepsMax = 32;

  // `steps` in each doubling: a power of two, kStepsMin to kStepsMax.
  explicit SlabClasses(unsigned steps = kStepsMin);

  // What an arena of about so many pages should use: fine steps round up less, but every class in use has a
  // page that is partly filled and queues of its own.
  static unsigned steps_for(std::size_t pages_per_arena);

  // 1 .. count(); 0 when `bytes` > kChunkBytesMax.
  unsigned class_for(std::size_t bytes) const {
    return bytes > kChunkBytesMax ? 0 : class_of_granules_[(bytes + kGranuleBytes - 1) / kGranuleBytes];
  }
  std::size_t chunk_bytes(unsigned slab_class) const { return chunk_bytes_[slab_class]; }
  unsigned chunks_per_page(unsigned slab_class) const {
    return static_cast<unsigned>(kPageBytes / chunk_bytes_[slab_class]);
  }
  unsigned count() const { return count_; }

 private:
  unsigned count_ = 0;
  std::array<std::uint32_t, kClassesMax + 1> chunk_bytes_{};
  std::array<std::uint8_t, kChunkBytesMax / kGranuleBytes + 1> class_of_granules_{};
};

// Some of the classes, by number.
using SlabClassSet = std::bitset<SlabClasses::kClassesMax + 1>;

}  // namespace ringcached::store
