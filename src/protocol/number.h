// Decimal numbers of the text dialects (specification section 2.2). The whole text must be the number; what
// does not fit the type is refused, never truncated.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ringcached::protocol {

// Digits with an optional '+' in front.
std::optional<std::uint32_t> parse_u32(std::string_view text);
std::optional<std::uint64_t> parse_u64(std::string_view text);
// Digits with an optional '+' or '-' in front.
std::optional<std::int32_t> parse_i32(std::string_view text);

// A finite decimal number, with an optional sign, fraction and exponent.
std::optional<double> parse_real(std::string_view text);

// The announced length of a data block: digits with an optional '-', at most kLengthDigitsMax characters,
// from 0 to kValueBytesMax. Stricter than the others because a length misread desynchronises the stream.
inline constexpr std::size_t kLengthDigitsMax = 11;
std::optional<std::uint32_t> parse_value_length(std::string_view text);

// Zero, written with any number of digits and an optional sign.
bool is_zero(std::string_view text);

}  // namespace ringcached::protocol
