// A histogram of durations with one writer and any number of readers: 4 KiB, a record is a handful of
// instructions without a lock prefix, the quantiles are right to a sixteenth of their value and the largest
// value exactly. Readers add the histograms of several writers up in a HistogramSum.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/counter.h"
#include "base/log_linear.h"

namespace ringcached {

class Histogram {
 public:
  // Nanoseconds up to a minute.
  using Buckets = LogLinearBuckets<4, 36>;

  // Only the owning thread. `times`: as if called so often.
  void record(std::uint64_t value, std::uint64_t times = 1) {
    counts_[Buckets::of(value)].add(times);
    if (value > max_.get()) max_.set(value);
  }
  void clear() {
    for (Counter& count : counts_) count.set(0);
    max_.set(0);
  }

  // Any thread.
  std::uint64_t count_in(std::size_t bucket) const { return counts_[bucket].get(); }
  std::uint64_t max() const { return max_.get(); }

 private:
  Counter max_;
  std::array<Counter, Buckets::kCount> counts_;
};

// A copy of one moment, of any number of histograms. Not for several threads.
class HistogramSum {
 public:
  void add(const Histogram& histogram) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += histogram.count_in(i);
    max_ = std::max(max_, histogram.max());
  }

  std::uint64_t count() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : counts_) sum += count;
    return sum;
  }
  std::uint64_t max() const { return max_; }
  // The upper end of the bucket that holds the value which `per_mille` thousandths of all values do not
  // exceed; never more than the largest one. 0 when empty.
  std::uint64_t quantile(unsigned per_mille) const {
    constexpr std::uint64_t kWhole = 1000;
    const std::uint64_t all = count();
    const std::uint64_t rank = std::max<std::uint64_t>(
        all / kWhole * per_mille + (all % kWhole * per_mille + kWhole - 1) / kWhole, 1);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen >= rank)
        return i + 1 == counts_.size() ? max_ : std::min(Histogram::Buckets::upper_end(i), max_);
    }
    return max_;
  }

 private:
  std::uint64_t max_ = 0;
  std::array<std::uint64_t, Histogram::Buckets::kCount> counts_{};
};

}  // namespace ringcached
