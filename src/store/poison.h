// Manual poisoning for the address sanitizer; nothing in other builds.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define RINGCACHED_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RINGCACHED_ASAN 1
#endif
#endif

#if defined(RINGCACHED_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace ringcached::store {

inline void poison([[maybe_unused]] const void* start, [[maybe_unused]] std::size_t bytes) {
#if defined(RINGCACHED_ASAN)
  __asan_poison_memory_region(start, bytes);
#endif
}

inline void unpoison([[maybe_unused]] const void* start, [[maybe_unused]] std::size_t bytes) {
#if defined(RINGCACHED_ASAN)
  __asan_unpoison_memory_region(start, bytes);
#endif
}

}  // namespace ringcached::store
