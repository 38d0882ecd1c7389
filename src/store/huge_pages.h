// Huge pages, by the kernel's own calls: explicit ones, which the administrator has set aside
// (vm.nr_hugepages), and transparent ones, which the kernel makes where it can.
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

// Whether the kernel makes transparent ones for who asks (/sys/kernel/mm/transparent_hugepage/enabled).
bool transparent_huge_pages_allowed();

// Asks for them for whoever touches [start, start + bytes), both multiples of kHugePageBytes, first: a wish.
void ask_for_huge_pages(std::byte* start, std::size_t bytes);

// As populate_memory(), with transparent huge pages where a whole one of untouched memory begins. The kernel
// may take milliseconds to find one.
bool populate_huge_pages(std::byte* start, std::size_t bytes);

}  // namespace ringcached::store
