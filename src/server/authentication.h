// Who may use the server: the password files of both dialects.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "config/config.h"
#include "ringcached/status.h"
#include "server/password_file.h"

namespace ringcached::server {

// The look-ups may be called from any worker; the rest belongs to the thread that started the server.
class Authentication {
 public:
  // Nobody has to log in.
  Authentication() = default;
  // Reads the files that `config` names. `log` outlives it.
  static Result<Authentication> open(const config::Config& config, Log& log);
  // How many workers there are; before they start.
  void set_workers(unsigned workers);

  // Clients of the text protocol log in first.
  bool required_by_text() const { return text_ != nullptr; }
  bool accepts_text(unsigned worker, std::string_view user, std::string_view password) const;

  // Likewise of the binary protocol. A user without a host is one of this host.
  bool required_by_binary() const { return sasl_ != nullptr; }
  bool accepts_sasl(unsigned worker, std::string_view user, std::string_view password) const;

  // For SIGHUP: reads all files again. Clients that are logged in stay so.
  void reload();
  // Reads the file of SASL again if it has changed; memcached takes a change without being told, too.
  void reload_if_changed();

 private:
  std::unique_ptr<PasswordFile> text_, sasl_;
  std::string sasl_realm_;  // "@" and the name of this host
};

}  // namespace ringcached::server
