// memcpy for lengths that are mostly small and known only at run time, as keys and small values are: up to 64
// bytes are overlapping moves in place of a call. Any thread; the ranges must not overlap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ringcached {

namespace detail {
// Blocks of a size the compiler knows to have registers for.
template <typename Block>
inline void copy_ends(char* to, const char* from, std::size_t bytes) {
  Block first, last;
  std::memcpy(&first, from, sizeof(Block));
  std::memcpy(&last, from + bytes - sizeof(Block), sizeof(Block));
  std::memcpy(to, &first, sizeof(Block));
  std::memcpy(to + bytes - sizeof(Block), &last, sizeof(Block));
}
using Block16 = std::uint64_t __attribute__((vector_size(16)));
}  // namespace detail

inline void copy_short(void* to, const void* from, std::size_t bytes) {
  auto* out = static_cast<char*>(to);
  const auto* in = static_cast<const char*>(from);
  if (bytes > 64) {
    std::memcpy(out, in, bytes);
  } else if (bytes >= 32) {
    detail::copy_ends<detail::Block16>(out, in, 32);
    detail::copy_ends<detail::Block16>(out + bytes - 32, in + bytes - 32, 32);
  } else if (bytes >= 16) {
    detail::copy_ends<detail::Block16>(out, in, bytes);
  } else if (bytes >= 8) {
    detail::copy_ends<std::uint64_t>(out, in, bytes);
  } else if (bytes >= 4) {
    detail::copy_ends<std::uint32_t>(out, in, bytes);
  } else {
    for (std::size_t i = 0; i < bytes; ++i) out[i] = in[i];
  }
}

}  // namespace ringcached
