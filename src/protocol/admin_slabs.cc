#include "protocol/admin_slabs.h"

#include <algorithm>
#include <array>
#include <optional>

#include "protocol/number.h"
#include "protocol/parser.h"
#include "protocol/reply.h"

namespace ringcached::protocol {
namespace {

using Action = SlabsCommand::Action;
using Parsed = AdminArgument<SlabsCommand>;

Parsed refuse(std::string_view reply) {
  return {.value = {}, .reply = reply};
}

Parsed parse_reassign(std::string_view words, bool enabled) {
  const std::string_view from_word = next_word(words);
  const std::string_view to_word = next_word(words);
  if (to_word.empty() || !next_word(words).empty()) return refuse(reply::kError);
  if (!enabled) return refuse(reply::kReassignDisabled);
  const std::optional<std::int32_t> from = parse_i32(from_word);
  const std::optional<std::int32_t> to = parse_i32(to_word);
  if (!from || !to) return refuse(reply::kBadFormat);
  return {.value = {.action = Action::kReassign, .from = *from, .to = *to}, .reply = {}};
}

Parsed parse_real_setting(Action action, std::string_view word) {
  const std::optional<double> real = parse_real(word);
  if (!real) return refuse(reply::kError);
  return {.value = {.action = action, .real = *real}, .reply = {}};
}

Parsed parse_window(std::string_view word) {
  const std::optional<std::uint32_t> window = parse_u32(word);
  if (!window) return refuse(reply::kBadFormat);
  if (*window < kAutomoveWindowMin || *window > kAutomoveWindowMax) return refuse(reply::kAutomoveWindow);
  return {.value = {.action = Action::kWindow, .number = *window}, .reply = {}};
}

Parsed parse_automove(std::string_view words) {
  const std::string_view word = next_word(words);
  if (word.empty()) return refuse(reply::kError);
  if (word == "ratio") return parse_real_setting(Action::kRatio, next_word(words));
  if (word == "freeratio") return parse_real_setting(Action::kFreeRatio, next_word(words));
  if (word == "window") return parse_window(next_word(words));
  const std::optional<std::uint32_t> mode = parse_u32(word);
  if (!mode) return refuse(reply::kBadFormat);
  if (*mode > kAutomoveModeMax) return refuse(reply::kError);
  return {.value = {.action = Action::kAutomove, .number = *mode}, .reply = {}};
}

constexpr std::array<std::string_view, 8> kExtstoreNumbers = {
    "item_size",     "item_age",   "low_ttl",   "recache_rate",
    "compact_under", "drop_under", "max_sleep", "drop_unread",
};

}  // namespace

AdminArgument<SlabsCommand> parse_slabs(std::string_view arguments, bool reassign_enabled) {
  const std::string_view word = next_word(arguments);
  if (word == "reassign") return parse_reassign(arguments, reassign_enabled);
  if (word == "automove") return parse_automove(arguments);
  return refuse(reply::kError);
}

std::string_view check_extstore(std::string_view arguments) {
  const std::string_view name = next_word(arguments);
  const std::string_view number = next_word(arguments);
  // Once it had two: a class and a count.
  if (name == "free_memchunks") return next_word(arguments).empty() ? reply::kError : reply::kOk;
  if (name == "max_frag") return parse_real(number) ? reply::kOk : reply::kError;
  const bool known = std::ranges::find(kExtstoreNumbers, name) != kExtstoreNumbers.end();
  return known && parse_u32(number) ? reply::kOk : reply::kError;
}

}  // namespace ringcached::protocol
