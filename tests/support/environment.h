// Numbers that a developer gives to a test by the environment.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace ringcached::testing {

inline std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  if (text == nullptr) return otherwise;
  const std::string_view view(text);
  std::uint64_t number = otherwise;
  std::from_chars(view.data(), view.data() + view.size(), number);
  return number;
}

}  // namespace ringcached::testing
