// The two lines a cache reads nearly all the time, `get <key>` and `set <key> <flags> <exptime> <bytes>
// [noreply]`, recognised in one pass over their bytes.
#pragma once

#include <cstddef>
#include <string_view>

#include "protocol/request.h"

namespace ringcached::protocol {

// The length of the line with its terminator if `input` begins with such a line, short and plainly written,
// and `request` is filled exactly as parse_classic() would. 0 otherwise, which says nothing about the line.
std::size_t parse_hot(std::string_view input, Request& request);

}  // namespace ringcached::protocol
