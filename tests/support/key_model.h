// What one key of a cache may do, as a sequential machine: the specification that histories are held against.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "support/history.h"

namespace ringcached::testing {

struct KeyState {
  bool present = false;
  std::string value;
  std::uint64_t cas = 0;  // 0: nobody has seen it since the value was written

  bool operator==(const KeyState&) const = default;
};

// The states that an operation with this answer may lead to: none, if the answer is impossible in `before`.
struct KeyTransitions {
  std::array<KeyState, 3> states;
  std::size_t count = 0;

  void add(KeyState state);
};

// `may_vanish`: the cache may have dropped the item, or refuse to store, at any moment (eviction). What has
// vanished does not come back.
KeyTransitions transitions(const KeyState& before, const HistoryOperation& operation, bool may_vanish);

}  // namespace ringcached::testing
