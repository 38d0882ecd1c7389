#include "protocol/binary.h"

#include <array>

#include "protocol/big_endian.h"
#include "protocol/parser.h"

namespace ringcached::protocol {
namespace {

constexpr char kResponseMagic = static_cast<char>(0x81);

BinaryHeader read_header(const char* from) {
  return {.opcode = static_cast<std::uint8_t>(from[1]),
          .extras_bytes = static_cast<std::uint8_t>(from[4]),
          .key_bytes = load_big_endian<std::uint16_t>(from + 2),
          .body_bytes = load_big_endian<std::uint32_t>(from + 8),
          .opaque = load_big_endian<std::uint32_t>(from + 12),
          .cas = load_big_endian<std::uint64_t>(from + 16)};
}

// The table of section 8.3.
enum class KeyRule : std::uint8_t { kNone, kRequired, kOptional };

struct Shape {
  std::uint8_t opcode;
  BinaryCommand command;
  bool quiet;
  std::uint8_t extras_bytes;
  KeyRule key;
  bool takes_value;
  bool extras_optional = false;
};

constexpr Shape kShapes[] = {
    {0x00, BinaryCommand::kGet, false, 0, KeyRule::kRequired, false},
    {0x09, BinaryCommand::kGet, true, 0, KeyRule::kRequired, false},
    {0x0c, BinaryCommand::kGetKey, false, 0, KeyRule::kRequired, false},
    {0x0d, BinaryCommand::kGetKey, true, 0, KeyRule::kRequired, false},
    {0x01, BinaryCommand::kSet, false, 8, KeyRule::kRequired, true},
    {0x11, BinaryCommand::kSet, true, 8, KeyRule::kRequired, true},
    {0x02, BinaryCommand::kAdd, false, 8, KeyRule::kRequired, true},
    {0x12, BinaryCommand::kAdd, true, 8, KeyRule::kRequired, true},
    {0x03, BinaryCommand::kReplace, false, 8, KeyRule::kRequired, true},
    {0x13, BinaryCommand::kReplace, true, 8, KeyRule::kRequired, true},
    {0x04, BinaryCommand::kDelete, false, 0, KeyRule::kRequired, false},
    {0x14, BinaryCommand::kDelete, true, 0, KeyRule::kRequired, false},
    {0x05, BinaryCommand::kIncrement, false, 20, KeyRule::kRequired, false},
    {0x15, BinaryCommand::kIncrement, true, 20, KeyRule::kRequired, false},
    {0x06, BinaryCommand::kDecrement, false, 20, KeyRule::kRequired, false},
    {0x16, BinaryCommand::kDecrement, true, 20, KeyRule::kRequired, false},
    {0x07, BinaryCommand::kQuit, false, 0, KeyRule::kNone, false},
    {0x17, BinaryCommand::kQuit, true, 0, KeyRule::kNone, false},
    {0x08, BinaryCommand::kFlush, false, 4, KeyRule::kNone, false, true},
    {0x18, BinaryCommand::kFlush, true, 4, KeyRule::kNone, false, true},
    {0x0a, BinaryCommand::kNoop, false, 0, KeyRule::kNone, false},
    {0x0b, BinaryCommand::kVersion, false, 0, KeyRule::kNone, false},
    {0x0e, BinaryCommand::kAppend, false, 0, KeyRule::kRequired, true},
    {0x19, BinaryCommand::kAppend, true, 0, KeyRule::kRequired, true},
    {0x0f, BinaryCommand::kPrepend, false, 0, KeyRule::kRequired, true},
    {0x1a, BinaryCommand::kPrepend, true, 0, KeyRule::kRequired, true},
    {0x10, BinaryCommand::kStat, false, 0, KeyRule::kOptional, false},
    {0x1c, BinaryCommand::kTouch, false, 4, KeyRule::kRequired, false},
    {0x1d, BinaryCommand::kGetAndTouch, false, 4, KeyRule::kRequired, false},
    {0x1e, BinaryCommand::kGetAndTouch, true, 4, KeyRule::kRequired, false},
    {0x23, BinaryCommand::kGetKeyAndTouch, false, 4, KeyRule::kRequired, false},
    {0x24, BinaryCommand::kGetKeyAndTouch, true, 4, KeyRule::kRequired, false},
    {0x20, BinaryCommand::kSaslList, false, 0, KeyRule::kNone, false},
    {0x21, BinaryCommand::kSaslAuth, false, 0, KeyRule::kRequired, true},
    {0x22, BinaryCommand::kSaslStep, false, 0, KeyRule::kRequired, true},
};

constexpr std::uint8_t kNoShape = 0xff;
constexpr std::array<std::uint8_t, 256> kShapeOf = [] {
  std::array<std::uint8_t, 256> index{};
  index.fill(kNoShape);
  std::uint8_t at = 0;
  for (const Shape& shape : kShapes) index[shape.opcode] = at++;
  return index;
}();

const Shape* find_shape(std::uint8_t opcode) {
  return kShapeOf[opcode] == kNoShape ? nullptr : &kShapes[kShapeOf[opcode]];
}

bool is_sasl(BinaryCommand command) {
  return command >= BinaryCommand::kSaslList;
}

bool fits(const Shape& shape, const BinaryHeader& header) {
  const bool extras_fit =
      header.extras_bytes == shape.extras_bytes || (shape.extras_optional && header.extras_bytes == 0);
  const bool key_fits =
      shape.key == KeyRule::kOptional || (shape.key == KeyRule::kRequired) == (header.key_bytes > 0);
  const bool has_value = header.body_bytes > std::uint32_t{header.extras_bytes} + header.key_bytes;
  const bool mechanism_fits = !is_sasl(shape.command) || header.key_bytes <= kSaslMechanismBytesMax;
  return extras_fit && key_fits && mechanism_fits && (shape.takes_value || !has_value);
}

bool needs_authentication(const Shape* shape) {
  return shape == nullptr || !(is_sasl(shape->command) || shape->command == BinaryCommand::kVersion);
}

BinaryResult fatal(BinaryStatus status) {
  return {.kind = BinaryResult::Kind::kFatal, .consumed = kBinaryHeaderBytes, .status = status};
}

// The conditions of section 8.2 in their order. Lengths are compared as unsigned sums before anything is
// subtracted. kRequest when all are met.
BinaryResult check_header(const BinaryHeader& header, const Shape* shape, BinaryAccess access) {
  if (std::uint32_t{header.key_bytes} + header.extras_bytes > header.body_bytes) {
    return fatal(BinaryStatus::kUnknownCommand);
  }
  if (header.body_bytes > kBinaryBodyBytesMax) return fatal(BinaryStatus::kInvalidArguments);
  if (access == BinaryAccess::kUnauthenticated && needs_authentication(shape)) {
    return fatal(BinaryStatus::kAuthError);
  }
  if (header.key_bytes > kKeyBytesMax) return fatal(BinaryStatus::kInvalidArguments);
  if (shape == nullptr) {
    return {.kind = BinaryResult::Kind::kError,
            .consumed = kBinaryHeaderBytes,
            .swallow = header.body_bytes,
            .status = BinaryStatus::kUnknownCommand};
  }
  if (!fits(*shape, header)) return fatal(BinaryStatus::kInvalidArguments);
  return {.kind = BinaryResult::Kind::kRequest};
}

// `extras` has header.extras_bytes bytes, the number its command takes.
void read_extras(const char* extras, BinaryRequest& request) {
  switch (request.header.extras_bytes) {
    case 4:
      request.exptime = load_big_endian<std::uint32_t>(extras);
      break;
    case 8:
      request.client_flags = load_big_endian<std::uint32_t>(extras);
      request.exptime = load_big_endian<std::uint32_t>(extras + 4);
      break;
    case 20:
      request.delta = load_big_endian<std::uint64_t>(extras);
      request.initial = load_big_endian<std::uint64_t>(extras + 8);
      request.exptime = load_big_endian<std::uint32_t>(extras + 16);
      break;
    default:
      break;
  }
}

}  // namespace

BinaryResult parse_binary(std::string_view input, BinaryAccess access, BinaryRequest& request) {
  if (input.empty()) return {};
  if (static_cast<unsigned char>(input.front()) != kBinaryRequestMagic) {
    return {.kind = BinaryResult::Kind::kClose};
  }
  if (input.size() < kBinaryHeaderBytes) return {};
  request = BinaryRequest{.header = read_header(input.data())};
  const BinaryHeader& header = request.header;
  const Shape* const shape = find_shape(header.opcode);
  BinaryResult result = check_header(header, shape, access);
  if (result.kind != BinaryResult::Kind::kRequest) return result;

  const std::uint32_t fixed_bytes = std::uint32_t{header.extras_bytes} + header.key_bytes;
  if (input.size() < kBinaryHeaderBytes + fixed_bytes) return {};
  result.consumed = kBinaryHeaderBytes + fixed_bytes;
  request.command = shape->command;
  request.quiet = shape->quiet;
  request.key = input.substr(kBinaryHeaderBytes + header.extras_bytes, header.key_bytes);
  request.value_bytes = header.body_bytes - fixed_bytes;
  read_extras(input.data() + kBinaryHeaderBytes, request);
  return result;
}

char* write_binary_header(char* out, const BinaryHeader& header, BinaryStatus status) {
  *out++ = kResponseMagic;
  *out++ = static_cast<char>(header.opcode);
  out = store_big_endian(out, header.key_bytes);
  *out++ = static_cast<char>(header.extras_bytes);
  *out++ = 0;
  out = store_big_endian(out, static_cast<std::uint16_t>(status));
  out = store_big_endian(out, header.body_bytes);
  out = store_big_endian(out, header.opaque);
  return store_big_endian(out, header.cas);
}

}  // namespace ringcached::protocol
