// From the first word of a line to the command it names.
#pragma once

#include <optional>
#include <string_view>

#include "protocol/request.h"

namespace ringcached::protocol {

// Case-sensitive, the whole word; nothing for a word that names no classic or administration command.
std::optional<Command> find_command(std::string_view word);

}  // namespace ringcached::protocol
