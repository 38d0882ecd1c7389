// Keys in lines that are split at blanks: percent-encoded as in a URI (RFC 3986), upper-case digits.
#pragma once

#include <cstddef>
#include <string_view>

namespace ringcached::protocol {

// Each byte becomes at most so many.
inline constexpr std::size_t kUriBytesPerByteMax = 3;

// Writes `bytes` to `out`, letters, digits and "-._~" as they are, and returns the end.
char* write_uri_encoded(char* out, std::string_view bytes);

}  // namespace ringcached::protocol
