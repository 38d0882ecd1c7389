// Who runs in the store benchmark, and how a run is timed.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "bench/store_load.h"

namespace ringcached::bench {

struct Rate {
  double per_cpu_second = 0;  // summed over the threads: operations by the CPU time of the thread
  double together = 0;        // share of the time in which all threads ran; far from 1: not a test of sharing
  std::uint64_t failures = 0;  // keys that were missing, stores that were refused
};

class Contender {
 public:
  virtual ~Contender() = default;
  virtual std::string_view name() const = 0;
  // Stores every item and reads it back; what was wrong with how many.
  virtual std::uint64_t fill() = 0;
  // A thread per stream, each on a core of its own as long as there are cores, all at the same time.
  virtual Rate run(const std::vector<RequestStream>& streams) = 0;
};

struct StoreSettings {
  unsigned threads = 1;          // the most that will run
  std::size_t memory_bytes = 0;  // 0: enough for all items
  bool large_pages = false;
};

// All threads on one store.
std::unique_ptr<Contender> make_store(const ItemShape& shape, const StoreSettings& settings);
// All threads on one array of such records; `locks`: sets lock (SharedArrayTarget).
std::unique_ptr<Contender> make_shared_array(const ItemShape& shape, unsigned threads, bool locks);
// Each thread on a store of its own.
std::unique_ptr<Contender> make_private_stores(const ItemShape& shape, const StoreSettings& settings);
// Each thread on a map of its own; the layouts of store_targets.h that can hold the shape. Empty without
// tsl::robin_map.
std::vector<std::unique_ptr<Contender>> make_private_maps(const ItemShape& shape, unsigned threads);

}  // namespace ringcached::bench
