#include "support/history.h"

#include <array>

namespace ringcached::testing {

std::string_view name_of(HistoryVerb verb) {
  static constexpr std::array<std::string_view, 13> kNames = {"get",     "set", "add",    "replace", "append",
                                                              "prepend", "cas", "delete", "incr",    "decr",
                                                              "touch",   "gat", "flush"};
  return kNames[static_cast<std::size_t>(verb)];
}

std::string_view name_of(HistoryOutcome outcome) {
  static constexpr std::array<std::string_view, 6> kNames = {"done",   "not found", "not stored",
                                                             "exists", "refused",   "unknown"};
  return kNames[static_cast<std::size_t>(outcome)];
}

std::string describe(const CacheMoment& moment) {
  const auto word = [](std::uint64_t at) {
    return at == CacheMoment::kNever ? std::string("never") : std::to_string(at);
  };
  return moment.min == moment.max ? word(moment.min) : word(moment.min) + " to " + word(moment.max);
}

std::string describe(const HistoryOperation& operation) {
  std::string line = "[" + std::to_string(operation.invoked) + ", " +
                     (operation.returned == kNeverReturned ? "..." : std::to_string(operation.returned)) +
                     "] client " + std::to_string(operation.client) + ": ";
  line += name_of(operation.verb);
  if (!operation.operand.empty()) line += " " + operation.operand;
  if (operation.verb == HistoryVerb::kCas) line += " compare " + std::to_string(operation.compare);
  if (operation.exptime != 0) {
    line +=
        " exptime " + std::to_string(operation.exptime) + " (over at " + describe(operation.expires) + ")";
  }
  if (operation.clock != CacheMoment{}) line += " at " + describe(operation.clock);
  line += " -> ";
  line += name_of(operation.outcome);
  if (!operation.value.empty()) line += " " + operation.value;
  if (operation.cas != 0) line += " id " + std::to_string(operation.cas);
  return line;
}

}  // namespace ringcached::testing
