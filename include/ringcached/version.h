// Versions as users and clients see them.
#pragma once

#include <string_view>

namespace ringcached {

inline constexpr std::string_view kVersion = "0.1.0";
// What the `version` command and `stats` answer: begins with the memcached release whose behaviour is
// offered, since clients read its numbers to choose features; one word, since clients split the line at
// blanks.
inline constexpr std::string_view kProtocolVersion = "1.6.45-ringcached-0.1.0";

}  // namespace ringcached
