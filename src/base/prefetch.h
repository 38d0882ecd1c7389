// Asking for cache lines ahead of their use. Never faults, whatever the address.
#pragma once

#include <cstdint>

namespace ringcached {

// What a line is wanted for.
enum class Access : std::uint8_t { kRead, kWrite };

// A line that another core wrote last comes to a plain prefetch, or a load, for reading only, and the write
// has to ask that core a second time. __builtin_prefetch(p, 1) is a plain prefetch unless the compiler may
// use prefetchw, which is not in the base of x86-64; processors that lack it, none since 2014, take it for a
// no-op.
inline void prefetch_to_write(const void* address) {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(address)));
#else
  __builtin_prefetch(address, 1);
#endif
}

inline void prefetch_for(Access access, const void* address) {
  access == Access::kWrite ? prefetch_to_write(address) : __builtin_prefetch(address);
}

}  // namespace ringcached
