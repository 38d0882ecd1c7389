// The option table for people: help text, the effective configuration, the example file.
#pragma once

#include <string>

#include "config/config.h"

namespace ringcached::config {

// All texts end in a newline.
std::string help_text();
// "ringcached 0.1.0 (memcached 1.6.45 compatible)"
std::string version_text();
// Every setting as TOML that reads back to the same settings.
std::string config_text(const Config& config);
// Every setting commented out at its default, with its explanation: packaging/ringcached.conf.example.
std::string default_config_text();

}  // namespace ringcached::config
