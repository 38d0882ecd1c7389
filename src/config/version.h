// What this build calls itself.
#pragma once

#include <string_view>

namespace ringcached::config {

// The memcached release whose behaviour is followed. `version` answers begin with it, since clients parse
// them.
inline constexpr std::string_view kMemcachedVersion = "1.6.45";

std::string_view version();  // of ringcached, "0.1.0"
std::string_view license();  // the text of LICENSE

}  // namespace ringcached::config
