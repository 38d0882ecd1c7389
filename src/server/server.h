// The composition: a store, a network and what lies between, built from a Config.
#pragma once

#include <functional>
#include <memory>

#include "base/log.h"
#include "config/config.h"
#include "ringcached/network.h"
#include "ringcached/status.h"
#include "server/authentication.h"

namespace ringcached::server {

class Server {
 public:
  // Binds and allocates; nothing serves yet, nothing is left behind on failure. `request_stop` is called
  // (from any thread) when a client's `shutdown` asks the process to end. `config`, `log` and
  // `authentication` outlive the server.
  static Result<std::unique_ptr<Server>> create(const config::Config& config, Log& log,
                                                Authentication& authentication,
                                                std::function<void()> request_stop);
  virtual ~Server() = default;

  virtual Status start() = 0;
  // Orderly end: accepts no more, answers what has arrived, returns at once. Any thread, also a signal
  // handler.
  virtual void stop() = 0;
  virtual void join() = 0;
  virtual Network& network() = 0;
  // Takes over what of `config` can change while serving, but for what is not the server's. Any thread.
  virtual void reload(const config::Config& config) = 0;
};

}  // namespace ringcached::server
