#include "server/login.h"

#include <memory>

#include "protocol/login.h"
#include "protocol/reply.h"
#include "server/authentication.h"
#include "server/text_session.h"

namespace ringcached::server {

Consumed Login::on_data(Connection& connection, std::span<const char> data) {
  const std::string_view input(data.data(), data.size());
  std::size_t used = 0;
  unsigned attempts = 0;
  while (used < input.size()) {
    const Step done = step(connection, input.substr(used));
    used += done.used;
    switch (done.then) {
      case Step::Then::kGoOn:
        break;
      case Step::Then::kWait:
        return {used, Next::kReceive};
      case Step::Then::kClose:
        return {used, Next::kClose};
      case Step::Then::kLoggedIn:
        return {used, Next::kHandOver};
    }
    if (connection.output_blocked()) return {used, Next::kBlocked};
    if (++attempts >= worker_.requests_per_turn) {
      if (connection.others_waiting()) return {used, Next::kYield};
      attempts = 0;
    }
  }
  return {used, Next::kReceive};
}

std::unique_ptr<ConnectionHandler> Login::successor() {
  return std::make_unique<TextSession>(worker_);
}

Login::Step Login::step(Connection& connection, std::string_view input) {
  return block_bytes_ == 0 ? on_line(connection, input) : on_token(connection, input);
}

Login::Step Login::on_line(Connection& connection, std::string_view input) {
  using Kind = protocol::LoginLine::Kind;
  const protocol::LoginLine line = protocol::parse_login_line(input, scan_);
  switch (line.kind) {
    case Kind::kNeedMore:
      return {.then = Step::Then::kWait};
    case Kind::kToken:
      block_bytes_ = static_cast<std::uint32_t>(line.token_bytes) + 2;
      return {.used = line.consumed};
    case Kind::kRefused:
      connection.output().append(line.reply);
      return {.used = line.consumed};
    case Kind::kClose:
      break;
  }
  return {.then = Step::Then::kClose};
}

Login::Step Login::on_token(Connection& connection, std::string_view input) {
  if (input.size() < block_bytes_) return {.then = Step::Then::kWait};
  const protocol::LoginToken token = protocol::parse_login_token(input.substr(0, block_bytes_));
  const std::size_t used = block_bytes_;
  block_bytes_ = 0;
  Output& output = connection.output();
  if (!token.reply.empty()) {
    output.append(token.reply);
    return {.used = used};
  }
  worker_.counters.add(Count::kAuthCmds);
  if (!worker_.server.authentication->accepts_text(connection.worker(), token.user, token.password)) {
    worker_.counters.add(Count::kAuthErrors);
    output.append(protocol::reply::kAuthFailure);
    return {.used = used};
  }
  output.append(protocol::reply::kStored);
  return {.used = used, .then = Step::Then::kLoggedIn};
}

}  // namespace ringcached::server
