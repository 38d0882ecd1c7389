// Bytes in, a closed result out. No descriptor, no clock, no store, no allocation. The caller keeps
// unconsumed bytes and calls again with more behind them.
//
// The same input gives the same result however it was fragmented, but for one case, which clients expect
// (section 1.3): a line of more than kLineBytesMax and up to kCompleteLineBytesMax bytes that is no retrieval
// is served if its end came with it and ends the connection otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocol/request.h"

namespace ringcached::protocol {

enum class ParseKind : std::uint8_t {
  kNeedMore,  // no complete line yet; nothing consumed
  kRequest,   // `request` is filled; `consumed` bytes of the line are used. A storage request's data block
              // follows.
  kMeta,      // the same with the meta request
  kError,     // answer `reply` (unless `noreply`), after dropping `swallow` further bytes of input
  kClose,     // send `reply`, mostly empty, and close (overlong line, HTTP request); nothing is consumed
};

struct ParseResult {
  ParseKind kind = ParseKind::kNeedMore;
  std::size_t consumed = 0;
  // kError of a storage line whose length could be read: data block with its CR LF still to be dropped. The
  // answer is delivered after it (spec 3.3).
  std::uint64_t swallow = 0;
  bool noreply = false;
  std::string_view reply;  // static storage, with CR LF
};

// Remembers how far an unterminated line was already searched, so that a line that arrives byte by byte costs
// linear time. Reset by the parser whenever it consumes.
struct LineScan {
  std::size_t searched = 0;
};

// The dialect of a connection, chosen once by its first byte (spec 1.1).
enum class Dialect : std::uint8_t { kUndecided, kText, kBinary };
inline constexpr unsigned char kBinaryRequestMagic = 0x80;
inline constexpr Dialect choose_dialect(char first_byte) {
  return static_cast<unsigned char>(first_byte) == kBinaryRequestMagic ? Dialect::kBinary : Dialect::kText;
}

class MetaRequest;

// Parses one request from the front of `input` (text dialect). `request` is only valid after kRequest, `meta`
// after kMeta.
ParseResult parse_text(std::string_view input, LineScan& scan, Request& request, MetaRequest& meta);

// Splits the next word off the front of `words` (separated by one or more spaces); empty when none is left.
std::string_view next_word(std::string_view& words);

}  // namespace ringcached::protocol
