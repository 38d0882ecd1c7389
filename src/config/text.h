// Values as text: read from the command line, written to the configuration file and to `stats settings`.
#pragma once

#include <string>
#include <string_view>

#include "config/option.h"
#include "ringcached/status.h"

namespace ringcached::config {

// Where a text comes from decides about units: on the command line a bare number has the option's unit, in a
// file a size or a duration must name one.
enum class Source : std::uint8_t { kCommandLine, kFile };

// One occurrence of an option: a flag's "true" or "false", a number, one element of a list (not yet split).
// On failure the message says what is wrong and what to write instead; the caller puts the place in front.
Result<Value> parse_value(const Option& option, std::string_view text, Source source);

// The range checks alone, for a value that was not text (a TOML integer).
Status check_value(const Option& option, const Value& value);

// "a whole number from 1 to 65535 (0: no TCP, -1: any free port)"
std::string expected(const Option& option, Source source);

// As TOML that reads back to the same value.
std::string toml_text(const Option& option, const Value& value);
std::string toml_string(std::string_view text);
// As `stats settings` writes it.
std::string stats_text(const Option& option, const Value& value);
// For help and the comments of the example file: without quotes.
std::string plain_text(const Option& option, const Value& value);

}  // namespace ringcached::config
