// Lines and words of the text dialects: where a line ends, how long it may be, what its words are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocol/parser.h"

namespace ringcached::protocol {

struct ScannedLine {
  enum class State : std::uint8_t {
    kComplete,
    kUnterminated,     // within its limit, wait for more
    kTooLong,          // longer than its limit; close without an answer
    kMultigetTooLong,  // a get or gets longer than kMultigetLineBytesMax
  };
  State state = State::kUnterminated;
  std::string_view text;  // kComplete: without LF and without one CR before it
  std::size_t bytes = 0;  // kComplete: with the terminator
};

// Which lines may be longer than kLineBytesMax while their end has not come.
enum class LongLines : std::uint8_t { kRetrievals, kNone };

// Finds the first line of `input` and applies the length rules of section 1.3. Keeps `scan` up to date.
ScannedLine scan_line(std::string_view input, LineScan& scan, LongLines long_lines = LongLines::kRetrievals);

// Without the spaces at both ends.
std::string_view trimmed(std::string_view text);
// The last of `words`; empty when there is none.
std::string_view last_word(std::string_view words);
// True if no word is longer than `bytes_max`. Looks at a fraction of the bytes only.
bool words_within(std::string_view words, std::size_t bytes_max);

}  // namespace ringcached::protocol
