// What the meta commands answer: a return code, the return flags in the order of the request, the marks.
// Sources: protocol specification sections 6.1, 6.3 to 6.8, 6.10.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocol/limits.h"
#include "protocol/meta.h"
#include "protocol/reply.h"

namespace ringcached::protocol {

// Seconds to live as `t` prints them.
inline constexpr std::int64_t kMetaNoTtl = -1;

// What return flags tell about an item, as it was before the command, but for its time to live: `t` tells
// that of the moment the flag is met, `ttl` at first, and the one a T or an N on its left has set.
struct MetaItem {
  std::uint64_t cas = 0;
  std::uint32_t client_flags = 0;
  std::uint32_t value_bytes = 0;
  std::uint32_t idle_seconds = 0;
  bool fetched = false;
  bool binary_key = false;  // decides how k is written
  bool created = false;     // by this command: its N is in force
  bool won = false, stale = false, token_sent = false;
  std::int64_t ttl = kMetaNoTtl;
  std::int64_t touched_ttl = kMetaNoTtl;   // T
  std::int64_t vivified_ttl = kMetaNoTtl;  // N
};

// Every return flag once, with the longest key in base64, its mark and the longest opaque.
inline constexpr std::size_t kMetaFlagsBytesMax = 3 * (2 + kU64DigitsMax) + 4 * (2 + kU32DigitsMax) + 3 + 2 +
                                                  base64_encoded_bytes(kKeyBytesMax) + 2 +
                                                  (1 + kOpaqueBytesMax) + 6;
// "VA <size><flags>\r\n".
inline constexpr std::size_t kMetaHeaderBytesMax = 3 + kU32DigitsMax + kMetaFlagsBytesMax + 2;
// "ME <key> exp=<n> la=<n> cas=<n> fetch=<yes|no> cls=<n> size=<n>\r\n".
inline constexpr std::size_t kMetaDebugBytesMax = 64 + base64_encoded_bytes(kKeyBytesMax) + 5 * kU64DigitsMax;

// The writers put their text at `out`, which has room for the maximum named above, and return the end of it.

// The line of an mg hit: "VA <size>" where the value follows, else "HD", with all it was asked for.
char* write_meta_hit(char* out, const MetaRequest& request, const MetaItem& item, bool with_value);
// The line of a changed item: `code` is HD and the return flags are those of `letters` ("kOcs" for ms).
char* write_meta_changed(char* out, std::string_view code, const MetaRequest& request, const MetaItem& item,
                         MetaLetters letters);
// `code` is one of EN, NF, NS, EX, HD; only k and O are echoed.
char* write_meta_echo(char* out, std::string_view code, const MetaRequest& request);

struct MetaDebug {
  std::int64_t ttl = kMetaNoTtl;
  std::uint32_t idle_seconds = 0;
  std::uint64_t cas = 0;
  bool fetched = false;
  unsigned slab_class = 0;
  std::size_t item_bytes = 0;
  bool binary_key = false;
};
char* write_meta_debug(char* out, std::string_view key, const MetaDebug& debug);

}  // namespace ringcached::protocol
