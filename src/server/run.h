// The life of the process, from a parsed command line to its exit status.
#pragma once

#include "config/command_line.h"

namespace ringcached::server {

// Serves until a signal or `shutdown` ends it. Returns the exit status. argc and argv are parsed again on
// SIGHUP.
int run(const config::Run& command_line, int argc, const char* const* argv);

// The interface in use, what the kernel offers, and why io_uring is off if it is: to stdout. Exit status 0 if
// it can serve.
int print_features(const config::Config& config);

}  // namespace ringcached::server
