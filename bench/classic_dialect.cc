#include "bench/classic_dialect.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace ringcached::bench {
namespace {

constexpr std::size_t kReplyLineBytesMax = 4096;

// The length, the end of the line and the value.
void append_block(std::string& out, const ItemPattern& items, std::uint32_t key) {
  char length[24];
  const auto end = std::to_chars(length, length + sizeof(length), items.value_bytes(key)).ptr;
  out.append(length, end);
  out += "\r\n";
  items.append_value(out, key);
  out += "\r\n";
}

}  // namespace

void ClassicDialect::append_get(std::string& out, const ItemPattern& items, std::uint32_t key) const {
  // A prime: with any other number of keys, neighbours in a request are no neighbours in memory.
  constexpr std::uint64_t kStride = 1000003;
  out += "get";
  for (std::uint32_t i = 0; i < keys_per_get_; ++i) {
    out += ' ';
    items.append_key(out, static_cast<std::uint32_t>(keys_per_get_ == 1 ? key : (key + i * kStride) % keys_));
  }
  out += "\r\n";
}

void ClassicDialect::append_set(std::string& out, const ItemPattern& items, std::uint32_t key) const {
  out += "set ";
  items.append_key(out, key);
  out += " 0 0 ";
  append_block(out, items, key);
}

std::unique_ptr<ReplyParser> ClassicDialect::new_parser(bool want_values) const {
  return std::make_unique<ClassicReplyParser>(want_values, keys_per_get_);
}

void MetaDialect::append_get(std::string& out, const ItemPattern& items, std::uint32_t key) const {
  out += "mg ";
  items.append_key(out, key);
  out += " v\r\n";
}

void MetaDialect::append_set(std::string& out, const ItemPattern& items, std::uint32_t key) const {
  out += "ms ";
  items.append_key(out, key);
  out += ' ';
  append_block(out, items, key);
}

std::unique_ptr<ReplyParser> MetaDialect::new_parser(bool want_values) const {
  return std::make_unique<MetaReplyParser>(want_values);
}

bool TextReplyParser::feed(std::string_view data, ReplySink& sink) {
  while (!data.empty()) {
    if (block_bytes_ != 0) {
      if (!take_block(data, sink)) return false;
      continue;
    }
    const void* newline = std::memchr(data.data(), '\n', data.size());
    if (newline == nullptr) {
      part_ += data;
      return part_.size() <= kReplyLineBytesMax;
    }
    const auto bytes = static_cast<std::size_t>(static_cast<const char*>(newline) - data.data()) + 1;
    std::string_view line = data.substr(0, bytes);
    data.remove_prefix(bytes);
    if (part_.empty()) {
      if (!end_line(line, sink)) return false;
      continue;
    }
    std::string whole;
    whole.swap(part_);
    whole += line;
    if (!end_line(whole, sink)) return false;
  }
  return true;
}

// `line` ends in LF.
bool TextReplyParser::end_line(std::string_view line, ReplySink& sink) {
  if (!line.ends_with("\r\n")) return false;
  line.remove_suffix(2);
  return on_line(line, sink);
}

bool TextReplyParser::is_error(std::string_view line) {
  return line == "ERROR" || line.starts_with("SERVER_ERROR") || line.starts_with("CLIENT_ERROR");
}

bool TextReplyParser::expect_block(std::string_view line) {
  const std::size_t space = line.rfind(' ');
  std::size_t bytes = 0;
  const char* end = line.data() + line.size();
  const auto [stop, error] = std::from_chars(line.data() + space + 1, end, bytes);
  if (error != std::errc() || stop != end) return false;
  block_bytes_ = bytes + 2;
  block_left_ = block_bytes_;
  return true;
}

bool ClassicReplyParser::on_line(std::string_view line, ReplySink& sink) {
  if (line.starts_with("VALUE ")) {
    // "VALUE <key> <flags> <bytes>"
    return ++values_seen_ <= keys_per_get_ && std::count(line.begin(), line.end(), ' ') == 3 &&
           expect_block(line);
  }
  if (line == "END") {
    sink.on_reply(values_seen_ == keys_per_get_ ? Reply::kHit : Reply::kMiss);
    values_seen_ = 0;
    return true;
  }
  if (values_seen_ != 0) return false;  // a value must be followed by END
  if (line == "STORED") {
    sink.on_reply(Reply::kStored);
  } else if (line == "NOT_STORED") {
    sink.on_reply(Reply::kNotStored);
  } else if (is_error(line)) {
    sink.on_reply(Reply::kError);
  } else {
    return false;
  }
  return true;
}

bool MetaReplyParser::on_line(std::string_view line, ReplySink& sink) {
  if (line.starts_with("VA ")) return expect_block(line);
  if (line == "EN") {
    sink.on_reply(Reply::kMiss);
  } else if (line == "HD") {
    sink.on_reply(Reply::kStored);
  } else if (line == "NS") {
    sink.on_reply(Reply::kNotStored);
  } else if (is_error(line)) {
    sink.on_reply(Reply::kError);
  } else {
    return false;
  }
  return true;
}

bool TextReplyParser::take_block(std::string_view& data, ReplySink& sink) {
  const std::size_t taken = std::min(block_left_, data.size());
  const std::string_view piece = data.substr(0, taken);
  const bool whole = taken == block_bytes_;
  data.remove_prefix(taken);
  block_left_ -= taken;
  if (whole) return finish_block(piece, sink);
  if (want_values_) {
    part_ += piece;
  } else {
    // Only the CRLF is looked at: keep what belongs to the last two bytes of the block.
    const std::size_t tail_begin = block_bytes_ - 2;
    const std::size_t piece_begin = block_bytes_ - block_left_ - taken;
    if (piece_begin + taken > tail_begin)
      part_ += piece.substr(std::max(tail_begin, piece_begin) - piece_begin);
  }
  if (block_left_ != 0) return true;
  std::string block;
  block.swap(part_);
  return finish_block(block, sink);
}

bool TextReplyParser::finish_block(std::string_view block, ReplySink& sink) {
  block_bytes_ = 0;
  if (!block.ends_with("\r\n")) return false;
  block.remove_suffix(2);
  if (want_values_) sink.on_value(block);
  on_block(sink);
  return true;
}

}  // namespace ringcached::bench
