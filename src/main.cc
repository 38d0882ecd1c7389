// The command line decides: print something, or serve.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <variant>

#include "config/command_line.h"
#include "server/run.h"

using namespace ringcached;

namespace {

// A script that keeps what is printed must hear of a full disk.
int flushed(int exit_code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
  std::fprintf(stderr, "ringcached: standard output cannot be written: %s\n", std::strerror(errno));
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const config::ParseOutcome outcome = config::parse_command_line(argc, argv);
  if (const auto* print = std::get_if<config::Print>(&outcome)) {
    std::fputs(print->text.c_str(), stdout);
    return flushed(0);
  }
  if (const auto* error = std::get_if<config::Error>(&outcome)) {
    std::fputs(error->text.c_str(), stderr);
    return error->exit_code;
  }
  const auto& run = std::get<config::Run>(outcome);
  return run.show_features ? flushed(server::print_features(run.config)) : server::run(run, argc, argv);
}
