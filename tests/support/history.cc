#include "support/history.h"

#include <array>

namespace ringcached::testing {

std::string_view name_of(HistoryVerb verb) {
  static constexpr std::array<std::string_view, 12> kNames = {
      "get", "set", "add", "replace", "append", "prepend", "cas", "delete", "incr", "decr", "touch", "flush"};
  return kNames[static_cast<std::size_t>(verb)];
}

std::string_view name_of(HistoryOutcome outcome) {
  static constexpr std::array<std::string_view, 6> kNames = {"done",   "not found", "not stored",
                                                             "exists", "refused",   "unknown"};
  return kNames[static_cast<std::size_t>(outcome)];
}

std::string describe(const HistoryOperation& operation) {
  std::string line = "[" + std::to_string(operation.invoked) + ", " +
                     (operation.returned == kNeverReturned ? "..." : std::to_string(operation.returned)) +
                     "] client " + std::to_string(operation.client) + ": ";
  line += name_of(operation.verb);
  if (!operation.operand.empty()) line += " " + operation.operand;
  if (operation.verb == HistoryVerb::kCas) line += " compare " + std::to_string(operation.compare);
  line += " -> ";
  line += name_of(operation.outcome);
  if (!operation.value.empty()) line += " " + operation.value;
  if (operation.cas != 0) line += " id " + std::to_string(operation.cas);
  return line;
}

}  // namespace ringcached::testing
