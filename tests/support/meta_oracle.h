// Decides for any lines whether the meta parser treats them as it must. Shared by the fuzz target and the
// replay of its corpus.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "protocol/limits.h"
#include "protocol/meta.h"
#include "protocol/scanner.h"
#include "support/fragment.h"

namespace ringcached::testing {

inline std::string check_meta_request(std::string_view words, const protocol::MetaRequest& request) {
  using namespace protocol;
  if (request.command == MetaCommand::kNoop) return "";
  if (request.key_word.empty() || request.key_word.size() > kKeyBytesMax) return "key outside its limits";
  if (request.key().empty() || request.key().size() > request.key_word.size())
    return "decoded key outside its limits";
  if (request.opaque.size() > kOpaqueBytesMax) return "opaque too long";
  if (request.value_bytes > kValueBytesMax) return "value too long";
  for (const std::string_view view : {request.key_word, request.opaque}) {
    if (!view.empty() &&
        (view.data() < words.data() || view.data() + view.size() > words.data() + words.size())) {
      return "view outside the line";
    }
  }
  MetaLetters seen;
  for (const char letter : request.order()) {
    if (seen.has(letter) || !request.has(letter)) return "flag letters in disorder";
    seen.add(letter);
  }
  return request.has('b') == request.is_binary_key() ? "" : "b without a decoded key";
}

inline std::string check_meta_result(std::string_view words, const protocol::ParseResult& result,
                                     std::size_t line_bytes, const protocol::MetaRequest& request) {
  using namespace protocol;
  if (result.consumed != line_bytes) return "consumed is not the line";
  if (result.kind == ParseKind::kMeta) return check_meta_request(words, request);
  if (result.kind != ParseKind::kError) return "neither request nor error";
  if (result.noreply || !result.reply.ends_with("\r\n")) return "error without a reply";
  if (result.swallow != 0 && request.command != MetaCommand::kSet) return "swallow without a data block";
  return result.swallow <= kValueBytesMax + 2 ? "" : "swallow beyond the largest value";
}

// Every meta line of `input` by itself. Returns the broken rule, or nothing.
inline std::string check_meta_input(std::string_view input) {
  PendingInput pending;
  pending.append(input);
  while (pending.size() != 0) {
    const std::string_view view = pending.view();
    protocol::LineScan scan;
    const protocol::ScannedLine line = protocol::scan_line(view, scan);
    if (line.state != protocol::ScannedLine::State::kComplete) return "";
    std::string_view words = line.text;
    if (const auto command = protocol::find_meta_command(protocol::next_word(words))) {
      protocol::MetaRequest request;
      const auto result = protocol::parse_meta(*command, words, line.bytes, request);
      if (std::string fault = check_meta_result(words, result, line.bytes, request); !fault.empty())
        return fault;
    }
    pending.consume(line.bytes);
  }
  return "";
}

}  // namespace ringcached::testing
