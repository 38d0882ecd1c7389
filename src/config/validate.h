// The rules between settings; those of one setting alone are in the option table.
#pragma once

#include <optional>

#include "config/draft.h"

namespace ringcached::config {

std::optional<Failure> validate(const Draft& draft);

}  // namespace ringcached::config
