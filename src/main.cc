// The command line decides: print something, or serve.
#include <cstdio>
#include <variant>

#include "config/command_line.h"
#include "server/run.h"

using namespace ringcached;

int main(int argc, char** argv) {
  const config::ParseOutcome outcome = config::parse_command_line(argc, argv);
  if (const auto* print = std::get_if<config::Print>(&outcome)) {
    std::fputs(print->text.c_str(), stdout);
    return 0;
  }
  if (const auto* error = std::get_if<config::Error>(&outcome)) {
    std::fputs(error->text.c_str(), stderr);
    return error->exit_code;
  }
  const auto& run = std::get<config::Run>(outcome);
  return run.show_features ? server::print_features(run.config) : server::run(run, argc, argv);
}
