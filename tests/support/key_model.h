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
  CacheMoment expires{CacheMoment::kNever, CacheMoment::kNever};

  bool operator==(const KeyState&) const = default;
};

// The states that an operation with this answer may lead to: none, if the answer is impossible in `before`.
struct KeyTransitions {
  std::array<KeyState, 6> states;
  std::size_t count = 0;

  void add(KeyState state);
};

// An item is there until the moment at which it expires and not from then on, and what has expired does not
// come back; where it is not known which is earlier, that moment or the one of the operation, either may be.
// `may_vanish`: the cache may have dropped the item, or refuse to store, at any moment (eviction). What has
// vanished does not come back.
KeyTransitions transitions(const KeyState& before, const HistoryOperation& operation, bool may_vanish);

}  // namespace ringcached::testing
