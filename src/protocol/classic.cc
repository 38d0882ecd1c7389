#include "protocol/classic.h"

#include <optional>

#include "protocol/limits.h"
#include "protocol/number.h"
#include "protocol/reply.h"
#include "protocol/scanner.h"

namespace ringcached::protocol {
namespace {

constexpr std::string_view kNoreply = "noreply";

ParseResult accept(std::size_t line_bytes) {
  return {.kind = ParseKind::kRequest, .consumed = line_bytes};
}

ParseResult refuse(std::string_view reply, std::size_t line_bytes, bool noreply = false,
                   std::uint64_t swallow = 0) {
  return {.kind = ParseKind::kError,
          .consumed = line_bytes,
          .swallow = swallow,
          .noreply = noreply,
          .reply = reply};
}

// get, gets, gat, gats. One bad key refuses the whole line, so all are checked before any is looked up.
ParseResult parse_retrieval(Command command, std::string_view words, std::size_t line_bytes,
                            Request& request) {
  request = Request{.command = command};
  const bool touching = command == Command::kGat || command == Command::kGats;
  const std::string_view exptime_word = touching ? next_word(words) : std::string_view();
  const std::string_view keys = words;
  request.key = next_word(words);
  if (request.key.empty()) return refuse(reply::kBadFormat, line_bytes);
  if (touching) {
    const std::optional<std::int32_t> exptime = parse_i32(exptime_word);
    if (!exptime) return refuse(reply::kInvalidExptime, line_bytes);
    request.exptime = *exptime;
  }
  if (!words_within(keys, kKeyBytesMax)) return refuse(reply::kBadFormat, line_bytes);
  request.arguments = trimmed(words);
  return accept(line_bytes);
}

// set, add, replace, append, prepend, cas. Once the length is known, every other fault swallows the data
// block, or it would run through the parser as commands.
ParseResult parse_storage(Command command, std::string_view words, std::size_t line_bytes, Request& request) {
  request = Request{.command = command, .key = next_word(words)};
  const std::string_view flags_word = next_word(words);
  const std::string_view exptime_word = next_word(words);
  const std::optional<std::uint32_t> length = parse_value_length(next_word(words));
  if (!length) return refuse(reply::kBadFormat, line_bytes);
  request.noreply = last_word(words) == kNoreply;
  request.value_bytes = *length;

  const std::optional<std::uint32_t> client_flags = parse_u32(flags_word);
  const std::optional<std::int32_t> exptime = parse_i32(exptime_word);
  const std::optional<std::uint64_t> cas =
      command == Command::kCas ? parse_u64(next_word(words)) : std::optional<std::uint64_t>(0);
  if (request.key.size() > kKeyBytesMax || !client_flags || !exptime || !cas) {
    return refuse(reply::kBadFormat, line_bytes, request.noreply, std::uint64_t{*length} + 2);
  }
  request.client_flags = *client_flags;
  request.exptime = *exptime;
  request.number = *cas;
  return accept(line_bytes);
}

// delete <key> [0] [noreply], and nothing else: another number is the delayed delete of old clients, which
// must not be mistaken for an immediate one, and memccapable asks that other words be refused too. A lone key
// named noreply is a key.
ParseResult parse_delete(std::string_view words, std::size_t line_bytes, Request& request) {
  request = Request{.command = Command::kDelete, .key = next_word(words)};
  if (request.key.empty()) return refuse(reply::kBadFormat, line_bytes);
  request.noreply = last_word(words) == kNoreply;
  if (request.key.size() > kKeyBytesMax) return refuse(reply::kBadFormat, line_bytes, request.noreply);
  std::string_view extra = next_word(words);
  if (is_zero(extra)) extra = next_word(words);
  const bool refused = !(extra.empty() || extra == kNoreply) || !next_word(words).empty();
  return refused ? refuse(reply::kDeleteUsage, line_bytes, request.noreply) : accept(line_bytes);
}

// incr, decr and touch: a key and a number.
ParseResult parse_key_and_number(Command command, std::string_view words, std::size_t line_bytes,
                                 Request& request) {
  request = Request{.command = command, .key = next_word(words)};
  const std::string_view behind_key = words;
  const std::string_view number_word = next_word(words);
  if (number_word.empty()) return refuse(reply::kBadFormat, line_bytes);
  request.noreply = last_word(behind_key) == kNoreply;
  if (request.key.size() > kKeyBytesMax) return refuse(reply::kBadFormat, line_bytes, request.noreply);
  if (command == Command::kTouch) {
    const std::optional<std::int32_t> exptime = parse_i32(number_word);
    if (!exptime) return refuse(reply::kInvalidExptime, line_bytes, request.noreply);
    request.exptime = *exptime;
  } else {
    const std::optional<std::uint64_t> delta = parse_u64(number_word);
    if (!delta) return refuse(reply::kInvalidDelta, line_bytes, request.noreply);
    request.number = *delta;
  }
  return accept(line_bytes);
}

// Commands that answer in any case keep the word as an argument.
bool knows_noreply(Command command) {
  switch (command) {
    case Command::kFlushAll:
    case Command::kVerbosity:
    case Command::kCacheMemlimit:
    case Command::kSlabs:
    case Command::kLru:
    case Command::kLruCrawler:
    case Command::kExtstore:
      return true;
    default:
      return false;
  }
}

ParseResult parse_administration(Command command, std::string_view words, std::size_t line_bytes,
                                 Request& request) {
  request = Request{.command = command, .arguments = trimmed(words)};
  if (knows_noreply(command) && last_word(request.arguments) == kNoreply) {
    request.noreply = true;
    request.arguments.remove_suffix(kNoreply.size());
    request.arguments = trimmed(request.arguments);
  }
  return accept(line_bytes);
}

}  // namespace

ParseResult parse_classic(Command command, std::string_view words, std::size_t line_bytes, Request& request) {
  if (is_retrieval(command)) return parse_retrieval(command, words, line_bytes, request);
  if (is_storage(command)) return parse_storage(command, words, line_bytes, request);
  switch (command) {
    case Command::kDelete:
      return parse_delete(words, line_bytes, request);
    case Command::kIncr:
    case Command::kDecr:
    case Command::kTouch:
      return parse_key_and_number(command, words, line_bytes, request);
    default:
      return parse_administration(command, words, line_bytes, request);
  }
}

}  // namespace ringcached::protocol
