// The classic text commands: the words of one line become a Request or an answer (specification sections 2,
// 3, 5, 7).
#pragma once

#include <cstddef>
#include <string_view>

#include "protocol/parser.h"
#include "protocol/request.h"

namespace ringcached::protocol {

// `words` is the line behind its command word; `line_bytes` the whole line with its terminator, all of which
// is consumed. Never kNeedMore.
ParseResult parse_classic(Command command, std::string_view words, std::size_t line_bytes, Request& request);

}  // namespace ringcached::protocol
