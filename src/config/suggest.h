// Names that were probably meant.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ringcached::config {

// The candidate nearest to `word` if it is near enough to be a slip of the hand, else empty.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);
// " (did you mean x?)" or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace ringcached::config
