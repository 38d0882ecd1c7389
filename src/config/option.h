// One row of the option table: everything there is to say about a setting, except its default (config.h).
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/config.h"

namespace ringcached::config {

// A setting's value outside of Config: what the readers make and the printers take. Option::type says which
// member holds it; the others keep their defaults. Enumerations are their index.
struct Value {
  Value() = default;
  explicit Value(bool value) : flag(value) {}
  explicit Value(std::int64_t value) : integer(value) {}
  explicit Value(double value) : real(value) {}
  explicit Value(std::string value) : text(std::move(value)) {}
  explicit Value(std::vector<std::string> value) : list(std::move(value)) {}
  Value(const char*) = delete;  // would be a bool

  bool operator==(const Value&) const = default;

  bool flag = false;
  std::int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<std::string> list;
};

enum class Type : std::uint8_t {
  kFlag,
  kInteger,
  kSize,      // bytes
  kDuration,  // in units of Option::unit microseconds
  kFloat,
  kEnum,  // one of Option::names
  kText,
  kList,  // of texts
  kMode,  // file access mode, octal
};

// How `stats settings` writes the value.
enum class StatsStyle : std::uint8_t { kPlain, kOnOff, kNullIfEmpty };

struct Field {
  Value (*get)(const Config&);
  void (*set)(Config&, const Value&);
};

namespace internal {

template <typename T>
Value to_value(const T& member) {
  if constexpr (std::is_enum_v<T> || (std::is_integral_v<T> && !std::is_same_v<T, bool>)) {
    return Value(static_cast<std::int64_t>(member));
  } else {
    return Value(member);
  }
}

template <typename T>
void from_value(T& member, const Value& value) {
  if constexpr (std::is_same_v<T, bool>) {
    member = value.flag;
  } else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) {
    member = static_cast<T>(value.integer);
  } else if constexpr (std::is_same_v<T, double>) {
    member = value.real;
  } else if constexpr (std::is_same_v<T, std::string>) {
    member = value.text;
  } else {
    member = value.list;
  }
}

}  // namespace internal

// The accessors of Config::*Group::*Member.
template <auto Group, auto Member>
constexpr Field field() {
  return {[](const Config& config) { return internal::to_value(config.*Group.*Member); },
          [](Config& config, const Value& value) { internal::from_value(config.*Group.*Member, value); }};
}

struct Option {
  std::string_view key;  // in the configuration file, "section.name"; also the setting's name everywhere
  Type type;
  Field field;

  char short_flag = 0;
  std::string_view long_flag = {};
  std::string_view suboption = {};  // of -o; for kFlag "no_<name>" clears it
  bool flag_value = true;           // kFlag: what the bare command-line flag sets
  bool counted = false;             // kInteger: each occurrence of the flag adds one, it takes no value

  // kInteger, kSize, kDuration: the range, both ends allowed; `zero` and `minus_one` say what these mean and
  // allow them outside of it.
  std::int64_t min = 0;
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::string_view zero = {};
  std::string_view minus_one = {};
  // kSize: bytes meant by a bare number on the command line. kDuration: microseconds per unit of the field.
  std::int64_t unit = 1;
  double float_above = 0;  // kFloat: the range, both ends excluded
  double float_below = std::numeric_limits<double>::max();
  std::span<const std::string_view> names = {};  // kEnum
  std::size_t length_max = 4096;                 // kText, and each of kList
  std::string_view optional_value = {};          // -o: taken when the sub-option is written without a value

  std::string_view stats_name = {};
  StatsStyle stats_style = StatsStyle::kPlain;
  bool reloadable = false;  // takes effect on SIGHUP; the others need a restart
  int exit_code = 1;        // of a bad value on the command line, as memcached has it
  std::string_view help = {};
  std::string_view inert = {};  // not empty: accepted without effect, and this is why
};

struct Section {
  std::string_view name;  // the part of the key before the dot
  std::string_view title;
};

// The one table, in the order of the help text and the files.
std::span<const Option> options();
std::span<const Section> sections();

// Null when there is no such setting.
const Option* find_key(std::string_view key);
const Option* find_suboption(std::string_view name);
std::size_t index_of(const Option& option);

// "-p", or "--io-level", or "-o hashpower"; the key when the command line has none.
std::string flag_name(const Option& option);
// Long flag with the opposite meaning: "no-pin" of "pin", "enable-cas" of "disable-cas". kFlag only; may be
// empty.
std::string opposite_flag(const Option& option);

// Flags and sub-options of memcached without a setting behind them.
struct Suboption {
  std::string_view name;
  enum class Kind : std::uint8_t { kAcknowledged, kUnknown } kind;
  std::string_view reason;
};
std::span<const Suboption> ignored_suboptions();

struct RefusedFlag {
  char short_flag;
  std::string_view long_flag;
  bool takes_value;
  std::string_view reason;
};
std::span<const RefusedFlag> refused_flags();

}  // namespace ringcached::config
