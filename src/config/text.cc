#include "config/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "base/assert.h"
#include "base/log.h"
#include "config/suggest.h"

namespace ringcached::config {
namespace {

struct Unit {
  std::string_view suffix;
  std::int64_t factor;
};

constexpr std::array<Unit, 13> kSizeUnits = {{
    {"b", 1},
    {"k", std::int64_t{1} << 10},
    {"kb", std::int64_t{1} << 10},
    {"kib", std::int64_t{1} << 10},
    {"m", std::int64_t{1} << 20},
    {"mb", std::int64_t{1} << 20},
    {"mib", std::int64_t{1} << 20},
    {"g", std::int64_t{1} << 30},
    {"gb", std::int64_t{1} << 30},
    {"gib", std::int64_t{1} << 30},
    {"t", std::int64_t{1} << 40},
    {"tb", std::int64_t{1} << 40},
    {"tib", std::int64_t{1} << 40},
}};

// In microseconds; the finest first.
constexpr std::array<Unit, 6> kDurationUnits = {{{"us", 1},
                                                 {"ms", 1000},
                                                 {"s", 1'000'000},
                                                 {"m", 60'000'000},
                                                 {"h", 3'600'000'000},
                                                 {"d", 86'400'000'000}}};

Status invalid(std::string message) {
  return {StatusCode::kInvalidArgument, std::move(message)};
}

Status wrong(const Option& option, std::string_view text, Source source) {
  return invalid("\"" + escaped(text, 60) + "\" is not " + expected(option, source));
}

// The whole of `text` as a decimal number.
template <typename Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// "64m" as 64 * factor; a bare number takes `bare_factor`, or is refused when that is 0. Negative numbers and
// overflow are refused.
std::optional<std::int64_t> scaled(std::string_view text, std::span<const Unit> units,
                                   std::int64_t bare_factor) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto count = number<std::int64_t>(text.substr(0, digits));
  if (!count) return std::nullopt;
  std::int64_t factor = *count == 0 ? 1 : bare_factor;
  if (digits < text.size()) {
    const auto unit = std::ranges::find(units, lower(text.substr(digits)), &Unit::suffix);
    if (unit == units.end()) return std::nullopt;
    factor = unit->factor;
  }
  std::int64_t product = 0;
  if (factor == 0 || __builtin_mul_overflow(*count, factor, &product)) return std::nullopt;
  return product;
}

Result<Value> parse_integer(const Option& option, std::string_view text, Source source) {
  std::optional<std::int64_t> value;
  if (option.type == Type::kSize) {
    value = scaled(text, kSizeUnits, source == Source::kCommandLine ? option.unit : 0);
  } else if (option.type == Type::kDuration) {
    value = scaled(text, kDurationUnits, source == Source::kCommandLine ? option.unit : 0);
    if (value && *value % option.unit != 0) value.reset();
    if (value) *value /= option.unit;
  } else {
    value = number<std::int64_t>(text);
  }
  if (!value) return wrong(option, text, source);
  Value result(*value);
  if (!check_value(option, result)) return wrong(option, text, source);
  return result;
}

Result<Value> parse_float(const Option& option, std::string_view text, Source source) {
  const auto value = number<double>(text);
  if (!value || !check_value(option, Value(*value))) return wrong(option, text, source);
  return Value(*value);
}

Result<Value> parse_mode(const Option& option, std::string_view text, Source source) {
  std::int64_t mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc{} || end != text.data() + text.size() || mode < 0 || mode > option.max) {
    return wrong(option, text, source);
  }
  return Value(mode);
}

// Length of the UTF-8 sequence at the front of `text`, 0 if there is none. Overlong forms and surrogates are
// refused.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f)) return 0;
  if ((first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) return 0;
  return length;
}

// Text that a TOML file can hold and a terminal can show: UTF-8 without control characters.
bool is_clean(std::string_view text) {
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text.front());
    const std::size_t length = first < 0x20 || first == 0x7f ? 0 : utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

Status check_text(const Option& option, std::string_view text) {
  if (text.size() > option.length_max) {
    return invalid("\"" + escaped(text, 60) + "\" is longer than " + std::to_string(option.length_max) +
                   (option.length_max == 1 ? " character" : " characters") + "; shorten it");
  }
  if (!is_clean(text)) {
    return invalid("\"" + escaped(text, 60) +
                   "\" is not plain UTF-8 text; remove control characters and stray bytes");
  }
  if (option.length_max == 1 && (text.empty() || text == " ")) {
    return invalid("\"" + std::string(text) + "\" is not one character other than a space");
  }
  return {};
}

std::string unit_word(const Option& option) {
  switch (option.unit) {
    case 1:
      return "bytes";
    case std::int64_t{1} << 10:
      return "kilobytes";
    default:
      return "megabytes";
  }
}

// Those of which an option of that resolution can hold one.
std::string duration_units(const Option& option) {
  if (option.unit == 1) return "(us, ms, s, m, h, d)";
  return option.unit == 1000 ? "(ms, s, m, h, d)" : "(s, m, h, d)";
}

std::string shortest(double value) {
  std::array<char, 40> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  RC_CHECK(error == std::errc{});
  return {buffer.data(), end};
}

std::string size_text(std::int64_t bytes) {
  if (bytes == 0) return "0";
  constexpr std::string_view kSuffixes = "bkmgt";
  std::size_t step = 0;
  while (bytes % 1024 == 0 && step + 1 < kSuffixes.size()) {
    bytes /= 1024;
    ++step;
  }
  return std::to_string(bytes) + kSuffixes[step];
}

std::string duration_text(const Option& option, std::int64_t count) {
  if (count == 0) return "0";
  // The largest of us, ms and s that keeps it whole.
  std::int64_t micros = count * option.unit;
  constexpr std::array<const char*, 3> kSuffixes = {"us", "ms", "s"};
  std::size_t step = 0;
  while (micros % 1000 == 0 && step + 1 < kSuffixes.size()) {
    micros /= 1000;
    ++step;
  }
  return std::to_string(micros) + kSuffixes[step];
}

std::string duration_word(const Option& option) {
  if (option.unit == 1) return "microseconds";
  return option.unit == 1000 ? "milliseconds" : "seconds";
}

std::string octal(std::int64_t mode) {
  std::array<char, 24> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), mode, 8);
  RC_CHECK(error == std::errc{});
  return {buffer.data(), end};
}

// The number of one or two meanings given outside of the range.
std::string special_text(const Option& option) {
  std::string text;
  if (!option.zero.empty()) text += "0: " + std::string(option.zero);
  if (!option.minus_one.empty()) {
    if (!text.empty()) text += ", ";
    text += "-1: " + std::string(option.minus_one);
  }
  return text.empty() ? text : " (" + text + ")";
}

std::string range_text(const Option& option) {
  const auto shown = [&](std::int64_t bound) {
    if (option.type == Type::kSize) return size_text(bound);
    if (option.type == Type::kDuration) return duration_text(option, bound);
    return std::to_string(bound);
  };
  return " from " + shown(option.min) + " to " + shown(option.max) + special_text(option);
}

std::string joined(std::span<const std::string_view> names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return text;
}

std::string fixed2(double value) {
  // %.2f without the locale: from 100 upwards to_chars(fixed) needs the digits of the integer part, 309 at
  // most.
  std::array<char, 400> buffer{};
  const auto [end, error] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed, 2);
  RC_CHECK(error == std::errc{});
  return {buffer.data(), end};
}

}  // namespace

Result<Value> parse_value(const Option& option, std::string_view text, Source source) {
  switch (option.type) {
    case Type::kFlag:
      if (text == "true" || text == "false") return Value(text == "true");
      return wrong(option, text, source);
    case Type::kInteger:
    case Type::kSize:
    case Type::kDuration:
      return parse_integer(option, text, source);
    case Type::kFloat:
      return parse_float(option, text, source);
    case Type::kEnum: {
      const auto found = std::ranges::find(option.names, text);
      if (found != option.names.end()) return Value(static_cast<std::int64_t>(found - option.names.begin()));
      return invalid("\"" + escaped(text, 60) + "\" is not " + expected(option, source) +
                     did_you_mean(text, option.names));
    }
    case Type::kMode:
      return parse_mode(option, text, source);
    case Type::kText:
    case Type::kList:
      break;
  }
  if (Status status = check_text(option, text); !status) return status;
  if (option.type == Type::kList) return Value(std::vector<std::string>{std::string(text)});
  return Value(std::string(text));
}

Status check_value(const Option& option, const Value& value) {
  switch (option.type) {
    case Type::kInteger:
    case Type::kSize:
    case Type::kDuration:
      if (value.integer == 0 && !option.zero.empty()) return {};
      if (value.integer == -1 && !option.minus_one.empty()) return {};
      if (value.integer >= option.min && value.integer <= option.max) return {};
      return invalid(std::to_string(value.integer) + " is not " + expected(option, Source::kFile));
    case Type::kFloat:
      if (std::isfinite(value.real) && value.real > option.float_above && value.real < option.float_below)
        return {};
      return invalid(shortest(value.real) + " is not " + expected(option, Source::kFile));
    default:
      return {};
  }
}

std::string expected(const Option& option, Source source) {
  switch (option.type) {
    case Type::kFlag:
      return "true or false";
    case Type::kInteger:
      return "a whole number" + range_text(option);
    case Type::kSize:
      return (source == Source::kCommandLine
                  ? "a size in " + unit_word(option) + " or with a unit (b, k, m, g), such as "
                  : "a string with a size and its unit (b, k, m, g), such as ") +
             (source == Source::kFile ? "\"" + size_text(std::max(option.min, option.unit)) + "\""
                                      : size_text(std::max(option.min, option.unit))) +
             "," + range_text(option);
    case Type::kDuration:
      return (source == Source::kCommandLine
                  ? "a time in " + duration_word(option) + " or with a unit " + duration_units(option) + ","
                  : "a string with a time and its unit " + duration_units(option) + ", such as \"30s\",") +
             range_text(option);
    case Type::kFloat:
      return "a number above " + shortest(option.float_above) +
             (option.float_below < std::numeric_limits<double>::max()
                  ? " and below " + shortest(option.float_below)
                  : std::string());
    case Type::kEnum:
      return joined(option.names);
    case Type::kText:
      return option.length_max == 1 ? "a string of one character" : "a string";
    case Type::kList:
      return "a list of strings";
    case Type::kMode:
      return std::string(source == Source::kFile ? "a string with " : "") +
             "an octal access mode from 0 to " + octal(option.max);
  }
  return {};
}

std::string toml_string(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += {kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string toml_text(const Option& option, const Value& value) {
  switch (option.type) {
    case Type::kFlag:
    case Type::kInteger:
      return plain_text(option, value);
    case Type::kFloat: {
      const std::string text = plain_text(option, value);
      return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
    }
    case Type::kSize:
    case Type::kDuration:
    case Type::kEnum:
    case Type::kText:
    case Type::kMode:
      return toml_string(plain_text(option, value));
    case Type::kList:
      break;
  }
  std::string text = "[";
  for (const std::string& element : value.list) {
    if (text.size() > 1) text += ", ";
    text += toml_string(element);
  }
  return text + "]";
}

std::string plain_text(const Option& option, const Value& value) {
  switch (option.type) {
    case Type::kFlag:
      return value.flag ? "true" : "false";
    case Type::kInteger:
      return std::to_string(value.integer);
    case Type::kSize:
      return size_text(value.integer);
    case Type::kDuration:
      return duration_text(option, value.integer);
    case Type::kFloat:
      return shortest(value.real);
    case Type::kEnum:
      return std::string(option.names[static_cast<std::size_t>(value.integer)]);
    case Type::kText:
      return value.text;
    case Type::kMode:
      return octal(value.integer);
    case Type::kList:
      break;
  }
  std::string text;
  for (const std::string& element : value.list) {
    if (!text.empty()) text += ',';
    text += element;
  }
  return text;
}

std::string stats_text(const Option& option, const Value& value) {
  switch (option.type) {
    case Type::kFlag:
      if (option.stats_style == StatsStyle::kOnOff) return value.flag ? "on" : "off";
      return value.flag ? "yes" : "no";
    case Type::kSize:
    case Type::kDuration:
      return std::to_string(value.integer);
    case Type::kFloat:
      return fixed2(value.real);
    default:
      break;
  }
  std::string text = plain_text(option, value);
  return text.empty() && option.stats_style == StatsStyle::kNullIfEmpty ? "NULL" : text;
}

}  // namespace ringcached::config
