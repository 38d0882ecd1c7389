// Unsigned numbers in network byte order, at any alignment.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace ringcached::protocol {

inline std::uint8_t swap_bytes(std::uint8_t value) {
  return value;
}
inline std::uint16_t swap_bytes(std::uint16_t value) {
  return __builtin_bswap16(value);
}
inline std::uint32_t swap_bytes(std::uint32_t value) {
  return __builtin_bswap32(value);
}
inline std::uint64_t swap_bytes(std::uint64_t value) {
  return __builtin_bswap64(value);
}

template <typename T>
T load_big_endian(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return std::endian::native == std::endian::little ? swap_bytes(value) : value;
}

// Returns the end of what it wrote.
template <typename T>
char* store_big_endian(char* out, T value) {
  if constexpr (std::endian::native == std::endian::little) value = swap_bytes(value);
  std::memcpy(out, &value, sizeof value);
  return out + sizeof value;
}

}  // namespace ringcached::protocol
