// Keys in log lines and dumps: what is not A-Z a-z 0-9 - . _ ~ becomes %XX, upper case (section 10).
#pragma once

#include <cstddef>
#include <string_view>

#include "protocol/limits.h"

namespace ringcached::protocol {

inline constexpr std::size_t kUriKeyBytesMax = 3 * kKeyBytesMax;

// Writes at `out`, which has room for three times the bytes of `text`; returns the end.
char* write_uri_encoded(char* out, std::string_view text);

}  // namespace ringcached::protocol
