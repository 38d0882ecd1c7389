#include "protocol/reply.h"

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <random>
#include <string>

namespace ringcached::protocol {
namespace {

template <typename Write>
std::string written(Write write) {
  std::array<char, kValueHeaderCasBytesMax + 1> buffer;
  buffer.fill('#');
  const char* const end = write(buffer.data());
  const auto length = static_cast<std::size_t>(end - buffer.data());
  REQUIRE(length < buffer.size());
  CHECK(buffer[length] == '#');
  return {buffer.data(), length};
}

std::string number(std::uint64_t value) {
  return written([&](char* out) { return write_u64(out, value); });
}

}  // namespace

TEST_SUITE("protocol reply") {
  TEST_CASE("numbers at every power of ten and two") {
    CHECK(number(0) == "0");
    std::uint64_t power = 1;
    for (int i = 0; i < 20; ++i, power *= 10) {
      for (const std::uint64_t value : {power - 1, power, power + 1})
        CHECK(number(value) == std::to_string(value));
    }
    for (int shift = 0; shift < 64; ++shift) {
      const std::uint64_t value = std::uint64_t{1} << shift;
      for (const std::uint64_t near : {value - 1, value, value + 1})
        CHECK(number(near) == std::to_string(near));
    }
    CHECK(number(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
    CHECK(written([](char* out) { return write_u32(out, 4294967295); }) == "4294967295");
  }

  TEST_CASE("random numbers of every size") {
    std::mt19937_64 random(20260719);
    for (int i = 0; i < 100'000; ++i) {
      const std::uint64_t value = random() >> (random() % 64);
      if (number(value) != std::to_string(value)) FAIL(value);
    }
  }

  TEST_CASE("no text is written as nothing, also without an address") {
    CHECK(written([](char* out) { return write_text(out, {}); }).empty());
  }

  TEST_CASE("number line") {
    CHECK(written([](char* out) { return write_number_line(out, 12); }) == "12\r\n");
    const std::string longest = written([](char* out) { return write_number_line(out, ~std::uint64_t{0}); });
    CHECK(longest.size() == kNumberLineBytesMax);
  }

  TEST_CASE("value headers") {
    CHECK(written([](char* out) { return write_value_header(out, "k", 0, 5); }) == "VALUE k 0 5\r\n");
    CHECK(written([](char* out) { return write_value_header_cas(out, "key", 4294967295, 0, 7); }) ==
          "VALUE key 4294967295 0 7\r\n");
    // Any byte but space and LF can be in a key.
    const std::string binary_key("\0\xff\t\r", 4);
    CHECK(written([&](char* out) { return write_value_header(out, binary_key, 1, 2); }) ==
          "VALUE " + binary_key + " 1 2\r\n");
  }

  TEST_CASE("the longest headers have exactly the stated size") {
    const std::string key(kKeyBytesMax, 'k');
    const std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
    CHECK(written([&](char* out) { return write_value_header(out, key, most, most); }).size() ==
          kValueHeaderBytesMax);
    CHECK(written([&](char* out) {
            return write_value_header_cas(out, key, most, most, ~std::uint64_t{0});
          }).size() == kValueHeaderCasBytesMax);
  }

  TEST_CASE("stats lines") {
    std::string out;
    append_stat(out, "version", "1.6.45");
    append_stat(out, "pid", 0);
    append_stat(out, "bytes", 18446744073709551615ULL);
    CHECK(out == "STAT version 1.6.45\r\nSTAT pid 0\r\nSTAT bytes 18446744073709551615\r\n");
  }

  TEST_CASE("error lines carry the words clients look for") {
    CHECK(reply::kBadFormat == "CLIENT_ERROR bad command line format\r\n");
    CHECK(reply::kDeleteUsage == "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n");
    CHECK(reply::kTooLarge == "SERVER_ERROR object too large for cache\r\n");
    CHECK(reply::kNoMemoryStoring == "SERVER_ERROR out of memory storing object\r\n");
    CHECK(reply::kShutdownNotEnabled == "SERVER_ERROR: shutdown not enabled\r\n");
    CHECK(reply::kTooManyConnections == "ERROR Too many open connections\r\n");
  }
}

}  // namespace ringcached::protocol
