#include "protocol/parser.h"

#include <optional>

#include "protocol/classic.h"
#include "protocol/command_word.h"
#include "protocol/hot_path.h"
#include "protocol/meta.h"
#include "protocol/reply.h"
#include "protocol/scanner.h"

namespace ringcached::protocol {
namespace {

// Shorter lines, with their terminator, are malformed rather than unknown commands (section 3.1).
constexpr std::size_t kUnknownLineBytesMin = 4;

ParseResult close_with(std::string_view reply) {
  return {.kind = ParseKind::kClose, .reply = reply};
}

// A web browser or a scanner: whatever follows is no request either, so answering each header line is
// pointless.
bool is_http_request(std::string_view line) {
  return last_word(line).starts_with("HTTP/");
}

ParseResult refuse_unknown(const ScannedLine& line) {
  if (is_http_request(line.text)) return close_with({});
  return {.kind = ParseKind::kError,
          .consumed = line.bytes,
          .reply = line.bytes < kUnknownLineBytesMin ? reply::kBadFormat : reply::kError};
}

}  // namespace

ParseResult parse_text(std::string_view input, LineScan& scan, Request& request, MetaRequest& meta) {
  if (const HotLine hot = parse_hot(input, request, meta); hot.bytes != 0) {
    scan.searched = 0;
    return {.kind = hot.is_meta ? ParseKind::kMeta : ParseKind::kRequest, .consumed = hot.bytes};
  }
  const ScannedLine line = scan_line(input, scan);
  switch (line.state) {
    case ScannedLine::State::kUnterminated:
      return {};
    case ScannedLine::State::kTooLong:
      return close_with({});
    case ScannedLine::State::kMultigetTooLong:
      return close_with(reply::kNoMemoryRequest);
    case ScannedLine::State::kComplete:
      break;
  }
  std::string_view words = line.text;
  const std::string_view word = next_word(words);
  if (const std::optional<MetaCommand> command = find_meta_command(word)) {
    return parse_meta(*command, words, line.bytes, meta);
  }
  const std::optional<Command> command = find_command(word);
  return command ? parse_classic(*command, words, line.bytes, request) : refuse_unknown(line);
}

}  // namespace ringcached::protocol
