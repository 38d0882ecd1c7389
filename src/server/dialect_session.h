// What a session of a dialect (text, binary) is beyond a handler of a connection.
#pragma once

#include "ringcached/network.h"

namespace ringcached::server {

class DialectSession : public ConnectionHandler {
 public:
  // No request is half done: what was put out so far is whole replies, and the session may be dropped without
  // anything being left undone.
  virtual bool between_requests() const = 0;
};

}  // namespace ringcached::server
