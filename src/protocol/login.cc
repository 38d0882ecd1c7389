#include "protocol/login.h"

#include <optional>

#include "base/assert.h"
#include "protocol/limits.h"
#include "protocol/number.h"
#include "protocol/reply.h"
#include "protocol/scanner.h"

namespace ringcached::protocol {
namespace {

constexpr int kWordsBeforeLength = 4;

// As strict as the length of any data block (number.h), but for the upper bound: what is too long for a token
// is to be told so.
std::optional<std::uint32_t> token_length(std::string_view line) {
  for (int i = 0; i < kWordsBeforeLength; ++i) next_word(line);
  const std::string_view word = next_word(line);
  if (word.size() > kLengthDigitsMax || word.starts_with('+')) return std::nullopt;
  return parse_u32(word);
}

LoginLine refused(std::size_t consumed, std::string_view reply) {
  return {.kind = LoginLine::Kind::kRefused, .consumed = consumed, .reply = reply};
}

}  // namespace

LoginLine parse_login_line(std::string_view input, LineScan& scan) {
  const ScannedLine line = scan_line(input, scan, LongLines::kNone);
  if (line.state == ScannedLine::State::kUnterminated) return {};
  if (line.state != ScannedLine::State::kComplete || line.bytes - 1 < kLoginLineBytesMin) {
    return {.kind = LoginLine::Kind::kClose};
  }
  if (!line.text.starts_with("set")) return refused(line.bytes, reply::kUnauthenticated);
  const std::optional<std::uint32_t> length = token_length(line.text);
  if (!length) return refused(line.bytes, reply::kUnauthenticated);
  if (*length > kLoginTokenBytesMax) return refused(line.bytes, reply::kAuthTooLong);
  return {.kind = LoginLine::Kind::kToken, .consumed = line.bytes, .token_bytes = *length};
}

LoginToken parse_login_token(std::string_view block) {
  RC_CHECK(block.size() >= 2);
  if (!block.ends_with("\r\n")) return {.reply = reply::kAuthBadTermination};
  block.remove_suffix(2);
  const std::size_t space = block.find(' ');
  if (space == std::string_view::npos) return {.reply = reply::kAuthBadToken};
  return {.user = block.substr(0, space), .password = block.substr(space + 1), .reply = {}};
}

}  // namespace ringcached::protocol
