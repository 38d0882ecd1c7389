// Whole conversations against the rules of tests/support/conversation_oracle.h: the corpus of the fuzz
// targets, and random ones.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "protocol/number.h"
#include "support/conversation_oracle.h"
#include "support/request_grammar.h"

using namespace ringcached::testing;

namespace {

std::uint64_t fresh_seed() {
  std::uint64_t seed = std::random_device()();
  if (const char* const given = std::getenv("RINGCACHED_SEED"); given != nullptr) {
    seed = ringcached::protocol::parse_u64(given).value_or(seed);
  }
  return seed;
}

}  // namespace

TEST_SUITE("conversations") {
  TEST_CASE("every file of the fuzz corpus") {
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(RINGCACHED_CORPUS_DIR)) {
      if (!entry.is_regular_file()) continue;
      CAPTURE(entry.path().filename().string());
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string input{std::istreambuf_iterator<char>(file), {}};
      const std::string fault = check_conversation(input);
      CHECK_MESSAGE(fault.empty(), fault);
      ++files;
    }
    CHECK(files >= 70);
  }

  TEST_CASE("random conversations and changes of them") {
    constexpr std::chrono::seconds kBudget{5};
    const std::uint64_t first = fresh_seed();
    MESSAGE("RINGCACHED_SEED=" << first);
    const auto end = std::chrono::steady_clock::now() + kBudget;
    std::uint64_t seed = first;
    for (; std::chrono::steady_clock::now() < end; ++seed) {
      RequestGrammar grammar(seed);
      const std::string stream = grammar.conversation(30);
      const std::string input = seed % 2 == 0 ? stream : grammar.mutated(stream);
      const std::string fault = check_conversation(input);
      CAPTURE(seed);
      CAPTURE(input);
      REQUIRE_MESSAGE(fault.empty(), fault);
    }
    CHECK(seed > first + 5);
  }
}
