// The SASL exchange of one binary connection (specification section 8.6): mechanism PLAIN. No input, no
// output, no file: the session feeds it requests and asks `authenticated` before anything else is served.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace ringcached::server {

// What List answers.
inline constexpr std::string_view kSaslMechanisms = "PLAIN";
// More than any message of PLAIN with credentials that can be right: authzid, user and password of at most
// 255 bytes each and their separators. The session answers longer ones as failed without keeping them.
inline constexpr std::size_t kSaslMessageBytesMax = 1024;

enum class SaslOutcome : std::uint8_t {
  kFailed,         // answer 0x20; the connection stays, without authentication
  kContinue,       // answer 0x21 with an empty challenge; a Step is expected
  kAuthenticated,  // answer 0
};

// True if `user`, as the client sent it, has this password.
using SaslCheck = std::function<bool(std::string_view user, std::string_view password)>;

class SaslExchange {
 public:
  // Opcode 0x21. Whatever was before is forgotten first, also an authentication.
  SaslOutcome auth(std::string_view mechanism, std::string_view message, const SaslCheck& check);
  // Opcode 0x22. Only what follows an Auth that was answered with kContinue can succeed; any other Step
  // leaves the connection unauthenticated.
  SaslOutcome step(std::string_view mechanism, std::string_view message, const SaslCheck& check);
  // An attempt that is refused unread (too long a message).
  SaslOutcome fail();

  bool authenticated() const { return state_ == State::kAuthenticated; }

 private:
  enum class State : std::uint8_t { kNone, kAwaitingStep, kAuthenticated };

  SaslOutcome decide(std::string_view message, const SaslCheck& check);

  State state_ = State::kNone;
};

}  // namespace ringcached::server
