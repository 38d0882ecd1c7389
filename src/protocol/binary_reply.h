// The answers of the binary dialect (specification 8.2 to 8.5). The writers put bytes at `out` and return
// their end; each answers the request whose header it is given: opcode and opaque are repeated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/binary.h"

namespace ringcached::protocol {

inline constexpr std::size_t kBinaryFlagsBytes = 4;
inline constexpr std::size_t kBinaryTextBytesMax = 64;
// An answer without the value of an item: header, and a short text, a number, flags, or a key.
inline constexpr std::size_t kBinaryReplyBytesMax = kBinaryHeaderBytes + kKeyBytesMax;
// What precedes a value.
inline constexpr std::size_t kBinaryValueHeaderBytesMax =
    kBinaryHeaderBytes + kBinaryFlagsBytes + kKeyBytesMax;

// Out of memory has a text of its own for each case (specification 3.3).
inline constexpr std::string_view kBinaryNoMemoryStoring = "Out of memory allocating item";
inline constexpr std::string_view kBinaryNoMemoryDuringRead = "Out of memory during read";

// The text that goes with a status; empty for success.
std::string_view status_text(BinaryStatus status);

// No body.
char* write_binary_success(char* out, const BinaryHeader& request, std::uint64_t cas);
// The status with its text.
char* write_binary_error(char* out, const BinaryHeader& request, BinaryStatus status);
// The status with another text of at most kBinaryTextBytesMax bytes.
char* write_binary_text(char* out, const BinaryHeader& request, BinaryStatus status, std::string_view text);
// A miss that is answered with its key instead of the text.
char* write_binary_key_miss(char* out, const BinaryHeader& request, std::string_view key);
// Increment, decrement.
char* write_binary_number(char* out, const BinaryHeader& request, std::uint64_t number, std::uint64_t cas);
// Touch.
char* write_binary_flags(char* out, const BinaryHeader& request, std::uint32_t client_flags,
                         std::uint64_t cas);
// Everything of a hit but its value; `key` is empty where the answer carries none.
char* write_binary_value_header(char* out, const BinaryHeader& request, std::string_view key,
                                std::uint32_t client_flags, std::uint32_t value_bytes, std::uint64_t cas);

// Appends one packet of Stat; the last one has neither name nor value. Not for the hot path.
void append_binary_stat(std::string& out, const BinaryHeader& request, std::string_view name,
                        std::string_view value);

}  // namespace ringcached::protocol
