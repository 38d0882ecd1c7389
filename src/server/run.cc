#include "server/run.h"

#include <csignal>
#include <cstdio>
#include <string>

#include "base/log.h"
#include "server/server.h"

namespace ringcached::server {
int print_features(const config::Config&) { return 0; }
int run(const config::Run& cl, int, const char* const*) {
  sigset_t set; sigemptyset(&set); sigaddset(&set, SIGTERM); sigaddset(&set, SIGINT); sigaddset(&set, SIGUSR1);
  signal(SIGPIPE, SIG_IGN);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  Log log(static_cast<int>(cl.config.process.verbosity));
  auto s = Server::create(cl.config, log, []{ raise(SIGTERM); });
  if (!s) { std::fprintf(stderr, "%s\n", s.status().message().c_str()); return 71; }
  if (Status st = s.value()->start(); !st) { std::fprintf(stderr, "%s\n", st.message().c_str()); return 71; }
  int sig; sigwait(&set, &sig);
  s.value()->stop(); s.value()->join();
  return 0;
}
}
