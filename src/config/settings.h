// `stats settings`.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"

namespace ringcached::config {

// Names and values in memcached's order and form, without "STAT". What changes at run time (verbosity, the
// memory limit, the automover, prefix counting) and what was found at start (number of workers, ports) is
// taken from `config`: the server passes a copy with the values in effect. `oldest` is the age setting
// flush_all leaves behind.
std::vector<std::pair<std::string, std::string>> settings_lines(const Config& config, std::uint64_t oldest);

// What differs between two configurations, for a reload.
struct Change {
  std::string key;
  std::string from, to;  // as in the configuration file
  bool reloadable = false;
};
std::vector<Change> changes(const Config& from, const Config& to);

}  // namespace ringcached::config
