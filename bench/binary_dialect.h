// The binary protocol: get and set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "bench/dialect.h"

namespace ringcached::bench {

class BinaryDialect : public Dialect {
 public:
  void append_get(std::string& out, const ItemPattern& items, std::uint32_t key) const override;
  void append_set(std::string& out, const ItemPattern& items, std::uint32_t key) const override;
  std::unique_ptr<ReplyParser> new_parser(bool want_values) const override;
};

// Counts answers by their headers; bodies are passed over by their length.
class BinaryReplyParser : public ReplyParser {
 public:
  explicit BinaryReplyParser(bool want_values) : want_values_(want_values) {}
  bool feed(std::string_view data, ReplySink& sink) override;

 private:
  bool on_header(std::string_view header);
  void take_body(std::string_view& data);
  void finish(ReplySink& sink);

  const bool want_values_;
  bool in_body_ = false;
  Reply reply_ = Reply::kError;   // of the answer whose body is awaited
  std::size_t body_left_ = 0;     // not yet seen
  std::size_t prefix_bytes_ = 0;  // of the body, in front of the value
  std::string_view whole_body_;   // when it came in one piece
  std::string part_;              // of a header, or of a body that is wanted
};

}  // namespace ringcached::bench
