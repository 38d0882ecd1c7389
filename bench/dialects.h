// The protocols the load generator speaks, by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/dialect.h"

namespace ringcached::bench {

std::vector<std::string> dialect_names();
// Null for a name that is none of dialect_names().
std::unique_ptr<Dialect> make_dialect(const std::string& name);

}  // namespace ringcached::bench
