// Explicit huge pages: those the administrator has set aside (vm.nr_hugepages), by the kernel's own calls.
#pragma once

#include <cstddef>
#include <optional>

#include "ringcached/status.h"

namespace ringcached::store {

inline constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

// Replaces the untouched private memory [start, start + bytes), both multiples of kHugePageBytes, by huge
// pages, all of them taken now, from `node` alone if one is given. When there are not enough: kUnavailable,
// and ordinary memory without a policy is there instead.
Status take_huge_pages(std::byte* start, std::size_t bytes, std::optional<unsigned> node);

}  // namespace ringcached::store
