#include "protocol/number.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "protocol/limits.h"

namespace ringcached::protocol {
namespace {

template <typename T>
struct Row {
  std::string text;
  std::optional<T> value;
};

template <typename T, std::size_t N>
void check_rows(const Row<T> (&rows)[N], std::optional<T> (*parse)(std::string_view)) {
  for (const Row<T>& row : rows) {
    CAPTURE(row.text);
    CHECK((parse(row.text) == row.value));
  }
}

}  // namespace

TEST_SUITE("protocol number") {
  TEST_CASE("32 bit unsigned") {
    const Row<std::uint32_t> rows[] = {
        {"0", 0},
        {"00", 0},
        {"+0", 0},
        {"7", 7},
        {"+5", 5},
        {"0000000000000000000000005", 5},
        {"4294967295", 4294967295},
        {"4294967296", {}},
        {"99999999999999999999999", {}},
        {"", {}},
        {"+", {}},
        {"-", {}},
        {"-0", {}},
        {"-1", {}},
        {"+-1", {}},
        {"++1", {}},
        {"0x5", {}},
        {"1a", {}},
        {" 1", {}},
        {"1 ", {}},
        {"1\r", {}},
        {std::string("1\0", 2), {}},
        {"\t1", {}},
        {"1.0", {}},
        {"1e3", {}},
        {"\xb2", {}},
    };
    check_rows(rows, parse_u32);
  }

  TEST_CASE("64 bit unsigned") {
    const Row<std::uint64_t> rows[] = {
        {"0", 0},
        {"1", 1},
        {"18446744073709551615", 18446744073709551615ULL},
        {"0018446744073709551615", 18446744073709551615ULL},
        {"18446744073709551616", {}},
        {"99999999999999999999", {}},
        {"-1", {}},
        {"x", {}},
        {"", {}},
        {"5x", {}},
    };
    check_rows(rows, parse_u64);
  }

  TEST_CASE("32 bit signed") {
    const Row<std::int32_t> rows[] = {
        {"0", 0},
        {"-0", 0},
        {"-1", -1},
        {"+5", 5},
        {"2592000", 2592000},
        {"2147483647", 2147483647},
        {"2147483648", {}},
        {"-2147483648", -2147483647 - 1},
        {"-2147483649", {}},
        {"9223372036854775808", {}},
        {"+-1", {}},
        {"-+1", {}},
        {"--1", {}},
        {"-", {}},
        {"+", {}},
        {"", {}},
        {"noreply", {}},
    };
    check_rows(rows, parse_i32);
  }

  TEST_CASE("length of a data block") {
    const Row<std::uint32_t> rows[] = {
        {"0", 0},
        {"-0", 0},
        {"1", 1},
        {"007", 7},
        {"00000000001", 1},
        {"000000000001", {}},
        {"2147483645", 2147483645},
        {"2147483646", {}},
        {"2147483647", {}},
        {"2147483648", {}},
        {"4294967297", {}},
        {"99999999999", {}},
        {"18446744073709551616", {}},
        {"-1", {}},
        {"+1", {}},
        {"", {}},
        {"-", {}},
        {"x", {}},
        {"1x", {}},
        {"0x10", {}},
        {"noreply", {}},
    };
    check_rows(rows, parse_value_length);
    CHECK(parse_value_length(std::to_string(kValueBytesMax)) == kValueBytesMax);
    CHECK_FALSE(parse_value_length(std::to_string(kValueBytesMax + 1)));
  }

  TEST_CASE("zero") {
    for (const char* text : {"0", "-0", "+00", "000000000000000000000000000"}) {
      CAPTURE(text);
      CHECK(is_zero(text));
    }
    for (const char* text : {"", "x", "0x", "5", "-5", "10", "01", "noreply", "-", "+"}) {
      CAPTURE(text);
      CHECK_FALSE(is_zero(text));
    }
  }
}

}  // namespace ringcached::protocol
