// --check-config: what a start would say of the files that the configuration names.
#pragma once

#include "config/command_line.h"

namespace ringcached::server {

// Reads the password files, and looks whether the user, the place of the UNIX socket and that of the pid file
// would do, in the order and with the words of a start; then says on stdout that all is correct. Makes no
// file, binds nothing and leaves a running server alone. Returns the exit status: 0, or 1 with the reason on
// stderr. Changes the user and the directory of the process as a start does: nothing is to follow.
int check(const config::Run& command_line);

}  // namespace ringcached::server
