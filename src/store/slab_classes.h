// Item size -> slab class, pure arithmetic. Eight steps per doubling (at least 8 bytes apart), from
// kChunkBytesMin to kChunkBytesMax; sizes are multiples of 8 and fitted so that a page's rest is small. Class
// numbers are stable for a build: they are what users see in `stats slabs`, starting at 1 as in memcached.
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
  SlabClasses();

  static constexpr unsigned kClassesMax = 96;
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
