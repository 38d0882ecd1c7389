// Requests of the binary dialect built, and answers read, by test code that shares nothing with the product.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ringcached::testing {

// What a request is made of; the lengths of the header can be made to lie.
struct Packet {
  std::uint8_t opcode = 0;
  std::string key;
  std::string value;
  std::string extras;
  std::uint64_t cas = 0;
  std::uint32_t opaque = 0;
  std::int64_t body_bytes = -1;  // -1: as they are
  int magic = 0x80;
};

inline std::string big_endian(std::uint64_t number, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    text += static_cast<char>(number >> shift & 0xff);
  }
  return text;
}

inline std::string encode(const Packet& packet) {
  const std::string body = packet.extras + packet.key + packet.value;
  const std::uint64_t body_bytes =
      packet.body_bytes < 0 ? body.size() : static_cast<std::uint64_t>(packet.body_bytes);
  return big_endian(static_cast<std::uint64_t>(packet.magic), 1) + big_endian(packet.opcode, 1) +
         big_endian(packet.key.size(), 2) + big_endian(packet.extras.size(), 1) + big_endian(0, 3) +
         big_endian(body_bytes, 4) + big_endian(packet.opaque, 4) + big_endian(packet.cas, 8) + body;
}

inline std::string stored_extras(std::uint32_t flags = 0, std::uint32_t exptime = 0) {
  return big_endian(flags, 4) + big_endian(exptime, 4);
}
inline std::string counted_extras(std::uint64_t delta, std::uint64_t initial = 0,
                                  std::uint32_t exptime = 0xffffffff) {
  return big_endian(delta, 8) + big_endian(initial, 8) + big_endian(exptime, 4);
}
inline std::string timed_extras(std::uint32_t exptime) {
  return big_endian(exptime, 4);
}

inline std::uint64_t number_at(std::string_view bytes, std::size_t at, std::size_t count) {
  std::uint64_t number = 0;
  for (const char byte : bytes.substr(at, count)) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

inline std::string hexadecimal(std::uint64_t number, std::size_t digits) {
  std::string text(digits, '0');
  for (std::size_t i = digits; i > 0; --i, number >>= 4) text[i - 1] = "0123456789abcdef"[number & 15];
  return text;
}

// The answers in `bytes`, one line each: opcode, status, then what there is of extras (x, hexadecimal), key
// (k), value (v), opaque (o) and id (#). Whatever is no answer is shown as "garbage".
inline std::string render_answers(std::string_view bytes) {
  constexpr std::size_t kHeaderBytes = 24;
  std::string text;
  while (!bytes.empty()) {
    if (bytes.size() < kHeaderBytes || static_cast<unsigned char>(bytes[0]) != 0x81 || bytes[5] != 0) {
      return text + "garbage\n";
    }
    const std::size_t key_bytes = number_at(bytes, 2, 2);
    const std::size_t extras_bytes = number_at(bytes, 4, 1);
    const std::size_t body_bytes = number_at(bytes, 8, 4);
    if (bytes.size() < kHeaderBytes + body_bytes || key_bytes + extras_bytes > body_bytes) {
      return text + "garbage\n";
    }
    const std::string_view body = bytes.substr(kHeaderBytes, body_bytes);
    text += hexadecimal(number_at(bytes, 1, 1), 2) + " " + hexadecimal(number_at(bytes, 6, 2), 2);
    if (extras_bytes > 0) text += " x" + hexadecimal(number_at(body, 0, extras_bytes), 2 * extras_bytes);
    if (key_bytes > 0) text.append(" k").append(body.substr(extras_bytes, key_bytes));
    const std::string_view value = body.substr(extras_bytes + key_bytes);
    if (!value.empty()) text.append(" v").append(value);
    if (number_at(bytes, 12, 4) != 0) text += " o" + hexadecimal(number_at(bytes, 12, 4), 2);
    if (number_at(bytes, 16, 8) != 0) text += " #";
    text += "\n";
    bytes.remove_prefix(kHeaderBytes + body_bytes);
  }
  return text;
}

}  // namespace ringcached::testing
