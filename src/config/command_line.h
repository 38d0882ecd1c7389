// From argv to a Config, or to the text to print instead.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.h"

namespace ringcached::config {

// Serve with this.
struct Run {
  Config config;
  std::vector<std::string> notices;  // one line each for stderr: options accepted that mean nothing here
  bool show_features = false;        // --features: print what the kernel offers instead of serving, exit 0
  bool check_only = false;  // --check-config: look at the files that it names instead of serving, exit 0 or 1
};

// Print to stdout and exit 0.
struct Print {
  std::string text;
};

// Print to stderr and exit with `exit_code`; one line with its newline.
struct Error {
  std::string text;
  int exit_code = 1;
};

using ParseOutcome = std::variant<Run, Print, Error>;

// Prints nothing, ends nothing, keeps no state: calling it again with the same argv is a reload. Reads the
// file named by --config. `config_file` replaces that name: a daemon has left the directory that a relative
// name needs, so a reload passes the absolute Config::config_file of the first parse.
ParseOutcome parse_command_line(int argc, const char* const* argv, std::string_view config_file = {});

}  // namespace ringcached::config
