#include "protocol/reply.h"

#include <array>
#include <bit>
#include <cstring>

#include "base/assert.h"

namespace ringcached::protocol {
namespace {

constexpr std::array<std::uint64_t, kU64DigitsMax> kPowersOfTen = [] {
  std::array<std::uint64_t, kU64DigitsMax> powers{};
  std::uint64_t power = 1;
  for (std::uint64_t& entry : powers) {
    entry = power;
    power *= 10;
  }
  return powers;
}();

unsigned digit_count(std::uint64_t value) {
  // 1233 / 4096 is just above log10(2): an estimate that is right or one too small.
  const auto bits = static_cast<unsigned>(std::bit_width(value | 1));
  const unsigned estimate = bits * 1233 >> 12;
  return estimate + (value >= kPowersOfTen[estimate] ? 1U : 0U) + (value == 0 ? 1U : 0U);
}

}  // namespace

[[gnu::noinline]] char* write_digits(char* out, std::uint64_t value) {
  char* const end = out + digit_count(value);
  char* cursor = end;
  while (value >= 100) {
    cursor -= 2;
    std::memcpy(cursor, &kDigitPairs[2 * (value % 100)], 2);
    value /= 100;
  }
  if (value >= 10) {
    std::memcpy(cursor - 2, &kDigitPairs[2 * value], 2);
  } else {
    cursor[-1] = static_cast<char>('0' + value);
  }
  return end;
}

char* write_number_line(char* out, std::uint64_t value) {
  return write_text(write_u64(out, value), reply::kCrlf);
}

void append_stat(std::string& out, std::string_view name, std::string_view value) {
  out.append("STAT ").append(name).append(1, ' ').append(value).append(reply::kCrlf);
}

void append_stat(std::string& out, std::string_view name, std::uint64_t value) {
  std::array<char, kU64DigitsMax> digits;
  const char* const end = write_u64(digits.data(), value);
  append_stat(out, name, std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
}

}  // namespace ringcached::protocol
