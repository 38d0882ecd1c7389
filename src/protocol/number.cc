#include "protocol/number.h"

#include <charconv>
#include <cmath>

#include "protocol/limits.h"

namespace ringcached::protocol {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

template <typename T>
std::optional<T> parse_whole(std::string_view text) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

// from_chars knows no '+', and would take the '-' of "+-1".
template <typename T>
std::optional<T> parse_with_plus(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.empty() || !is_digit(text.front())) return std::nullopt;
  }
  return parse_whole<T>(text);
}

}  // namespace

std::optional<std::uint32_t> parse_u32(std::string_view text) {
  return parse_with_plus<std::uint32_t>(text);
}
std::optional<std::uint64_t> parse_u64(std::string_view text) {
  return parse_with_plus<std::uint64_t>(text);
}
std::optional<std::int32_t> parse_i32(std::string_view text) {
  return parse_with_plus<std::int32_t>(text);
}

std::optional<double> parse_real(std::string_view text) {
  const std::optional<double> value = parse_with_plus<double>(text);
  if (!value || !std::isfinite(*value)) return std::nullopt;
  return value;
}

std::optional<std::uint32_t> parse_value_length(std::string_view text) {
  if (text.size() > kLengthDigitsMax) return std::nullopt;
  const std::optional<std::int64_t> length = parse_whole<std::int64_t>(text);
  if (!length || *length < 0 || *length > kValueBytesMax) return std::nullopt;
  return static_cast<std::uint32_t>(*length);
}

bool is_zero(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of('0') == std::string_view::npos;
}

}  // namespace ringcached::protocol
