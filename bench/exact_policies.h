// Exact eviction policies to compare a cache with: every item counts as one, all accesses are reads, and
// every miss inserts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ringcached::bench {

enum class Policy : std::uint8_t {
  kFifo,
  kLru,
  // Yang et al., "FIFO queues are all you need for cache eviction" (SOSP 2023): a small queue of a tenth, a
  // main queue, 2-bit counters, and a ghost of as many keys as the main queue's share. An item moves from
  // small to main when it was used more than once there.
  kS3Fifo,
  // The same when it was used at all: what ringcached does.
  kS3FifoOnce,
  // The best there is with the future known: what is used again last makes room (Belady 1966).
  kBelady,
};
inline constexpr Policy kPolicies[] = {Policy::kFifo, Policy::kLru, Policy::kS3Fifo, Policy::kS3FifoOnce,
                                       Policy::kBelady};

std::string_view policy_name(Policy policy);

// Hits of `accesses`, which are numbers below `keys`, in an empty cache of `capacity` items (at least 1).
std::uint64_t hits_of(Policy policy, const std::vector<std::uint32_t>& accesses, std::size_t keys,
                      std::size_t capacity);

}  // namespace ringcached::bench
