// The load of the store benchmark: requests by the number of their key, and the keys themselves.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "bench/key_distribution.h"
#include "bench/random.h"

namespace ringcached::bench {

// What is stored: keys and values of one length each.
struct ItemShape {
  std::uint32_t items = 0;
  std::size_t key_bytes = 16;
  std::size_t value_bytes = 32;
};

// Requests, drawn before they are timed: the key's number, and in the highest bit whether it is a set.
using RequestStream = std::vector<std::uint32_t>;
inline constexpr std::uint32_t kSetBit = std::uint32_t{1} << 31;
inline constexpr std::uint32_t kItemsMax = kSetBit;

RequestStream draw_requests(Distribution distribution, std::uint32_t items, unsigned set_percent,
                            std::size_t count, std::uint64_t seed);

// Writes keys of at least kBytesMin bytes: two words that differ from key to key, the rest is filler.
class KeyWriter {
 public:
  static constexpr std::size_t kBytesMin = 2 * sizeof(std::uint64_t);
  static constexpr std::size_t kBytesMax = 250;
  static void write(char* out, std::uint32_t number) {
    const std::uint64_t words[] = {mix(number), number};
    std::memcpy(out, words, sizeof words);
  }
  static std::uint64_t number_of(const char* key) {
    std::uint64_t number;
    std::memcpy(&number, key + sizeof number, sizeof number);
    return number;
  }
};

// As many requests as a worker plans ahead (server/batch.h).
inline constexpr std::size_t kBatch = 16;

// The keys of a batch, each at a place of its own, as in a receive buffer.
class BatchKeys {
 public:
  explicit BatchKeys(std::size_t key_bytes) : key_bytes_(key_bytes) {
    for (auto& room : rooms_) room.fill('k');
  }
  std::string_view write(std::size_t place, std::uint32_t number) {
    KeyWriter::write(rooms_[place].data(), number);
    return {rooms_[place].data(), key_bytes_};
  }

 private:
  static constexpr std::size_t kRoom = 256;
  std::size_t key_bytes_;
  std::array<std::array<char, kRoom>, kBatch> rooms_;
};

}  // namespace ringcached::bench
