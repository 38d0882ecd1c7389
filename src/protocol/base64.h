// Base64 with the standard alphabet and padding, as the meta commands use it for keys.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace ringcached::protocol {

// Room that decode_base64() needs at most.
inline constexpr std::size_t base64_decoded_bytes_max(std::size_t encoded_bytes) {
  return encoded_bytes / 4 * 3;
}
// Exact.
inline constexpr std::size_t base64_encoded_bytes(std::size_t bytes) {
  return (bytes + 2) / 3 * 4;
}

// Decodes into `out` and returns the number of bytes; nothing unless `encoded` is non-empty and well-formed.
// Bits that padding leaves over are ignored.
std::optional<std::size_t> decode_base64(std::string_view encoded, char* out);
// Encodes into `out`, which has room for base64_encoded_bytes(), and returns the end.
char* encode_base64(std::string_view bytes, char* out);

}  // namespace ringcached::protocol
