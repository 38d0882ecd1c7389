// The arguments of `slabs` and `extstore` (sections 7.5 and 7.9).
#pragma once

#include <cstdint>
#include <string_view>

#include "protocol/admin.h"

namespace ringcached::protocol {

inline constexpr std::uint32_t kAutomoveModeMax = 2;
inline constexpr std::uint32_t kAutomoveWindowMin = 3, kAutomoveWindowMax = 1800;

struct SlabsCommand {
  enum class Action : std::uint8_t {
    kReassign,   // from, to
    kAutomove,   // number: the mode, at most kAutomoveModeMax
    kRatio,      // real
    kWindow,     // number, within the limits above
    kFreeRatio,  // real
  };
  Action action = Action::kReassign;
  std::int32_t from = 0, to = 0;  // any number: whether there are such classes is the store's knowledge
  std::uint32_t number = 0;
  double real = 0;
};

// `reassign_enabled`: otherwise slabs reassign is refused, before its arguments are looked at.
AdminArgument<SlabsCommand> parse_slabs(std::string_view arguments, bool reassign_enabled);

// extstore <name> <number>: the line to answer, which tells apart only what can be set from what cannot.
std::string_view check_extstore(std::string_view arguments);

}  // namespace ringcached::protocol
