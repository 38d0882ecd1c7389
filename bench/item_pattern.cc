#include "bench/item_pattern.h"

#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "bench/random.h"

namespace ringcached::bench {
namespace {

constexpr std::size_t kSumBytes = 4;
constexpr std::size_t kDescribedBytesMin = 8 + 4 + kSumBytes + 4;
constexpr std::size_t kFillerShifts = 64;

std::uint32_t sum_of(std::string_view bytes) {
  return static_cast<std::uint32_t>(XXH3_64bits(bytes.data(), bytes.size()));
}

template <class Integer>
void append_integer(std::string& out, Integer value) {
  char bytes[sizeof(value)];
  std::memcpy(bytes, &value, sizeof(value));
  out.append(bytes, sizeof(value));
}

template <class Integer>
Integer integer_at(std::string_view bytes, std::size_t offset) {
  Integer value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

}  // namespace

ItemPattern::ItemPattern(std::size_t key_bytes, std::size_t value_bytes_min, std::size_t value_bytes_max,
                         std::uint64_t seed)
    : key_prefix_(key_bytes - kKeyBytesMin, 'k'),
      value_bytes_min_(value_bytes_min),
      value_bytes_max_(value_bytes_max),
      seed_(seed) {
  Random random(seed);
  while (filler_.size() < value_bytes_max + kFillerShifts) append_integer(filler_, random.next());
}

std::uint64_t ItemPattern::hash_of(std::uint32_t key) const {
  return mix(seed_ + key);
}

void ItemPattern::append_key(std::string& out, std::uint32_t key) const {
  static constexpr char kDigits[] = "0123456789abcdef";
  char digits[kKeyBytesMin];
  for (std::size_t i = kKeyBytesMin; i-- > 0; key >>= 4) digits[i] = kDigits[key & 15U];
  out += key_prefix_;
  out.append(digits, kKeyBytesMin);
}

std::size_t ItemPattern::value_bytes(std::uint32_t key) const {
  const std::size_t choices = value_bytes_max_ - value_bytes_min_ + 1;
  return choices == 1 ? value_bytes_min_ : value_bytes_min_ + hash_of(key) % choices;
}

char ItemPattern::short_value_byte(std::uint64_t hash, std::size_t i) const {
  return static_cast<char>(hash >> (8 * (i % 8)));
}

void ItemPattern::append_value(std::string& out, std::uint32_t key) const {
  const std::uint64_t hash = hash_of(key);
  const std::size_t bytes = value_bytes(key);
  if (bytes < kDescribedBytesMin) {
    for (std::size_t i = 0; i < bytes; ++i) out += short_value_byte(hash, i);
    return;
  }
  const std::size_t begin = out.size();
  append_integer(out, hash);
  append_integer(out, static_cast<std::uint32_t>(bytes));
  out.append(filler_, hash % kFillerShifts, bytes - 12 - kSumBytes);
  append_integer(out, sum_of(std::string_view(out).substr(begin)));
}

bool ItemPattern::value_matches(std::string_view value, std::uint32_t key) const {
  const std::uint64_t hash = hash_of(key);
  if (value.size() != value_bytes(key)) return false;
  if (value.size() < kDescribedBytesMin) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (value[i] != short_value_byte(hash, i)) return false;
    }
    return true;
  }
  const std::size_t summed = value.size() - kSumBytes;
  return integer_at<std::uint64_t>(value, 0) == hash && integer_at<std::uint32_t>(value, 8) == value.size() &&
         integer_at<std::uint32_t>(value, summed) == sum_of(value.substr(0, summed));
}

}  // namespace ringcached::bench
