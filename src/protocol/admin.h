// Arguments of the administration commands whose faults do not depend on the server's state (section 7).
// `arguments` is Request::arguments.
#pragma once

#include <cstdint>
#include <string_view>

namespace ringcached::protocol {

// Either `reply` is empty and `value` holds, or `reply` is the error line to send (unless noreply).
template <typename T>
struct AdminArgument {
  T value{};
  std::string_view reply;

  bool is_ok() const { return reply.empty(); }
};

// flush_all [<delay>]: 0 when there is none; negative means at once too.
AdminArgument<std::int32_t> parse_flush_all(std::string_view arguments);

// verbosity <n>: as stored, at most kVerbosityMax.
inline constexpr std::uint32_t kVerbosityMax = 2;
AdminArgument<std::uint32_t> parse_verbosity(std::string_view arguments);

// cache_memlimit <megabytes>: from kMemlimitMegabytesMin to kMemlimitMegabytesMax.
inline constexpr std::uint32_t kMemlimitMegabytesMin = 8;
inline constexpr std::uint32_t kMemlimitMegabytesMax = 1'000'000'000;
AdminArgument<std::uint32_t> parse_cache_memlimit(std::string_view arguments);

// shutdown [graceful].
enum class ShutdownMode : std::uint8_t { kImmediate, kGraceful };
AdminArgument<ShutdownMode> parse_shutdown(std::string_view arguments);

// stats cachedump <class> <limit>: classes up to `class_max`; limit 0 is none.
struct Cachedump {
  std::uint32_t slab_class = 0, items_max = 0;
};
AdminArgument<Cachedump> parse_cachedump(std::string_view arguments, unsigned class_max);

// stats detail on|off|dump.
enum class DetailAction : std::uint8_t { kOn, kOff, kDump };
AdminArgument<DetailAction> parse_stats_detail(std::string_view arguments);

}  // namespace ringcached::protocol
