#include "protocol/scanner.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "protocol/limits.h"

namespace ringcached::protocol {
namespace {

// Leading spaces that are skipped before a long line is asked whether it is a retrieval (section 1.3).
constexpr std::size_t kLeadingSpacesMax = 100;

// Words up to this length are found faster by looking at each byte than by calling memchr.
constexpr std::ptrdiff_t kShortWordBytes = 8;

enum class LineClass : std::uint8_t { kMultiget, kTouchingMultiget, kOther };

// Decides from the beginning of a line that is longer than kLineBytesMax, so no command word is cut off.
LineClass classify(std::string_view line) {
  std::size_t spaces = 0;
  while (spaces < kLeadingSpacesMax && spaces < line.size() && line[spaces] == ' ') ++spaces;
  line.remove_prefix(spaces);
  if (line.starts_with("get ") || line.starts_with("gets ")) return LineClass::kMultiget;
  if (line.starts_with("gat ") || line.starts_with("gats ")) return LineClass::kTouchingMultiget;
  return LineClass::kOther;
}

// `bytes` counts the line so far, and its LF once that has come.
ScannedLine::State check_length(std::string_view input, std::size_t bytes, bool terminated,
                                LongLines long_lines) {
  using State = ScannedLine::State;
  const State fine = terminated ? State::kComplete : State::kUnterminated;
  if (bytes <= kLineBytesMax) return fine;
  // An unterminated line of exactly the limit cannot end within it any more.
  const std::size_t bytes_at_least = terminated ? bytes : bytes + 1;
  switch (long_lines == LongLines::kNone ? LineClass::kOther : classify(input.substr(0, bytes))) {
    case LineClass::kMultiget:
      return bytes_at_least <= kMultigetLineBytesMax ? fine : State::kMultigetTooLong;
    case LineClass::kTouchingMultiget:
      return bytes_at_least <= kCompleteLineBytesMax ? fine : State::kTooLong;
    case LineClass::kOther:
      break;
  }
  return terminated && bytes <= kCompleteLineBytesMax ? fine : State::kTooLong;
}

}  // namespace

ScannedLine scan_line(std::string_view input, LineScan& scan, LongLines long_lines) {
  RC_DCHECK(scan.searched <= input.size());
  ScannedLine line;
  const std::size_t from = std::min(scan.searched, input.size());
  const void* const found =
      from < input.size() ? std::memchr(input.data() + from, '\n', input.size() - from) : nullptr;
  if (found == nullptr) {
    scan.searched = input.size();
    line.state = check_length(input, input.size(), false, long_lines);
    return line;
  }
  scan.searched = 0;
  const auto length = static_cast<std::size_t>(static_cast<const char*>(found) - input.data());
  line.bytes = length + 1;
  line.state = check_length(input, line.bytes, true, long_lines);
  line.text = input.substr(0, length);
  if (line.text.ends_with('\r')) line.text.remove_suffix(1);
  return line;
}

std::string_view next_word(std::string_view& words) {
  const char* cursor = words.data();
  const char* const end = cursor + words.size();
  while (cursor != end && *cursor == ' ') ++cursor;
  const char* const begin = cursor;
  const char* const end_of_short = cursor + std::min<std::ptrdiff_t>(end - cursor, kShortWordBytes);
  while (cursor != end_of_short && *cursor != ' ') ++cursor;
  if (cursor == end_of_short && cursor != end) {
    const void* const space = std::memchr(cursor, ' ', static_cast<std::size_t>(end - cursor));
    cursor = space == nullptr ? end : static_cast<const char*>(space);
  }
  words = std::string_view(cursor, static_cast<std::size_t>(end - cursor));
  return std::string_view(begin, static_cast<std::size_t>(cursor - begin));
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

std::string_view last_word(std::string_view words) {
  while (words.ends_with(' ')) words.remove_suffix(1);
  const std::size_t space = words.rfind(' ');
  return space == std::string_view::npos ? words : words.substr(space + 1);
}

bool words_within(std::string_view words, std::size_t bytes_max) {
  // Any bytes_max + 1 consecutive bytes that follow a space must contain a space. Jumping from the last space
  // of one such window to the next checks them all.
  while (words.size() > bytes_max) {
    const std::size_t space = words.substr(0, bytes_max + 1).rfind(' ');
    if (space == std::string_view::npos) return false;
    words.remove_prefix(space + 1);
  }
  return true;
}

}  // namespace ringcached::protocol
