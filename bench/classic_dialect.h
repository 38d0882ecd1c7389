// The text protocols: classic get and set, one or many keys in a get; and their counterparts mg and ms.
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
  // Each get asks for `keys_per_get` of `keys` keys, the one wanted and others spread over all of them, and
  // is a hit if all of them are there.
  explicit ClassicDialect(std::uint32_t keys_per_get = 1, std::uint32_t keys = 1)
      : keys_per_get_(keys_per_get), keys_(keys) {}
  void append_get(std::string& out, const ItemPattern& items, std::uint32_t key) const override;
  void append_set(std::string& out, const ItemPattern& items, std::uint32_t key) const override;
  std::unique_ptr<ReplyParser> new_parser(bool want_values) const override;

 private:
  std::uint32_t keys_per_get_;
  std::uint32_t keys_;
};

// "mg <key> v" and "ms <key> <bytes>".
class MetaDialect : public Dialect {
 public:
  void append_get(std::string& out, const ItemPattern& items, std::uint32_t key) const override;
  void append_set(std::string& out, const ItemPattern& items, std::uint32_t key) const override;
  std::unique_ptr<ReplyParser> new_parser(bool want_values) const override;
};

// Counts replies exactly: a data block is passed over by its length, never searched.
class TextReplyParser : public ReplyParser {
 public:
  explicit TextReplyParser(bool want_values) : want_values_(want_values) {}
  bool feed(std::string_view data, ReplySink& sink) final;

 protected:
  // `line` without its CR LF. False: no reply of this protocol.
  virtual bool on_line(std::string_view line, ReplySink& sink) = 0;
  // A data block is complete.
  virtual void on_block(ReplySink& /*sink*/) {}
  // From on_line: the line ends in ` <bytes>` and a block of that length follows. False: it does not.
  bool expect_block(std::string_view line);
  static bool is_error(std::string_view line);

 private:
  bool end_line(std::string_view line, ReplySink& sink);
  bool take_block(std::string_view& data, ReplySink& sink);
  bool finish_block(std::string_view block, ReplySink& sink);

  const bool want_values_;
  std::size_t block_bytes_ = 0;  // of the data block awaited, with its CRLF; 0 outside one
  std::size_t block_left_ = 0;   // of these not yet seen
  std::string part_;             // of a line, or of a block that is wanted
};

class ClassicReplyParser final : public TextReplyParser {
 public:
  explicit ClassicReplyParser(bool want_values, std::uint32_t keys_per_get = 1)
      : TextReplyParser(want_values), keys_per_get_(keys_per_get) {}

 private:
  bool on_line(std::string_view line, ReplySink& sink) override;

  const std::uint32_t keys_per_get_;
  std::uint32_t values_seen_ = 0;  // since the last END
};

class MetaReplyParser final : public TextReplyParser {
 public:
  using TextReplyParser::TextReplyParser;

 private:
  bool on_line(std::string_view line, ReplySink& sink) override;
  void on_block(ReplySink& sink) override { sink.on_reply(Reply::kHit); }
};

}  // namespace ringcached::bench
