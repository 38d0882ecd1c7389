// The keys and self-describing values of a load: key number n always has the same text, size and hash, and a
// value says which key it belongs to, how long it is and whether it is whole.
//
//   value of 20 bytes and more:  | hash of the key, 8 | length, 4 | filler ... | check sum of all before, 4 |
//   shorter values:              the first bytes of the hash, repeated; too short for a sum, still told apart
//
// Binary on purpose: values contain CR, LF and NUL.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ringcached::bench {

class ItemPattern {
 public:
  static constexpr std::size_t kKeyBytesMin = 8;  // a number of 32 bits in hexadecimal
  static constexpr std::size_t kKeyBytesMax = 250;

  // Preconditions: key_bytes in [kKeyBytesMin, kKeyBytesMax]; value_bytes_min <= value_bytes_max < 2^32.
  // `seed` makes the values of one load differ from those of another with the same keys.
  ItemPattern(std::size_t key_bytes, std::size_t value_bytes_min, std::size_t value_bytes_max,
              std::uint64_t seed);

  void append_key(std::string& out, std::uint32_t key) const;
  std::size_t value_bytes(std::uint32_t key) const;
  void append_value(std::string& out, std::uint32_t key) const;
  // Whether `value` is exactly what append_value() wrote for `key`.
  bool value_matches(std::string_view value, std::uint32_t key) const;

 private:
  std::uint64_t hash_of(std::uint32_t key) const;
  char short_value_byte(std::uint64_t hash, std::size_t i) const;

  std::string key_prefix_;
  std::size_t value_bytes_min_;
  std::size_t value_bytes_max_;
  std::uint64_t seed_;
  std::string
      filler_;  // longer than any value by kFillerShifts, so that keys start at different places of it
};

}  // namespace ringcached::bench
