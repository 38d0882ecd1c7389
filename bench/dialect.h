// The seam between the load engine and a protocol: bytes of requests out, replies counted in. Pure; no
// descriptor and no clock. Another protocol (meta, binary) is another pair of these classes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "bench/item_pattern.h"

namespace ringcached::bench {

enum class Reply {
  kHit,  // one value, complete
  kMiss,
  kStored,
  kNotStored,
  kError,  // an error line; the request counts as answered
};

// What a parser tells about the bytes it was fed, in the order of the requests.
class ReplySink {
 public:
  virtual ~ReplySink() = default;
  // The value of the hit that on_reply() will report next. Valid during the call.
  virtual void on_value(std::string_view value) = 0;
  virtual void on_reply(Reply reply) = 0;
};

class ReplyParser {
 public:
  virtual ~ReplyParser() = default;
  // Takes all of `data`, cut anywhere. False: these bytes are not of this protocol, the connection is
  // useless.
  virtual bool feed(std::string_view data, ReplySink& sink) = 0;
};

class Dialect {
 public:
  virtual ~Dialect() = default;
  virtual void append_get(std::string& out, const ItemPattern& items, std::uint32_t key) const = 0;
  virtual void append_set(std::string& out, const ItemPattern& items, std::uint32_t key) const = 0;
  // `want_values`: whether on_value() shall be called; without it long values are skipped, not collected.
  virtual std::unique_ptr<ReplyParser> new_parser(bool want_values) const = 0;
};

}  // namespace ringcached::bench
