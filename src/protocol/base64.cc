#include "protocol/base64.h"

#include <array>
#include <cstdint>

namespace ringcached::protocol {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNoDigit = 64;

constexpr std::array<std::uint8_t, 256> kDigits = [] {
  std::array<std::uint8_t, 256> digits{};
  digits.fill(kNoDigit);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    digits[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return digits;
}();

char byte_of(std::uint32_t group, unsigned shift) {
  return static_cast<char>(group >> shift & 0xff);
}
char digit_of(std::uint32_t group, unsigned shift) {
  return kAlphabet[group >> shift & 0x3f];
}

}  // namespace

std::optional<std::size_t> decode_base64(std::string_view encoded, char* out) {
  if (encoded.empty() || encoded.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && encoded[encoded.size() - 1 - padding] == '=') ++padding;
  const std::size_t digits = encoded.size() - padding;
  char* cursor = out;
  for (std::size_t at = 0; at < encoded.size(); at += 4) {
    std::uint32_t group = 0;
    for (std::size_t i = at; i < at + 4; ++i) {
      const std::uint8_t digit =
          i < digits ? kDigits[static_cast<unsigned char>(encoded[i])] : std::uint8_t{0};
      if (digit == kNoDigit) return std::nullopt;
      group = group << 6 | digit;
    }
    const std::size_t bytes = at + 4 < encoded.size() ? 3 : 3 - padding;
    for (std::size_t i = 0; i < bytes; ++i) *cursor++ = byte_of(group, 16 - 8 * static_cast<unsigned>(i));
  }
  return static_cast<std::size_t>(cursor - out);
}

char* encode_base64(std::string_view bytes, char* out) {
  while (!bytes.empty()) {
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = group << 8 | (i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0U);
    }
    *out++ = digit_of(group, 18);
    *out++ = digit_of(group, 12);
    *out++ = bytes.size() > 1 ? digit_of(group, 6) : '=';
    *out++ = bytes.size() > 2 ? digit_of(group, 0) : '=';
    bytes.remove_prefix(bytes.size() < 3 ? bytes.size() : 3);
  }
  return out;
}

}  // namespace ringcached::protocol
