// The command line decides: print something, or serve.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <variant>

#include "base/address_space.h"
#include "config/command_line.h"
#include "server/check.h"
#include "server/daemon.h"
#include "server/run.h"

using namespace ringcached;

namespace {

// A script that keeps what is printed must hear of a full disk.
int flushed(int exit_code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
  std::fprintf(stderr, "ringcached: standard output cannot be written: %s\n", std::strerror(errno));
  return 1;
}

int decide(int argc, char** argv) {
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
  if (run.check_only) return flushed(server::check(run));
  return run.show_features ? flushed(server::print_features(run.config)) : server::run(run, argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return decide(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "ringcached: %s\n", lack_of_memory().c_str());
    return server::exit_code_of({StatusCode::kOutOfMemory, {}});
  }
}
