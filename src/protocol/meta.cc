#include "protocol/meta.h"

#include "base/assert.h"
#include "protocol/number.h"
#include "protocol/reply.h"

namespace ringcached::protocol {
namespace {

constexpr MetaLetters kKnownLetters("bcfhklqstuvxCDEFIJLMNOPRT");

// An empty line means no fault.
using Fault = std::string_view;

template <typename T>
Fault store_number(std::optional<T> number, T& out, Fault fault) {
  if (!number) return fault;
  out = *number;
  return {};
}

// Duplicates and unknown letters of all flags are found before the argument of any is looked at.
Fault check_letters(std::string_view words, MetaRequest& request) {
  for (std::string_view word = next_word(words); !word.empty(); word = next_word(words)) {
    const char letter = word.front();
    if (static_cast<unsigned char>(letter) >= 127) return reply::kBadFormat;
    if (!kKnownLetters.has(letter)) return reply::kMetaInvalidFlag;
    if (request.has(letter)) return reply::kMetaDuplicateFlag;
    request.add_flag(letter);
  }
  return {};
}

Fault read_argument(char letter, std::string_view argument, MetaRequest& request) {
  switch (letter) {
    case 'T':
      return store_number(parse_i32(argument), request.ttl, reply::kMetaBadToken);
    case 'N':
      return store_number(parse_i32(argument), request.vivify_ttl, reply::kMetaBadToken);
    case 'R':
      return store_number(parse_i32(argument), request.recache_ttl, reply::kMetaBadToken);
    case 'C':
      return store_number(parse_u64(argument), request.cas, reply::kMetaBadToken);
    case 'E':
      return store_number(parse_u64(argument), request.new_cas, reply::kMetaBadToken);
    case 'D':
      return store_number(parse_u64(argument), request.delta, reply::kMetaInvalidDelta);
    case 'J':
      return store_number(parse_u64(argument), request.initial, reply::kMetaInvalidInitial);
    case 'F':
      return store_number(parse_u32(argument), request.client_flags, reply::kBadFormat);
    case 'b':
      return request.decode_key() ? Fault() : Fault(reply::kMetaBadKey);
    default:
      return {};
  }
}

Fault read_arguments(std::string_view words, MetaRequest& request) {
  for (std::string_view word = next_word(words); !word.empty(); word = next_word(words)) {
    if (const Fault fault = read_argument(word.front(), word.substr(1), request); !fault.empty())
      return fault;
  }
  return {};
}

// The mode is the first character behind M; what follows is ignored.
Fault read_set_mode(std::string_view argument, MetaRequest& request) {
  switch (argument.empty() ? '\0' : argument.front()) {
    case 'S':
      request.set_mode = MetaSetMode::kSet;
      return {};
    case 'E':
      request.set_mode = MetaSetMode::kAdd;
      return {};
    case 'A':
      request.set_mode = MetaSetMode::kAppend;
      return {};
    case 'P':
      request.set_mode = MetaSetMode::kPrepend;
      return {};
    case 'R':
      request.set_mode = MetaSetMode::kReplace;
      return {};
    default:
      return reply::kMetaSetMode;
  }
}

Fault read_arithmetic_mode(std::string_view argument, MetaRequest& request) {
  switch (argument.empty() ? '\0' : argument.front()) {
    case 'I':
    case '+':
      request.arithmetic_mode = MetaArithmeticMode::kIncrement;
      return {};
    case 'D':
    case '-':
      request.arithmetic_mode = MetaArithmeticMode::kDecrement;
      return {};
    default:
      return reply::kMetaArithmeticMode;
  }
}

// Last, and with texts of their own even for ma: the opaque and the mode.
Fault read_opaque_and_mode(std::string_view words, MetaRequest& request) {
  for (std::string_view word = next_word(words); !word.empty(); word = next_word(words)) {
    Fault fault;
    if (word.front() == 'O') {
      if (word.size() > kOpaqueBytesMax) fault = reply::kMetaOpaqueTooLong;
      request.opaque = word;
    } else if (word.front() == 'M' && request.command == MetaCommand::kSet) {
      fault = read_set_mode(word.substr(1), request);
    } else if (word.front() == 'M' && request.command == MetaCommand::kArithmetic) {
      fault = read_arithmetic_mode(word.substr(1), request);
    }
    if (!fault.empty()) return fault;
  }
  return {};
}

// More than `words_max` words; looks no further than that.
bool has_more_words_than(std::string_view words, std::size_t words_max) {
  for (std::size_t count = 0; count <= words_max; ++count) {
    if (next_word(words).empty()) return false;
  }
  return true;
}

// The order of section 6.2. `words_before` counts the command word, the key, and the length of ms.
Fault read_flags(std::string_view words, std::size_t words_before, MetaRequest& request) {
  Fault fault;
  if (request.key_word.size() > kKeyBytesMax) {
    fault = reply::kBadFormat;
  } else if (has_more_words_than(words, kMetaTokensMax - words_before)) {
    fault = reply::kMetaTooManyFlags;
  } else {
    fault = check_letters(words, request);
    if (fault.empty()) fault = read_arguments(words, request);
  }
  if (fault.empty()) return read_opaque_and_mode(words, request);
  return request.command == MetaCommand::kArithmetic ? Fault(reply::kMetaInvalidOrDuplicate) : fault;
}

Fault read_debug(std::string_view words, MetaRequest& request) {
  if (request.key_word.size() > kKeyBytesMax) return reply::kBadFormat;
  if (next_word(words) != "b") return {};
  request.add_flag('b');
  return request.decode_key() ? Fault() : Fault(reply::kMetaBadKey);
}

ParseResult finish(Fault fault, std::size_t line_bytes, std::uint64_t swallow = 0) {
  if (fault.empty()) return {.kind = ParseKind::kMeta, .consumed = line_bytes};
  return {.kind = ParseKind::kError, .consumed = line_bytes, .swallow = swallow, .reply = fault};
}

// Once the length is known, every other fault swallows the data block.
ParseResult parse_meta_set(std::string_view words, std::size_t line_bytes, MetaRequest& request) {
  const std::optional<std::uint32_t> length = parse_value_length(next_word(words));
  if (!length) return finish(reply::kBadFormat, line_bytes);
  request.value_bytes = *length;
  return finish(read_flags(words, 3, request), line_bytes, std::uint64_t{*length} + 2);
}

}  // namespace

bool MetaRequest::decode_key() {
  const std::optional<std::size_t> bytes = decode_base64(key_word, decoded_key_.data());
  if (!bytes) return false;
  decoded_key_bytes_ = static_cast<std::uint8_t>(*bytes);
  is_binary_key_ = true;
  return true;
}

std::optional<MetaCommand> find_meta_command(std::string_view word) {
  if (word.size() != 2 || word.front() != 'm') return std::nullopt;
  switch (word.back()) {
    case 'g':
      return MetaCommand::kGet;
    case 's':
      return MetaCommand::kSet;
    case 'd':
      return MetaCommand::kDelete;
    case 'a':
      return MetaCommand::kArithmetic;
    case 'e':
      return MetaCommand::kDebug;
    case 'n':
      return MetaCommand::kNoop;
    default:
      return std::nullopt;
  }
}

ParseResult parse_meta(MetaCommand command, std::string_view words, std::size_t line_bytes,
                       MetaRequest& request) {
  request.start(command, command == MetaCommand::kNoop ? std::string_view() : next_word(words));
  if (command == MetaCommand::kNoop) return finish({}, line_bytes);
  if (request.key_word.empty()) return finish(reply::kBadFormat, line_bytes);
  if (command == MetaCommand::kDebug) return finish(read_debug(words, request), line_bytes);
  if (command == MetaCommand::kSet) return parse_meta_set(words, line_bytes, request);
  return finish(read_flags(words, 2, request), line_bytes);
}

}  // namespace ringcached::protocol
