// memcached's -o lists: "a,b=c,d".
#pragma once

#include <optional>
#include <span>
#include <string>

#include "config/draft.h"

namespace ringcached::config {

// Applies every sub-option in order. One that means nothing here is acknowledged in the draft; an unknown one
// fails with memcached's line, Illegal suboption "x".
std::optional<Failure> apply_suboptions(std::span<const std::string> lists, Draft& draft);

}  // namespace ringcached::config
