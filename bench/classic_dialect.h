// The classic text protocol: get and set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "bench/dialect.h"

namespace ringcached::bench {

class ClassicDialect : public Dialect {
 public:
  void append_get(std::string& out, const ItemPattern& items, std::uint32_t key) const override;
  void append_set(std::string& out, const ItemPattern& items, std::uint32_t key) const override;
  std::unique_ptr<ReplyParser> new_parser(bool want_values) const override;
};

// Counts replies exactly: the data block of a VALUE is passed over by its length, never searched.
class ClassicReplyParser : public ReplyParser {
 public:
  explicit ClassicReplyParser(bool want_values) : want_values_(want_values) {}
  bool feed(std::string_view data, ReplySink& sink) override;

 private:
  bool on_line(std::string_view line, ReplySink& sink);
  bool on_value_line(std::string_view line);
  bool take_block(std::string_view& data, ReplySink& sink);
  bool finish_block(std::string_view block, ReplySink& sink);

  const bool want_values_;
  bool value_seen_ = false;      // since the last END
  std::size_t block_bytes_ = 0;  // of the data block awaited, with its CRLF; 0 outside one
  std::size_t block_left_ = 0;   // of these not yet seen
  std::string part_;             // of a line, or of a block that is wanted
};

}  // namespace ringcached::bench
