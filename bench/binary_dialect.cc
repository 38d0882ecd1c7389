#include "bench/binary_dialect.h"

#include <algorithm>

namespace ringcached::bench {
namespace {

constexpr std::size_t kHeaderBytes = 24;
constexpr std::uint8_t kGet = 0x00;
constexpr std::uint8_t kSet = 0x01;
constexpr std::size_t kSetExtrasBytes = 8;

void append_number(std::string& out, std::size_t number, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(number >> shift & 0xff);
}

std::size_t number_at(std::string_view bytes, std::size_t at, std::size_t count) {
  std::size_t number = 0;
  for (const char byte : bytes.substr(at, count)) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

// The key, of a length that is only known once it is there, is filled into the header behind it.
void append_request(std::string& out, std::uint8_t opcode, std::size_t extras_bytes, std::size_t value_bytes,
                    const ItemPattern& items, std::uint32_t key) {
  const std::size_t start = out.size();
  append_number(out, 0x80, 1);
  append_number(out, opcode, 1);
  append_number(out, 0, 2);
  append_number(out, extras_bytes << 24, 4);
  out.append(kHeaderBytes - 8 + extras_bytes, '\0');
  const std::size_t key_start = out.size();
  items.append_key(out, key);
  const std::size_t key_bytes = out.size() - key_start;
  std::string length;
  append_number(length, key_bytes, 2);
  out.replace(start + 2, 2, length);
  length.clear();
  append_number(length, extras_bytes + key_bytes + value_bytes, 4);
  out.replace(start + 8, 4, length);
}

}  // namespace

void BinaryDialect::append_get(std::string& out, const ItemPattern& items, std::uint32_t key) const {
  append_request(out, kGet, 0, 0, items, key);
}

void BinaryDialect::append_set(std::string& out, const ItemPattern& items, std::uint32_t key) const {
  append_request(out, kSet, kSetExtrasBytes, items.value_bytes(key), items, key);
  items.append_value(out, key);
}

std::unique_ptr<ReplyParser> BinaryDialect::new_parser(bool want_values) const {
  return std::make_unique<BinaryReplyParser>(want_values);
}

bool BinaryReplyParser::feed(std::string_view data, ReplySink& sink) {
  while (!data.empty()) {
    if (!in_body_) {
      const std::size_t taken = std::min(kHeaderBytes - part_.size(), data.size());
      std::string_view header = data.substr(0, taken);
      data.remove_prefix(taken);
      if (taken < kHeaderBytes) {
        part_ += header;
        if (part_.size() < kHeaderBytes) return true;
        header = part_;
      }
      if (!on_header(header)) return false;
      part_.clear();
    }
    take_body(data);
    if (body_left_ == 0) finish(sink);
  }
  return true;
}

bool BinaryReplyParser::on_header(std::string_view header) {
  const std::size_t opcode = number_at(header, 1, 1);
  const std::size_t status = number_at(header, 6, 2);
  if (number_at(header, 0, 1) != 0x81 || (opcode != kGet && opcode != kSet)) return false;
  body_left_ = number_at(header, 8, 4);
  prefix_bytes_ = number_at(header, 2, 2) + number_at(header, 4, 1);
  if (prefix_bytes_ > body_left_) return false;
  if (status == 0) {
    reply_ = opcode == kGet ? Reply::kHit : Reply::kStored;
  } else {
    reply_ = opcode == kGet && status == 1 ? Reply::kMiss : Reply::kError;
  }
  in_body_ = true;
  return true;
}

void BinaryReplyParser::take_body(std::string_view& data) {
  const std::string_view piece = data.substr(0, std::min(body_left_, data.size()));
  data.remove_prefix(piece.size());
  body_left_ -= piece.size();
  if (reply_ != Reply::kHit || !want_values_) return;
  if (part_.empty() && body_left_ == 0) {
    whole_body_ = piece;
  } else {
    part_ += piece;
  }
}

void BinaryReplyParser::finish(ReplySink& sink) {
  in_body_ = false;
  if (reply_ == Reply::kHit && want_values_) {
    sink.on_value((part_.empty() ? whole_body_ : std::string_view(part_)).substr(prefix_bytes_));
    part_.clear();
  }
  sink.on_reply(reply_);
}

}  // namespace ringcached::bench
