#include "bench/classic_dialect.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace ringcached::bench {
namespace {

constexpr std::size_t kReplyLineBytesMax = 4096;

}  // namespace

void ClassicDialect::append_get(std::string& out, const ItemPattern& items, std::uint32_t key) const {
  out += "get ";
  items.append_key(out, key);
  out += "\r\n";
}

void ClassicDialect::append_set(std::string& out, const ItemPattern& items, std::uint32_t key) const {
  char length[24];
  const auto end = std::to_chars(length, length + sizeof(length), items.value_bytes(key)).ptr;
  out += "set ";
  items.append_key(out, key);
  out += " 0 0 ";
  out.append(length, end);
  out += "\r\n";
  items.append_value(out, key);
  out += "\r\n";
}

std::unique_ptr<ReplyParser> ClassicDialect::new_parser(bool want_values) const {
  return std::make_unique<ClassicReplyParser>(want_values);
}

bool ClassicReplyParser::feed(std::string_view data, ReplySink& sink) {
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
      if (!on_line(line, sink)) return false;
      continue;
    }
    std::string whole;
    whole.swap(part_);
    whole += line;
    if (!on_line(whole, sink)) return false;
  }
  return true;
}

// `line` ends in LF.
bool ClassicReplyParser::on_line(std::string_view line, ReplySink& sink) {
  if (!line.ends_with("\r\n")) return false;
  line.remove_suffix(2);
  if (line.starts_with("VALUE ")) return on_value_line(line);
  if (line == "END") {
    sink.on_reply(value_seen_ ? Reply::kHit : Reply::kMiss);
    value_seen_ = false;
    return true;
  }
  if (value_seen_) return false;  // a value must be followed by END
  if (line == "STORED") {
    sink.on_reply(Reply::kStored);
  } else if (line == "NOT_STORED") {
    sink.on_reply(Reply::kNotStored);
  } else if (line == "ERROR" || line.starts_with("SERVER_ERROR") || line.starts_with("CLIENT_ERROR")) {
    sink.on_reply(Reply::kError);
  } else {
    return false;
  }
  return true;
}

// "VALUE <key> <flags> <bytes>": one value for one get.
bool ClassicReplyParser::on_value_line(std::string_view line) {
  const std::size_t space = line.rfind(' ');
  std::size_t bytes = 0;
  const char* end = line.data() + line.size();
  const auto [stop, error] = std::from_chars(line.data() + space + 1, end, bytes);
  if (value_seen_ || error != std::errc() || stop != end || std::count(line.begin(), line.end(), ' ') != 3) {
    return false;
  }
  value_seen_ = true;
  block_bytes_ = bytes + 2;
  block_left_ = block_bytes_;
  return true;
}

bool ClassicReplyParser::take_block(std::string_view& data, ReplySink& sink) {
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

bool ClassicReplyParser::finish_block(std::string_view block, ReplySink& sink) {
  block_bytes_ = 0;
  if (!block.ends_with("\r\n")) return false;
  block.remove_suffix(2);
  if (want_values_) sink.on_value(block);
  return true;
}

}  // namespace ringcached::bench
