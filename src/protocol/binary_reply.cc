#include "protocol/binary_reply.h"

#include <cstring>

#include "protocol/big_endian.h"

namespace ringcached::protocol {
namespace {

char* write_bytes(char* out, std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

}  // namespace

std::string_view status_text(BinaryStatus status) {
  switch (status) {
    case BinaryStatus::kOk:
    case BinaryStatus::kAuthContinue:
      return {};
    case BinaryStatus::kKeyNotFound:
      return "Not found";
    case BinaryStatus::kKeyExists:
      return "Data exists for key.";
    case BinaryStatus::kTooLarge:
      return "Too large.";
    case BinaryStatus::kInvalidArguments:
      return "Invalid arguments";
    case BinaryStatus::kNotStored:
      return "Not stored.";
    case BinaryStatus::kNonNumeric:
      return "Non-numeric server-side value for incr or decr";
    case BinaryStatus::kAuthError:
      return "Auth failure.";
    case BinaryStatus::kUnknownCommand:
      return "Unknown command";
    case BinaryStatus::kOutOfMemory:
      return "Out of memory";
  }
  return {};
}

char* write_binary_success(char* out, const BinaryHeader& request, std::uint64_t cas) {
  return write_binary_header(out, {.opcode = request.opcode, .opaque = request.opaque, .cas = cas},
                             BinaryStatus::kOk);
}

char* write_binary_error(char* out, const BinaryHeader& request, BinaryStatus status) {
  return write_binary_text(out, request, status, status_text(status));
}

char* write_binary_text(char* out, const BinaryHeader& request, BinaryStatus status, std::string_view text) {
  const BinaryHeader header{.opcode = request.opcode,
                            .body_bytes = static_cast<std::uint32_t>(text.size()),
                            .opaque = request.opaque};
  return write_bytes(write_binary_header(out, header, status), text);
}

char* write_binary_key_miss(char* out, const BinaryHeader& request, std::string_view key) {
  const BinaryHeader header{.opcode = request.opcode,
                            .key_bytes = static_cast<std::uint16_t>(key.size()),
                            .body_bytes = static_cast<std::uint32_t>(key.size()),
                            .opaque = request.opaque};
  return write_bytes(write_binary_header(out, header, BinaryStatus::kKeyNotFound), key);
}

char* write_binary_number(char* out, const BinaryHeader& request, std::uint64_t number, std::uint64_t cas) {
  const BinaryHeader header{
      .opcode = request.opcode, .body_bytes = sizeof number, .opaque = request.opaque, .cas = cas};
  return store_big_endian(write_binary_header(out, header, BinaryStatus::kOk), number);
}

char* write_binary_flags(char* out, const BinaryHeader& request, std::uint32_t client_flags,
                         std::uint64_t cas) {
  return write_binary_value_header(out, request, {}, client_flags, 0, cas);
}

char* write_binary_value_header(char* out, const BinaryHeader& request, std::string_view key,
                                std::uint32_t client_flags, std::uint32_t value_bytes, std::uint64_t cas) {
  const auto key_bytes = static_cast<std::uint16_t>(key.size());
  const BinaryHeader header{
      .opcode = request.opcode,
      .extras_bytes = kBinaryFlagsBytes,
      .key_bytes = key_bytes,
      .body_bytes = static_cast<std::uint32_t>(kBinaryFlagsBytes) + key_bytes + value_bytes,
      .opaque = request.opaque,
      .cas = cas};
  out = store_big_endian(write_binary_header(out, header, BinaryStatus::kOk), client_flags);
  return write_bytes(out, key);
}

void append_binary_stat(std::string& out, const BinaryHeader& request, std::string_view name,
                        std::string_view value) {
  char packet[kBinaryHeaderBytes];
  const BinaryHeader header{.opcode = request.opcode,
                            .key_bytes = static_cast<std::uint16_t>(name.size()),
                            .body_bytes = static_cast<std::uint32_t>(name.size() + value.size()),
                            .opaque = request.opaque};
  write_binary_header(packet, header, BinaryStatus::kOk);
  out.append(packet, sizeof packet).append(name).append(value);
}

}  // namespace ringcached::protocol
