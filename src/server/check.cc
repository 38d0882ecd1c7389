#include "server/check.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/log.h"
#include "net/listener.h"
#include "ringcached/status.h"
#include "server/authentication.h"
#include "server/daemon.h"

namespace ringcached::server {
namespace {

void say(const std::string& line) {
  std::fprintf(stderr, "ringcached: %s\n", line.c_str());
}

// A daemon has left the directory that a relative path needs.
Status leave_directory(const config::ProcessConfig& process) {
  if (!process.daemonize || process.core_dumps || ::chdir("/") == 0) return {};
  return {StatusCode::kUnavailable, "-d: cannot change to /"};
}

// Root that names no user may check for another one, the one that the service manager starts as.
Status become_user(const config::ProcessConfig& process) {
  return process.user.empty() ? Status() : switch_user(process.user, false);
}

Status check_files(const config::Config& config, Log& log) {
  if (Status status = leave_directory(config.process); !status) return status;
  if (const auto files = Authentication::open(config, log); !files) return files.status();
  for (const ListenAddress& address : config.listeners) {
    if (address.kind != ListenAddress::Kind::kUnix) continue;
    if (Status status = net::check_unix_path(address); !status) return status;
  }
  if (Status status = become_user(config.process); !status) return status;
  return config.process.pidfile.empty() ? Status() : PidFile::check(config.process.pidfile);
}

}  // namespace

int check(const config::Run& command_line) {
  for (const std::string& notice : command_line.notices) say(notice);
  Log log;
  if (const Status status = check_files(command_line.config, log); !status) {
    say(status.message());
    return EXIT_FAILURE;
  }
  std::fputs("the configuration is correct\n", stdout);
  return EXIT_SUCCESS;
}

}  // namespace ringcached::server
