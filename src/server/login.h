// A client of the text protocol that has yet to log in (-Y).
#pragma once

#include <cstdint>
#include <string_view>

#include "protocol/parser.h"
#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

// Serves nothing but logins, as often as the client tries, and hands the connection over to a TextSession
// after one that is right; what came behind it is that session's input. What it makes a client's buffer hold
// is bounded by one line or one token.
class Login final : public ConnectionHandler {
 public:
  explicit Login(WorkerContext& worker) : worker_(worker) {}

  Consumed on_data(Connection& connection, std::span<const char> input) override;
  std::unique_ptr<ConnectionHandler> successor() override;

 private:
  // What one step did: bytes used, and what to do after it.
  struct Step {
    std::size_t used = 0;
    enum class Then : std::uint8_t { kGoOn, kWait, kClose, kLoggedIn } then = Then::kGoOn;
  };

  Step step(Connection& connection, std::string_view input);
  Step on_line(Connection& connection, std::string_view input);
  Step on_token(Connection& connection, std::string_view input);

  WorkerContext& worker_;
  protocol::LineScan scan_;
  std::uint32_t block_bytes_ = 0;  // of the token and its CR LF that are to come; 0: at the start of a line
};

}  // namespace ringcached::server
