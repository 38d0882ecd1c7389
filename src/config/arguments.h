// The command line taken apart by CLI11: which flag with which texts. Nothing is converted or checked here.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "config/draft.h"
#include "config/option.h"

namespace ringcached::config {

struct Arguments {
  // Options with their texts in the order of the command line; kFlag: "true" or "false" each time, as value.
  std::vector<std::pair<const Option*, std::vector<std::string>>> given;
  std::vector<std::string> extended;      // of -o, not split
  std::vector<std::string> config_files;  // of --config
  const RefusedFlag* refused = nullptr;   // the first one given

  bool help = false, license = false, version = false, features = false;
  bool check_config = false, print_config = false, print_default_config = false;
};

// `arguments` without the program's name.
std::variant<Arguments, Failure> take_arguments(std::span<const std::string> arguments);

}  // namespace ringcached::config
