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

}  // namespace ringcached::protocol
