#include <doctest/doctest.h>

#include <utility>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/short_copy.h"
#include "support/fake_clock.h"

using namespace ringcached;

TEST_SUITE("base") {
  TEST_CASE("a short copy copies its bytes and no others") {
    const std::string from = [] {
      std::string bytes(200, 0);
      for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i + 1);
      return bytes;
    }();
    for (std::size_t bytes = 0; bytes <= 150; ++bytes) {
      for (const std::size_t offset : {std::size_t{0}, std::size_t{1}, std::size_t{13}}) {
        std::string to(200, '#');
        copy_short(to.data() + offset, from.data() + offset, bytes);
        CHECK(to ==
              std::string(offset, '#') + from.substr(offset, bytes) + std::string(200 - offset - bytes, '#'));
      }
    }
  }

  TEST_CASE("cache time follows the monotonic clock and ignores wall steps") {
    testing::FakeClock clock;
    CacheClock cache_clock(clock);
    CHECK(cache_clock.now() == kCacheTimeStart);
    const auto base = cache_clock.wall_base();
    clock.advance_seconds(10);
    clock.step_wall(-100000);
    CHECK(cache_clock.tick() == kCacheTimeStart + 10);
    CHECK(cache_clock.wall_base() == base);
  }

  TEST_CASE("cache time does not go back when a thread slept between reading the clock and telling") {
    // Another thread reads it and tells in between.
    class Interrupted final : public Clock {
     public:
      std::uint64_t monotonic_ns() const override {
        const std::uint64_t read = clock.monotonic_ns();
        if (cache_clock != nullptr) {
          CacheClock& other = *std::exchange(cache_clock, nullptr);
          clock.advance_seconds(2);
          CHECK(other.tick() == kCacheTimeStart + 2);
        }
        return read;
      }
      std::int64_t wall_seconds() const override { return clock.wall_seconds(); }
      mutable testing::FakeClock clock;
      mutable CacheClock* cache_clock = nullptr;
    };
    Interrupted clock;
    CacheClock cache_clock(clock);
    clock.cache_clock = &cache_clock;
    CHECK(cache_clock.tick() == kCacheTimeStart + 2);
    CHECK(cache_clock.now() == kCacheTimeStart + 2);
  }

  TEST_CASE("escaped text is printable, bounded and unambiguous") {
    CHECK(escaped("plain key") == "plain key");
    CHECK(escaped(std::string_view("a\0\r\n\\\xff", 6)) == "a\\x00\\x0D\\x0A\\x5C\\xFF");
    CHECK(escaped(std::string(300, 'x'), 4) == "xxxx...");
  }

  TEST_CASE("the key hash depends on the seed and on every byte") {
    CHECK(hash_key("key", 1) == hash_key("key", 1));
    CHECK(hash_key("key", 1) != hash_key("key", 2));
    CHECK(hash_key(std::string_view("k\0a", 3), 1) != hash_key(std::string_view("k\0b", 3), 1));
  }
}
