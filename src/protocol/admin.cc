#include "protocol/admin.h"

#include <algorithm>
#include <optional>

#include "protocol/number.h"
#include "protocol/parser.h"
#include "protocol/reply.h"

namespace ringcached::protocol {

AdminArgument<std::int32_t> parse_flush_all(std::string_view arguments) {
  const std::string_view word = next_word(arguments);
  if (word.empty()) return {};
  const std::optional<std::int32_t> delay = parse_i32(word);
  if (!delay) return {.reply = reply::kInvalidExptime};
  return {.value = *delay};
}

AdminArgument<std::uint32_t> parse_verbosity(std::string_view arguments) {
  const std::optional<std::uint32_t> level = parse_u32(next_word(arguments));
  if (!level) return {.reply = reply::kBadFormat};
  return {.value = std::min(*level, kVerbosityMax)};
}

AdminArgument<std::uint32_t> parse_cache_memlimit(std::string_view arguments) {
  const std::optional<std::uint32_t> megabytes = parse_u32(next_word(arguments));
  if (!megabytes) return {.reply = reply::kError};
  if (*megabytes < kMemlimitMegabytesMin) return {.reply = reply::kMemlimitTooSmall};
  if (*megabytes > kMemlimitMegabytesMax) return {.reply = reply::kMemlimitNotBytes};
  return {.value = *megabytes};
}

AdminArgument<ShutdownMode> parse_shutdown(std::string_view arguments) {
  const std::string_view word = next_word(arguments);
  if (word.empty()) return {.value = ShutdownMode::kImmediate};
  if (word == "graceful") return {.value = ShutdownMode::kGraceful};
  return {.reply = reply::kShutdownBadMode};
}

AdminArgument<Cachedump> parse_cachedump(std::string_view arguments, unsigned class_max) {
  const std::string_view class_word = next_word(arguments);
  const std::string_view limit_word = next_word(arguments);
  if (limit_word.empty()) return {.value = {}, .reply = reply::kCachedumpTooFew};
  const std::optional<std::uint32_t> slab_class = parse_u32(class_word);
  const std::optional<std::uint32_t> items_max = parse_u32(limit_word);
  if (!slab_class || !items_max) return {.value = {}, .reply = reply::kBadFormat};
  if (*slab_class > class_max) return {.value = {}, .reply = reply::kCachedumpIllegalClass};
  return {.value = {.slab_class = *slab_class, .items_max = *items_max}, .reply = {}};
}

AdminArgument<DetailAction> parse_stats_detail(std::string_view arguments) {
  const std::string_view word = next_word(arguments);
  if (word == "on") return {.value = DetailAction::kOn, .reply = {}};
  if (word == "off") return {.value = DetailAction::kOff, .reply = {}};
  if (word == "dump") return {.value = DetailAction::kDump, .reply = {}};
  return {.value = {}, .reply = reply::kStatsDetailUsage};
}

}  // namespace ringcached::protocol
