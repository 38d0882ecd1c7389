// Where the figures of a `stats` group go: the groups name them, the dialects write them.
#pragma once

#include <cstdint>
#include <string_view>

namespace ringcached::server {

class StatSink {
 public:
  // One figure. The views are valid during the call.
  virtual void stat(std::string_view name, std::string_view value) = 0;
  void stat(std::string_view name, std::uint64_t value);

 protected:
  ~StatSink() = default;
};

}  // namespace ringcached::server
