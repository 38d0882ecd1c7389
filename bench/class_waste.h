// What rounding up to size classes and the rests of pages cost, as a share of the item memory.
#pragma once

#include <algorithm>
#include <cstddef>

#include "store/item.h"
#include "store/slab_classes.h"

namespace ringcached::bench {

struct Waste {
  double all_sizes = 0;     // each size once
  double by_logarithm = 0;  // small sizes count more: equally by logarithm
};

// Averages of 1 - needed / taken.
class WasteSum {
 public:
  void add(double needed, double taken, double weight) {
    const double waste = 1 - needed / taken;
    sum_ += waste;
    weighted_ += waste * weight;
    weights_ += weight;
    ++count_;
  }
  Waste average() const { return {sum_ / static_cast<double>(count_), weighted_ / weights_}; }

 private:
  double sum_ = 0, weighted_ = 0, weights_ = 0;
  std::size_t count_ = 0;
};

// A chunk for so many bytes: its share of its page.
inline double chunk_share(const store::SlabClasses& classes, std::size_t bytes) {
  return static_cast<double>(store::kPageBytes) / classes.chunks_per_page(classes.class_for(bytes));
}

// Item memory that a value of so many bytes takes behind a key of so many: its share of the page for each
// chunk, and nothing for a chain's own links.
inline double memory_of(const store::SlabClasses& classes, std::size_t key_bytes, std::size_t value_bytes) {
  const std::size_t unchained = store::unchained_bytes(key_bytes, value_bytes, 0);
  if (unchained <= store::kChunkBytesMax) return chunk_share(classes, unchained);
  double memory = chunk_share(classes, store::kChunkBytesMax);
  std::size_t left = value_bytes - (store::kChunkBytesMax - store::kChainHeaderBytes - key_bytes);
  while (left != 0) {
    const std::size_t part = std::min(left, store::kChunkBytesMax - store::kPartHeaderBytes);
    memory += chunk_share(classes, store::kPartHeaderBytes + part);
    left -= part;
  }
  return memory;
}

// Of every size that fits a chunk.
inline Waste waste_of_chunks(const store::SlabClasses& classes) {
  WasteSum sum;
  for (std::size_t bytes = store::kChunkBytesMin; bytes <= store::kChunkBytesMax; ++bytes) {
    sum.add(static_cast<double>(bytes), chunk_share(classes, bytes), 1.0 / static_cast<double>(bytes));
  }
  return sum.average();
}

// Of values of 32 bytes to 512 KiB, chains included: every size up to 4 KiB, then steps of less than a
// thousandth.
inline Waste waste_of_values(const store::SlabClasses& classes, std::size_t key_bytes) {
  constexpr std::size_t kLow = 32, kHigh = std::size_t{512} << 10, kEverySize = 4096;
  WasteSum sum;
  for (std::size_t value = kLow; value <= kHigh; value += std::max<std::size_t>(1, value / kEverySize)) {
    sum.add(static_cast<double>(store::unchained_bytes(key_bytes, value, 0)),
            memory_of(classes, key_bytes, value), 1.0 / static_cast<double>(std::min(value, kEverySize)));
  }
  return sum.average();
}

}  // namespace ringcached::bench
