// What a client says and must hear, on a server of its own, in every fragmentation.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "support/session_harness.h"

namespace ringcached::testing {

struct Exchange {
  const char* name;
  std::string sent;
  std::string expected;
};

// Whole, in small pieces, and cut in two at each of the first 300 places.
inline void check_everywhere(const Exchange& exchange, const store::Options& options = {}) {
  INFO(std::string(exchange.name));
  for (const std::size_t piece : {~std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{7}}) {
    SessionHarness harness(options);
    CHECK_MESSAGE(harness.feed(exchange.sent, piece) == exchange.expected, "pieces of " << piece);
  }
  for (std::size_t cut = 1; cut < std::min<std::size_t>(exchange.sent.size(), 300); ++cut) {
    SessionHarness harness(options);
    std::string received = harness.feed(std::string_view(exchange.sent).substr(0, cut));
    received += harness.feed(std::string_view(exchange.sent).substr(cut));
    CHECK_MESSAGE(received == exchange.expected, "cut at " << cut);
  }
}

}  // namespace ringcached::testing
