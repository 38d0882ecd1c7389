#include "support/key_model.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace ringcached::testing {
namespace {

using Verb = HistoryVerb;
using Outcome = HistoryOutcome;

std::optional<std::uint64_t> number_in(const std::string& text) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  return parsed.ec == std::errc() && parsed.ptr == end ? std::optional(number) : std::nullopt;
}

std::optional<std::string> counted(const std::string& text, const HistoryOperation& operation) {
  const auto number = number_in(text);
  const auto delta = number_in(operation.operand);
  if (!number || !delta) return std::nullopt;
  if (operation.verb == Verb::kIncrement) return std::to_string(*number + *delta);
  return std::to_string(*number > *delta ? *number - *delta : 0);
}

// By a command that says how long it lives.
KeyState stored(const HistoryOperation& operation) {
  return {true, operation.operand, operation.cas, operation.expires};
}
// By one that leaves that as it is.
KeyState changed(const KeyState& before, std::string value, std::uint64_t cas) {
  return {true, std::move(value), cas, before.expires};
}

// An answer that tells the item's id, or does not: what is known afterwards, if it can be the item there is.
std::optional<KeyState> with_id(const KeyState& before, const HistoryOperation& operation) {
  if (!before.present) return std::nullopt;
  if (before.cas != 0 && operation.cas != 0 && before.cas != operation.cas) return std::nullopt;
  KeyState after = before;
  if (operation.cas != 0) after.cas = operation.cas;
  if (operation.verb == Verb::kTouch || operation.verb == Verb::kGetTouch) after.expires = operation.expires;
  return after;
}

// A hit that shows the item.
std::optional<KeyState> seen(const KeyState& before, const HistoryOperation& get) {
  if (before.value != get.value) return std::nullopt;
  return with_id(before, get);
}

// The item whose id is compared has been seen, so an id that nobody has seen is another one.
bool compare_matches(const KeyState& before, const HistoryOperation& operation) {
  return before.cas != 0 && before.cas == operation.compare;
}

std::optional<KeyState> done(const KeyState& before, const HistoryOperation& operation) {
  switch (operation.verb) {
    case Verb::kGet:
    case Verb::kGetTouch:
      return seen(before, operation);
    case Verb::kSet:
      return stored(operation);
    case Verb::kAdd:
      if (before.present) return std::nullopt;
      return stored(operation);
    case Verb::kFlush:
      return KeyState{};
    default:
      break;
  }
  if (!before.present) return std::nullopt;
  switch (operation.verb) {
    case Verb::kReplace:
      return stored(operation);
    case Verb::kAppend:
      return changed(before, before.value + operation.operand, operation.cas);
    case Verb::kPrepend:
      return changed(before, operation.operand + before.value, operation.cas);
    case Verb::kCas:
      if (!compare_matches(before, operation)) return std::nullopt;
      return stored(operation);
    case Verb::kDelete:
      return KeyState{};
    case Verb::kTouch:
      return with_id(before, operation);
    default: {
      const auto number = counted(before.value, operation);
      // Not told: a quiet command.
      if (!number || (!operation.value.empty() && *number != operation.value)) return std::nullopt;
      return changed(before, *number, operation.cas);
    }
  }
}

bool joins(const HistoryOperation& operation) {
  return operation.verb == Verb::kAppend || operation.verb == Verb::kPrepend;
}

// An answer that says that nothing was changed is right here. To append, "not stored" is also what is said
// when there is no memory.
bool declines_rightly(const KeyState& before, const HistoryOperation& operation, bool may_vanish) {
  switch (operation.outcome) {
    case Outcome::kNotFound:
      return !before.present;
    case Outcome::kExists:
      return operation.verb == Verb::kCas && before.present && !compare_matches(before, operation);
    default:
      if (joins(operation) && may_vanish) return true;
      return before.present == (operation.verb == Verb::kAdd);
  }
}

void without_answer(const KeyState& before, const HistoryOperation& operation, KeyTransitions& result) {
  result.add(before);
  if (operation.verb == Verb::kGet) return;
  HistoryOperation answered = operation;
  if (operation.verb == Verb::kGetTouch) answered.verb = Verb::kTouch;
  if (auto after = done(before, answered)) result.add(std::move(*after));
}

void from_state(const KeyState& before, const HistoryOperation& operation, bool may_vanish,
                KeyTransitions& result) {
  switch (operation.outcome) {
    case Outcome::kDone:
      if (auto after = done(before, operation)) result.add(std::move(*after));
      return;
    case Outcome::kRefused:
      if (may_vanish) result.add(before);
      return;
    case Outcome::kUnknown:
      return without_answer(before, operation, result);
    default:
      if (declines_rightly(before, operation, may_vanish)) result.add(before);
  }
}

}  // namespace

void KeyTransitions::add(KeyState state) {
  const auto* end = states.data() + count;
  if (std::find(static_cast<const KeyState*>(states.data()), end, state) != end) return;
  states.at(count++) = std::move(state);
}

KeyTransitions transitions(const KeyState& before, const HistoryOperation& operation, bool may_vanish) {
  KeyTransitions result;
  const bool may_be_there = !before.present || before.expires.max > operation.clock.min;
  const bool may_be_gone = before.present && (may_vanish || before.expires.min <= operation.clock.max);
  if (may_be_there) from_state(before, operation, may_vanish, result);
  if (may_be_gone) from_state(KeyState{}, operation, may_vanish, result);
  return result;
}

}  // namespace ringcached::testing
