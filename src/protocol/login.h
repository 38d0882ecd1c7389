// The login of the text protocol (specification section 12): a set whose data is the login token. Pure, as
// parser.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocol/parser.h"

namespace ringcached::protocol {

struct LoginLine {
  enum class Kind : std::uint8_t {
    kNeedMore,  // no complete line yet; nothing consumed
    kToken,     // `token_bytes` of login token and its CR LF follow the consumed line
    kRefused,   // answer `reply` and go on with the next line
    kClose,     // close without an answer
  };
  Kind kind = Kind::kNeedMore;
  std::size_t consumed = 0;
  std::size_t token_bytes = 0;  // at most kLoginTokenBytesMax
  std::string_view reply;       // static storage
};

// Looks at the first line of `input` as long as the client is not logged in. The line only has to begin with
// "set" and have five words; all but the fifth, the length of the token, mean nothing.
LoginLine parse_login_line(std::string_view input, LineScan& scan);

struct LoginToken {
  std::string_view user, password;  // point into the token
  std::string_view reply;           // not empty: this is no token, answer so
};

// `block` is a token with the two bytes behind it, which must be CR LF. The user ends at the first space.
LoginToken parse_login_token(std::string_view block);

}  // namespace ringcached::protocol
