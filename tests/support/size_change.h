// Clients that change the size of their values: all small, then all large, then mixed. Keys are as popular as
// Zipf's law with exponent 1 has it, a miss is followed by a set, and every phase has keys of its own, so
// that nothing that is left of the phase before is of use. The store is compared with a fresh one that gets
// the same operations.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/store_read.h"

namespace ringcached::testing {

struct SizePhase {
  std::string name;
  std::vector<std::size_t> value_bytes;  // equally likely, fixed for a key
  std::uint32_t keys = 0;
  std::uint32_t operations = 0;
  unsigned writers = 1;  // of the store's threads, in turn; the others do nothing
};

// Where a hit ratio is looked at: so many operations each.
struct SizeChangeReport {
  double fresh_percent = 0;           // over the second half of the phase
  double changed_percent = 0;         // the same of the store that held something else before
  std::uint32_t fill_operations = 0;  // until the fresh store had used up its memory
  // After so many times the memory's size was stored no quarter of the phase has a hit ratio that is more
  // than a point behind the fresh store's.
  double recovery_memories = 0;
  double memories_stored = 0;  // in the whole phase
};

// Popularity ranks by the inverse of the cumulated probabilities.
class ZipfRanks {
 public:
  explicit ZipfRanks(std::uint32_t keys) : cumulated_(keys) {
    double sum = 0;
    for (std::uint32_t i = 0; i < keys; ++i) cumulated_[i] = sum += 1.0 / (i + 1);
  }
  std::uint32_t next(std::uint64_t random) const {
    const double at = static_cast<double>(random >> 11) * 0x1.0p-53 * cumulated_.back();
    const auto found = std::ranges::upper_bound(cumulated_, at);
    return static_cast<std::uint32_t>(std::min<std::ptrdiff_t>(
        found - cumulated_.begin(), static_cast<std::ptrdiff_t>(cumulated_.size()) - 1));
  }

 private:
  std::vector<double> cumulated_;
};

// One store under the workload, driven by one thread, with a clock that goes with the operations.
class SizeChangeStore {
 public:
  explicit SizeChangeStore(const store::Options& options)
      : store_(std::move(store::Store::create(options).value())) {
    for (unsigned i = 0; i < options.threads; ++i) threads_.push_back(&store_->attach());
  }

  // True on a hit.
  bool access(const std::string& key, std::size_t value_bytes, unsigned writer) {
    store::StoreThread& thread = *threads_[writer];
    if (++operations_ % kOperationsPerSecond == 0) ++now_;
    if (operations_ % kOperationsPerUpkeep == 0) {
      for (store::StoreThread* each : threads_) each->maintain(now_, kUpkeepChunks);
    }
    if (operations_ % kOperationsPerTurn == 0) threads_[writer]->end_turn();
    const auto place = [](const store::ItemInfo&) { return store::ReadTarget{}; };
    const store::Key hashed = store_->key(key);
    if (store_->read(thread, hashed, now_, {}, place, nullptr) == store::Lookup::kHit) return true;
    value_.resize(std::max(value_.size(), value_bytes), 'v');
    stored_bytes_ += value_bytes;
    store::StoreRequest request;
    request.key = hashed;
    if (store_->put(thread, request, {value_.data(), value_bytes}, now_) != store::StoreResult::kStored)
      ++refused_;
    return false;
  }
  const store::Store& store() const { return *store_; }
  std::uint64_t refused() const { return refused_; }
  std::uint64_t stored_bytes() const { return stored_bytes_; }  // values

 private:
  // A slow server: what follows the clock gets many more operations between its steps elsewhere.
  static constexpr std::uint64_t kOperationsPerSecond = 100'000;
  static constexpr std::uint64_t kOperationsPerUpkeep = 5'000, kOperationsPerTurn = 20;
  static constexpr std::size_t kUpkeepChunks = 256;

  std::unique_ptr<store::Store> store_;
  std::vector<store::StoreThread*> threads_;
  CacheTime now_ = 1000;
  std::uint64_t operations_ = 0, refused_ = 0, stored_bytes_ = 0;
  std::string value_;
};

inline std::uint64_t scramble(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// Runs `phase` on the store that has been through others, and on a fresh one.
inline SizeChangeReport run_size_phase(SizeChangeStore& changed, const store::Options& options,
                                       const SizePhase& phase, std::uint64_t seed) {
  constexpr std::uint32_t kWindows = 40, kWindowsTogether = 10;
  SizeChangeStore fresh(options);
  const ZipfRanks ranks(phase.keys);
  const std::uint32_t window = phase.operations / kWindows;
  std::vector<std::uint32_t> fresh_hits, changed_hits;
  std::vector<std::uint64_t> changed_stored;
  SizeChangeReport report;
  std::string key;
  for (std::uint32_t i = 0; i < window * kWindows; ++i) {
    if (i % window == 0) {
      fresh_hits.push_back(0);
      changed_hits.push_back(0);
      changed_stored.push_back(changed.stored_bytes());
    }
    const std::uint32_t rank = ranks.next(scramble(seed ^ scramble(i + 1)));
    const std::size_t bytes = phase.value_bytes[scramble(rank + 1) % phase.value_bytes.size()];
    key = phase.name + ":" + std::to_string(rank);
    const unsigned writer = i % phase.writers;
    fresh_hits.back() += fresh.access(key, bytes, writer) ? 1 : 0;
    changed_hits.back() += changed.access(key, bytes, writer) ? 1 : 0;
    if (report.fill_operations == 0 && fresh.store().stats().pages_free == 0) report.fill_operations = i;
  }
  report.memories_stored = static_cast<double>(changed.stored_bytes() - changed_stored[0]) /
                           static_cast<double>(options.memory_limit_bytes);
  const auto percent = [&](const std::vector<std::uint32_t>& hits, std::uint32_t first) {
    std::uint64_t sum = 0;
    for (std::uint32_t i = first; i < kWindows; ++i) sum += hits[i];
    return 100.0 * static_cast<double>(sum) / (static_cast<double>(kWindows - first) * window);
  };
  report.fresh_percent = percent(fresh_hits, kWindows / 2);
  report.changed_percent = percent(changed_hits, kWindows / 2);
  for (std::uint32_t i = kWindowsTogether; i <= kWindows; ++i) {
    std::uint32_t fresh_sum = 0, changed_sum = 0;
    for (std::uint32_t j = i - kWindowsTogether; j < i; ++j) {
      fresh_sum += fresh_hits[j];
      changed_sum += changed_hits[j];
    }
    if (changed_sum + window * kWindowsTogether / 100 < fresh_sum)
      report.recovery_memories =
          static_cast<double>(changed_stored[i - kWindowsTogether + 1] - changed_stored[0]) /
          static_cast<double>(options.memory_limit_bytes);
  }
  return report;
}

}  // namespace ringcached::testing
