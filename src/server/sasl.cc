#include "server/sasl.h"

#include <optional>
#include <utility>

namespace ringcached::server {
namespace {

struct PlainMessage {
  std::string_view authorize_as, user, password;
};

// [authzid] NUL user NUL password
std::optional<PlainMessage> parse_plain(std::string_view text) {
  const std::size_t first = text.find('\0');
  if (first == std::string_view::npos) return std::nullopt;
  const std::size_t second = text.find('\0', first + 1);
  if (second == std::string_view::npos || text.find('\0', second + 1) != std::string_view::npos)
    return std::nullopt;
  return PlainMessage{text.substr(0, first), text.substr(first + 1, second - first - 1),
                      text.substr(second + 1)};
}

}  // namespace

SaslOutcome SaslExchange::auth(std::string_view mechanism, std::string_view message, const SaslCheck& check) {
  state_ = State::kNone;
  if (mechanism != kSaslMechanisms) return fail();
  if (!message.empty()) return decide(message, check);
  state_ = State::kAwaitingStep;
  return SaslOutcome::kContinue;
}

SaslOutcome SaslExchange::step(std::string_view mechanism, std::string_view message, const SaslCheck& check) {
  const State before = std::exchange(state_, State::kNone);
  if (before != State::kAwaitingStep || mechanism != kSaslMechanisms) return fail();
  return decide(message, check);
}

SaslOutcome SaslExchange::fail() {
  state_ = State::kNone;
  return SaslOutcome::kFailed;
}

SaslOutcome SaslExchange::decide(std::string_view message, const SaslCheck& check) {
  const std::optional<PlainMessage> plain = parse_plain(message);
  if (!plain || plain->user.empty()) return fail();
  // Nobody acts for somebody else here.
  if (!plain->authorize_as.empty() && plain->authorize_as != plain->user) return fail();
  if (!check(plain->user, plain->password)) return fail();
  state_ = State::kAuthenticated;
  return SaslOutcome::kAuthenticated;
}

}  // namespace ringcached::server
