// The buckets of a log-linear histogram: exact below 2^kSubBits, above that 2^kSubBits buckets for each
// doubling, so that a bucket is at most 1 / 2^kSubBits of its value wide. Values of 2^kValueBits and more
// fall into the last bucket.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace ringcached {

template <unsigned kSubBits, unsigned kValueBits>
struct LogLinearBuckets {
  static constexpr std::size_t kCount = std::size_t{kValueBits - kSubBits + 1} << kSubBits;

  static constexpr std::size_t of(std::uint64_t value) {
    if (value < (std::uint64_t{1} << kSubBits)) return value;
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBits;
    const std::size_t bucket =
        (std::size_t{shift + 1} << kSubBits) + ((value >> shift) & ((1U << kSubBits) - 1));
    return std::min(bucket, kCount - 1);
  }
  // The largest value that falls into `bucket`.
  static constexpr std::uint64_t upper_end(std::size_t bucket) {
    if (bucket < (std::size_t{1} << kSubBits)) return bucket;
    const std::size_t shift = (bucket >> kSubBits) - 1;
    const std::uint64_t sub = bucket & ((std::size_t{1} << kSubBits) - 1);
    return (((std::uint64_t{1} << kSubBits) + sub + 1) << shift) - 1;
  }
};

}  // namespace ringcached
