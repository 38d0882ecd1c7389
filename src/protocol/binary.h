// The binary dialect: one validator for the header of every opcode (specification 8.1 to 8.3). Like the text
// parser it sees bytes only; the value of a storage request is not part of the request and follows it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocol/limits.h"

namespace ringcached::protocol {

inline constexpr std::size_t kBinaryHeaderBytes = 24;
inline constexpr std::uint32_t kBinaryBodyBytesMax = std::uint32_t{1} << 30;
inline constexpr std::size_t kBinaryExtrasBytesMax = 20;
inline constexpr std::size_t kSaslMechanismBytesMax = 32;

enum class BinaryStatus : std::uint16_t {
  kOk = 0x00,
  kKeyNotFound = 0x01,
  kKeyExists = 0x02,
  kTooLarge = 0x03,
  kInvalidArguments = 0x04,
  kNotStored = 0x05,
  kNonNumeric = 0x06,
  kAuthError = 0x20,
  kAuthContinue = 0x21,
  kUnknownCommand = 0x81,
  kOutOfMemory = 0x82,
};

// What is asked for, without the quiet bit, which is BinaryRequest::quiet.
enum class BinaryCommand : std::uint8_t {
  // about one item
  kGet,
  kGetKey,
  kSet,
  kAdd,
  kReplace,
  kAppend,
  kPrepend,
  kDelete,
  kIncrement,
  kDecrement,
  kTouch,
  kGetAndTouch,
  kGetKeyAndTouch,
  // about the connection or the server
  kFlush,
  kQuit,
  kNoop,
  kVersion,
  kStat,
  kSaslList,
  kSaslAuth,
  kSaslStep,
};

inline constexpr bool is_item_command(BinaryCommand command) {
  return command <= BinaryCommand::kGetKeyAndTouch;
}
inline constexpr bool is_binary_storage(BinaryCommand command) {
  return command >= BinaryCommand::kSet && command <= BinaryCommand::kPrepend;
}

// The header in host byte order.
struct BinaryHeader {
  std::uint8_t opcode = 0;  // as sent: the answer repeats it
  std::uint8_t extras_bytes = 0;
  std::uint16_t key_bytes = 0;
  std::uint32_t body_bytes = 0;
  std::uint32_t opaque = 0;
  std::uint64_t cas = 0;
};

// The key points into the parsed input and lives as long as it does.
struct BinaryRequest {
  BinaryHeader header;
  BinaryCommand command = BinaryCommand::kNoop;
  bool quiet = false;
  std::string_view key;           // SASL: the mechanism
  std::uint32_t value_bytes = 0;  // still to come behind the consumed bytes
  std::uint32_t client_flags = 0;
  std::uint32_t exptime = 0;  // also the time of flush; 0 when not sent
  std::uint64_t delta = 0;
  std::uint64_t initial = 0;
};

struct BinaryResult {
  enum class Kind : std::uint8_t {
    kNeedMore,  // header, extras and key are not complete; nothing consumed
    kRequest,   // `request` is filled; value_bytes of data follow the consumed bytes
    kError,  // answer `status` with request.header's opcode and opaque, then drop `swallow` bytes and go on
    kFatal,  // likewise, then close
    kClose,  // close without an answer: no binary request
  };
  Kind kind = Kind::kNeedMore;
  std::size_t consumed = 0;
  std::uint32_t swallow = 0;
  BinaryStatus status = BinaryStatus::kOk;
};

// Without authentication only the SASL opcodes and Version are served.
enum class BinaryAccess : std::uint8_t { kAll, kUnauthenticated };

// Parses one request from the front of `input`. Of `request` only the header is valid after kError and
// kFatal. Never asks for more than kBinaryHeaderBytes + kBinaryExtrasBytesMax + kKeyBytesMax bytes.
BinaryResult parse_binary(std::string_view input, BinaryAccess access, BinaryRequest& request);

// Writes the header of an answer, kBinaryHeaderBytes at `out`, and returns its end. Of `header` it uses
// opcode, extras_bytes, key_bytes, body_bytes, opaque and cas.
char* write_binary_header(char* out, const BinaryHeader& header, BinaryStatus status);

}  // namespace ringcached::protocol
