#include "protocol/binary.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace ringcached::protocol {
namespace {

using Kind = BinaryResult::Kind;

struct Packet {
  unsigned opcode = 0;
  std::size_t extras = 0, key = 0;
  std::uint64_t body = 0;  // total, as announced

  std::string bytes() const {
    std::string text(kBinaryHeaderBytes, '\0');
    text[0] = static_cast<char>(0x80);
    text[1] = static_cast<char>(opcode);
    text[2] = static_cast<char>(key >> 8);
    text[3] = static_cast<char>(key);
    text[4] = static_cast<char>(extras);
    for (int i = 0; i < 4; ++i)
      text[8 + static_cast<std::size_t>(i)] = static_cast<char>(body >> (24 - 8 * i));
    for (std::size_t i = 12; i < 24; ++i) text[i] = static_cast<char>(i);
    return text;
  }
  // With as much of the body as `bytes`.
  std::string with_body(std::size_t size) const {
    std::string text = bytes();
    for (std::size_t i = 0; i < size; ++i) text += i < extras ? static_cast<char>(i + 1) : 'k';
    return text;
  }
};

struct Parsed {
  BinaryResult result;
  BinaryRequest request;
};

// From a heap block of exactly the input's size, so that the address sanitizer sees a read too far. The
// request's key is not valid afterwards.
Parsed parse(std::string_view input, BinaryAccess access = BinaryAccess::kAll) {
  const auto block = std::make_unique<char[]>(input.size());
  std::copy(input.begin(), input.end(), block.get());
  Parsed parsed;
  parsed.result = parse_binary({block.get(), input.size()}, access, parsed.request);
  return parsed;
}

void check_fatal(const Packet& packet, BinaryStatus status, BinaryAccess access = BinaryAccess::kAll) {
  CAPTURE(packet.opcode);
  CAPTURE(packet.extras);
  CAPTURE(packet.key);
  CAPTURE(packet.body);
  const Parsed parsed = parse(packet.bytes(), access);
  CHECK(parsed.result.kind == Kind::kFatal);
  CHECK(parsed.result.status == status);
  CHECK(parsed.request.header.opcode == packet.opcode);
  CHECK(parsed.request.header.opaque == 0x0c0d0e0f);
}

struct OpcodeRow {
  unsigned opcode;
  BinaryCommand command;
  bool quiet;
  std::size_t extras, key;
  bool takes_value;
};

const std::vector<OpcodeRow>& opcodes() {
  using C = BinaryCommand;
  static const std::vector<OpcodeRow> rows = {
      {0x00, C::kGet, false, 0, 1, false},
      {0x09, C::kGet, true, 0, 1, false},
      {0x0c, C::kGetKey, false, 0, 1, false},
      {0x0d, C::kGetKey, true, 0, 1, false},
      {0x01, C::kSet, false, 8, 1, true},
      {0x11, C::kSet, true, 8, 1, true},
      {0x02, C::kAdd, false, 8, 1, true},
      {0x12, C::kAdd, true, 8, 1, true},
      {0x03, C::kReplace, false, 8, 1, true},
      {0x13, C::kReplace, true, 8, 1, true},
      {0x04, C::kDelete, false, 0, 1, false},
      {0x14, C::kDelete, true, 0, 1, false},
      {0x05, C::kIncrement, false, 20, 1, false},
      {0x15, C::kIncrement, true, 20, 1, false},
      {0x06, C::kDecrement, false, 20, 1, false},
      {0x16, C::kDecrement, true, 20, 1, false},
      {0x07, C::kQuit, false, 0, 0, false},
      {0x17, C::kQuit, true, 0, 0, false},
      {0x08, C::kFlush, false, 0, 0, false},
      {0x18, C::kFlush, true, 0, 0, false},
      {0x08, C::kFlush, false, 4, 0, false},
      {0x18, C::kFlush, true, 4, 0, false},
      {0x0a, C::kNoop, false, 0, 0, false},
      {0x0b, C::kVersion, false, 0, 0, false},
      {0x0e, C::kAppend, false, 0, 1, true},
      {0x19, C::kAppend, true, 0, 1, true},
      {0x0f, C::kPrepend, false, 0, 1, true},
      {0x1a, C::kPrepend, true, 0, 1, true},
      {0x10, C::kStat, false, 0, 0, false},
      {0x10, C::kStat, false, 0, 8, false},
      {0x1c, C::kTouch, false, 4, 1, false},
      {0x1d, C::kGetAndTouch, false, 4, 1, false},
      {0x1e, C::kGetAndTouch, true, 4, 1, false},
      {0x23, C::kGetKeyAndTouch, false, 4, 1, false},
      {0x24, C::kGetKeyAndTouch, true, 4, 1, false},
      {0x20, C::kSaslList, false, 0, 0, false},
      {0x21, C::kSaslAuth, false, 0, 5, true},
      {0x22, C::kSaslStep, false, 0, 5, true},
  };
  return rows;
}

}  // namespace

TEST_SUITE("protocol binary") {
  TEST_CASE("every opcode, from every number of bytes") {
    for (const OpcodeRow& row : opcodes()) {
      CAPTURE(row.opcode);
      const std::size_t value = row.takes_value ? 3 : 0;
      const Packet packet{row.opcode, row.extras, row.key, row.extras + row.key + value};
      const std::string input = packet.with_body(row.extras + row.key + value);
      const std::size_t fixed = kBinaryHeaderBytes + row.extras + row.key;
      for (std::size_t bytes = 0; bytes <= input.size(); ++bytes) {
        const Parsed parsed = parse(std::string_view(input).substr(0, bytes));
        CHECK(parsed.result.kind == (bytes < fixed ? Kind::kNeedMore : Kind::kRequest));
        CHECK(parsed.result.consumed == (bytes < fixed ? 0 : fixed));
      }
      const Parsed parsed = parse(input);
      CHECK(parsed.request.command == row.command);
      CHECK(parsed.request.quiet == row.quiet);
      CHECK(parsed.request.value_bytes == value);
      CHECK(parsed.request.key.size() == row.key);
      CHECK(parsed.request.header.opcode == row.opcode);
      CHECK(parsed.request.header.cas == 0x1011121314151617);
    }
  }

  TEST_CASE("extras are big-endian") {
    BinaryRequest request;
    const std::string set = Packet{0x01, 8, 3, 13}.with_body(13);
    CHECK(parse_binary(set, BinaryAccess::kAll, request).kind == Kind::kRequest);
    CHECK(request.client_flags == 0x01020304);
    CHECK(request.exptime == 0x05060708);
    CHECK(request.key == "kkk");
    CHECK(request.value_bytes == 2);
    const std::string increment = Packet{0x05, 20, 1, 21}.with_body(21);
    CHECK(parse_binary(increment, BinaryAccess::kAll, request).kind == Kind::kRequest);
    CHECK(request.delta == 0x0102030405060708);
    CHECK(request.initial == 0x090a0b0c0d0e0f10);
    CHECK(request.exptime == 0x11121314);
    CHECK(request.client_flags == 0);
    const std::string touch = Packet{0x1c, 4, 1, 5}.with_body(5);
    CHECK(parse_binary(touch, BinaryAccess::kAll, request).kind == Kind::kRequest);
    CHECK(request.exptime == 0x01020304);
    CHECK(request.delta == 0);
  }

  TEST_CASE("wrong shapes") {
    for (const OpcodeRow& row : opcodes()) {
      if (!row.takes_value) {
        check_fatal({row.opcode, row.extras, row.key, row.extras + row.key + 1},
                    BinaryStatus::kInvalidArguments);
      }
      for (const std::size_t extras : {1U, 3U, 7U, 9U, 19U, 21U, 0x30U, 0xffU}) {
        check_fatal({row.opcode, extras, row.key, 1000}, BinaryStatus::kInvalidArguments);
      }
      if (row.opcode == 0x10) continue;
      const std::size_t wrong_key = row.key == 0 ? 1 : 0;
      check_fatal({row.opcode, row.extras, wrong_key, row.extras + wrong_key},
                  BinaryStatus::kInvalidArguments);
    }
    // The mechanism of SASL has a limit of its own.
    CHECK(parse(Packet{0x21, 0, 32, 32}.with_body(32)).result.kind == Kind::kRequest);
    check_fatal({0x21, 0, 33, 33}, BinaryStatus::kInvalidArguments);
    check_fatal({0x22, 0, 33, 40}, BinaryStatus::kInvalidArguments);
  }

  TEST_CASE("lengths that contradict each other") {
    for (const unsigned opcode : {0x01U, 0x02U, 0x11U, 0x0eU, 0x19U, 0x1aU, 0x21U, 0x22U, 0x00U, 0x99U}) {
      check_fatal({opcode, 8, 10, 17}, BinaryStatus::kUnknownCommand);
      check_fatal({opcode, 0, 10, 9}, BinaryStatus::kUnknownCommand);
      check_fatal({opcode, 255, 65535, 65535}, BinaryStatus::kUnknownCommand);
      check_fatal({opcode, 1, 0, 0}, BinaryStatus::kUnknownCommand);
      check_fatal({opcode, 8, 10, 0xffffffe8}, BinaryStatus::kInvalidArguments);
      check_fatal({opcode, 8, 10, kBinaryBodyBytesMax + std::uint64_t{1}}, BinaryStatus::kInvalidArguments);
    }
    // A set of body = key + extras - 1, +0, +1.
    check_fatal({0x01, 8, 1, 8}, BinaryStatus::kUnknownCommand);
    CHECK(parse(Packet{0x01, 8, 1, 9}.with_body(9)).request.value_bytes == 0);
    CHECK(parse(Packet{0x01, 8, 1, 10}.with_body(9)).request.value_bytes == 1);
    CHECK(parse(Packet{0x01, 8, 1, kBinaryBodyBytesMax}.with_body(9)).request.value_bytes ==
          kBinaryBodyBytesMax - 9);
  }

  TEST_CASE("keys of 250 and 251 bytes") {
    CHECK(parse(Packet{0x00, 0, 250, 250}.with_body(250)).result.kind == Kind::kRequest);
    check_fatal({0x00, 0, 251, 251}, BinaryStatus::kInvalidArguments);
    check_fatal({0x10, 0, 251, 251}, BinaryStatus::kInvalidArguments);
    check_fatal({0x01, 8, 65535, 65543}, BinaryStatus::kInvalidArguments);
  }

  TEST_CASE("an unknown opcode skips its body once") {
    std::size_t unknown = 0;
    for (unsigned opcode = 0; opcode < 256; ++opcode) {
      bool known = false;
      for (const OpcodeRow& row : opcodes()) known |= row.opcode == opcode;
      if (known) continue;
      ++unknown;
      const Parsed parsed = parse(Packet{opcode, 2, 3, 10}.bytes());
      CHECK(parsed.result.kind == Kind::kError);
      CHECK(parsed.result.status == BinaryStatus::kUnknownCommand);
      CHECK(parsed.result.consumed == kBinaryHeaderBytes);
      CHECK(parsed.result.swallow == 10);
    }
    CHECK(unknown == 256 - 35);
  }

  TEST_CASE("without authentication only SASL and Version are served") {
    for (const OpcodeRow& row : opcodes()) {
      CAPTURE(row.opcode);
      const Packet packet{row.opcode, row.extras, row.key, row.extras + row.key};
      const bool open = row.opcode == 0x0b || (row.opcode >= 0x20 && row.opcode <= 0x22);
      if (open) {
        const std::string input = packet.with_body(row.extras + row.key);
        CHECK(parse(input, BinaryAccess::kUnauthenticated).result.kind == Kind::kRequest);
      } else {
        check_fatal(packet, BinaryStatus::kAuthError, BinaryAccess::kUnauthenticated);
      }
    }
    check_fatal({0x99, 0, 0, 0}, BinaryStatus::kAuthError, BinaryAccess::kUnauthenticated);
    check_fatal({0x00, 0, 251, 251}, BinaryStatus::kAuthError, BinaryAccess::kUnauthenticated);
    check_fatal({0x00, 0, 2, 1}, BinaryStatus::kUnknownCommand, BinaryAccess::kUnauthenticated);
  }

  TEST_CASE("another first byte closes at once") {
    for (const char* input : {"get a\r\n", "\x81", "\x7f", "g"})
      CHECK(parse(input).result.kind == Kind::kClose);
    CHECK(parse(std::string(24, '\0')).result.kind == Kind::kClose);
    CHECK(parse("\x80").result.kind == Kind::kNeedMore);
    CHECK(parse("").result.kind == Kind::kNeedMore);
  }

  TEST_CASE("random headers keep the limits") {
    std::mt19937_64 random(0x80);
    for (int i = 0; i < 200'000; ++i) {
      std::string input(random() % 400, '\0');
      for (char& byte : input) byte = static_cast<char>(random() % 4 == 0 ? random() : 0);
      if (!input.empty()) input[0] = static_cast<char>(0x80);
      BinaryRequest request;
      const BinaryResult result = parse_binary(input, BinaryAccess::kAll, request);
      bool good = result.consumed <= input.size();
      if (result.kind == Kind::kNeedMore) {
        good &= input.size() < kBinaryHeaderBytes + kBinaryExtrasBytesMax + kKeyBytesMax;
      }
      if (result.kind == Kind::kRequest) {
        good &= request.key.size() <= kKeyBytesMax && request.value_bytes <= kBinaryBodyBytesMax;
        good &= result.consumed + request.value_bytes == kBinaryHeaderBytes + request.header.body_bytes;
      }
      if (!good) FAIL("header " << i << " breaks a limit");
    }
  }

  TEST_CASE("headers of answers") {
    std::string out(kBinaryHeaderBytes + 1, '#');
    const BinaryHeader header{.opcode = 0x0d,
                              .extras_bytes = 4,
                              .key_bytes = 0x0102,
                              .body_bytes = 0x03040506,
                              .opaque = 0x0708090a,
                              .cas = 0x1112131415161718};
    CHECK(write_binary_header(out.data(), header, BinaryStatus::kUnknownCommand) ==
          out.data() + kBinaryHeaderBytes);
    CHECK(out == std::string("\x81\x0d\x01\x02\x04\x00\x00\x81\x03\x04\x05\x06\x07\x08\x09\x0a"
                             "\x11\x12\x13\x14\x15\x16\x17\x18#",
                             25));
  }
}

}  // namespace ringcached::protocol
