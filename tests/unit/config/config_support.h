// What the config tests share: parsing a list of words, and files that vanish with the test.
#pragma once

// Assertions as calls instead of inline code: these tests have thousands.
#define DOCTEST_CONFIG_SUPER_FAST_ASSERTS
#include <doctest/doctest.h>
#include <stdlib.h>

#include <string>
#include <variant>
#include <vector>

#include "config/command_line.h"
#include "support/temporary_directory.h"

namespace ringcached::config::testing {

using Words = std::vector<std::string>;

inline ParseOutcome parse(const Words& words, std::string_view config_file = {}) {
  std::vector<const char*> argv = {"ringcached"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  return parse_command_line(static_cast<int>(argv.size()), argv.data(), config_file);
}

// The Run of a command line that must be right; a default one after the failed check otherwise.
inline Run run(const Words& words) {
  const ParseOutcome outcome = parse(words);
  if (const auto* error = std::get_if<Error>(&outcome)) INFO("error: ", error->text);
  const auto* found = std::get_if<Run>(&outcome);
  CHECK_MESSAGE(found != nullptr,
                (std::holds_alternative<Error>(outcome) ? std::get<Error>(outcome).text : "printed"));
  return found != nullptr ? *found : Run{};
}
inline Config config_of(const Words& words) {
  return run(words).config;
}

// The Error of a command line that must be wrong; empty after the failed check otherwise.
inline Error error_of(const Words& words) {
  const ParseOutcome outcome = parse(words);
  const auto* found = std::get_if<Error>(&outcome);
  std::string shown;
  for (const std::string& word : words) shown += word + " ";
  CHECK_MESSAGE(found != nullptr, shown, "was accepted");
  return found != nullptr ? *found : Error{"", 0};
}

inline bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

inline bool is_one_line(const std::string& text) {
  return !text.empty() && text.find('\n') == text.size() - 1;
}

using ringcached::testing::TemporaryDirectory;

}  // namespace ringcached::config::testing
