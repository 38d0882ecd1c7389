#include "protocol/uri.h"

#include <array>

namespace ringcached::protocol {
namespace {

constexpr std::array<bool, 256> unreserved() {
  std::array<bool, 256> table{};
  for (const char c : std::string_view("-._~0123456789")) table[static_cast<unsigned char>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
  return table;
}

constexpr auto kUnreserved = unreserved();
constexpr std::string_view kHexDigits = "0123456789ABCDEF";

}  // namespace

char* write_uri_encoded(char* out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (kUnreserved[byte]) {
      *out++ = c;
      continue;
    }
    *out++ = '%';
    *out++ = kHexDigits[byte >> 4];
    *out++ = kHexDigits[byte & 15];
  }
  return out;
}

}  // namespace ringcached::protocol
