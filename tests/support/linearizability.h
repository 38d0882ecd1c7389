// Is a history of one key explained by some order of its operations in which each takes effect at one moment
// between call and answer? (Herlihy and Wing 1990. The search is Wing and Gong's, with Lowe's memory of
// configurations that have led nowhere; porcupine does the same.) Keys are independent, so a history of many
// keys is linearizable exactly if that of each key is.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "support/history.h"

namespace ringcached::testing {

enum class Linearizability : std::uint8_t { kLinearizable, kViolated, kUndecided };

struct LinearizabilityOptions {
  bool may_vanish = false;  // see transitions() in key_model.h
  // Operations tried before the search gives up. A history that is explained at once takes one for each.
  std::uint64_t steps_max = 20'000'000;
};

struct LinearizabilityVerdict {
  Linearizability result = Linearizability::kLinearizable;
  std::uint64_t steps = 0;
  // Unless linearizable: how far an order was found, the operation that fits nowhere, and its surroundings.
  std::string report;

  explicit operator bool() const { return result == Linearizability::kLinearizable; }
};

// All operations are of one key; those of each client stand in its own order, with `invoked` not falling. The
// key is absent at first.
LinearizabilityVerdict check_key(std::span<const HistoryOperation> history,
                                 const LinearizabilityOptions& options = {});

// Of many keys, in any mixture: the verdict of the first key that is not linearizable. Besides: that no CAS
// id has named two different values of a key.
LinearizabilityVerdict check_history(std::span<const HistoryOperation> history,
                                     const LinearizabilityOptions& options = {});

}  // namespace ringcached::testing
