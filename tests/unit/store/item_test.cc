#include "store/item.h"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <string>

using namespace ringcached;
using namespace ringcached::store;

namespace {

struct alignas(8) ChunkMemory {
  std::array<std::byte, 256> bytes{};
  std::byte* data() { return bytes.data(); }
};

}  // namespace

TEST_SUITE("item") {
  TEST_CASE("a header is read as it was written") {
    ChunkMemory chunk;
    shared_store64(chunk.data() + kCasOffset, 0x1122334455667788);
    shared_store32(chunk.data() + kExpiryOffset, 4711);
    shared_store32(chunk.data() + kAccessOffset, access_word(1234, 3));
    shared_store32(chunk.data() + kItemHeaderBytes, 0xabcdef01);
    const std::uint32_t state = static_cast<std::uint32_t>(ChunkKind::kItem) | 5U << kGenerationShift |
                                33U << kEpochShift | kHasFlags | kStale | 32747U << kValueBytesShift;
    chunk_state(chunk.data()).store(state);
    const ItemHeader header = read_header(chunk.data(), 1);
    CHECK(header.cas == 0x1122334455667788);
    CHECK(header.expiry == 4711);
    CHECK(header.key_bytes() == 3);
    CHECK(header.client_flags == 0xabcdef01);
    CHECK(header.value_bytes == 32747);
    CHECK(state_epoch(header.state) == 33);
    CHECK(chunk_generation(header.state) == 5);
    CHECK(header.value_offset() == 20 + 4 + 3);
    CHECK_FALSE(header.chained());
    CHECK(chunk_kind(with_kind(header.state, ChunkKind::kLimbo)) == ChunkKind::kLimbo);
    CHECK((with_kind(header.state, ChunkKind::kLimbo) & ~7U) == (state & ~7U));
  }

  TEST_CASE("idle time survives the wrap of the access time and clocks that lag") {
    CHECK(idle_seconds(access_word(100, 250), 160) == 60);
    CHECK(idle_seconds(access_word(kAccessMask, 1), kAccessMask + 10) == 10);
    CHECK(idle_seconds(access_word(101, 1), 100) == 0);
    constexpr std::uint32_t kDay = 24 * 60 * 60;
    CHECK(idle_seconds(access_word(100, 1), 100 + 190 * kDay) == 190 * kDay);
  }

  TEST_CASE("keys are compared in full, at every length and offset") {
    for (std::size_t length = 1; length <= 40; ++length) {
      std::string key(length, 'k');
      for (std::size_t i = 0; i < length; ++i) key[i] = static_cast<char>('a' + i % 26);
      ChunkMemory chunk;
      shared_store32(chunk.data() + kAccessOffset, access_word(1, length));
      copy_to_shared(chunk.data() + kItemHeaderBytes, key.data(), length);
      CHECK(has_key(chunk.data(), 1, key));
      CHECK_FALSE(has_key(chunk.data(), 1, key + "x"));
      for (std::size_t i = 0; i < length; ++i) {
        std::string other = key;
        other[i] = '!';
        CHECK_FALSE(has_key(chunk.data(), 1, other));
      }
    }
  }

  TEST_CASE("a torn length is not followed over the end of a page") {
    const ChunkAddress last = (kPageBytes - 32) / kGranuleBytes;
    CHECK(page_holds(last, 32));
    CHECK_FALSE(page_holds(last, 33));
    CHECK(page_holds(kPageBytes / kGranuleBytes, kPageBytes));
  }

  TEST_CASE("shared copies are exact at every alignment and length") {
    ChunkMemory chunk;
    std::string text(100, ' ');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i);
    for (std::size_t offset = 0; offset < 9; ++offset) {
      for (std::size_t length = 0; length < 60; ++length) {
        copy_to_shared(chunk.data() + offset, text.data() + 3, length);
        std::string back(length + 2, '#');
        copy_from_shared(back.data() + 1, chunk.data() + offset, length);
        CHECK(back == "#" + text.substr(3, length) + "#");
      }
    }
  }
}
