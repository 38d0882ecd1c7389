// The lines a cache reads nearly all the time, recognised in one pass over their bytes: `get <key>`, `set
// <key> <flags> <exptime> <bytes> [noreply]`, and `mg <key>` and `ms <key> <datalen>` with common flags.
#pragma once

#include <cstddef>
#include <string_view>

#include "protocol/meta.h"
#include "protocol/request.h"

namespace ringcached::protocol {

// The line read most, "get <key>" CR LF: its length, and the key in `key`. Zero: it is not that, or it is not
// plain (short, no control characters, 16 bytes of input behind the word), and nothing is known about it.
std::size_t parse_plain_get(std::string_view input, std::string_view& key);

// "set <key> <flags> <exptime> <bytes>" CR LF, as plain as that. Fills all of `request`.
std::size_t parse_plain_set(std::string_view input, Request& request);

struct HotLine {
  std::size_t bytes = 0;  // with its terminator; 0: not such a line
  bool is_meta = false;   // `meta` is filled, else `request`
};

// If `input` begins with such a line, short and plainly written, the request is filled exactly as
// parse_classic() or parse_meta() would. Zero bytes otherwise, which says nothing about the line.
HotLine parse_hot(std::string_view input, Request& request, MetaRequest& meta);

}  // namespace ringcached::protocol
