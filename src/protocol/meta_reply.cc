#include "protocol/meta_reply.h"

namespace ringcached::protocol {
namespace {

constexpr MetaLetters kHitLetters("ktcfshlO");
constexpr MetaLetters kEchoLetters("kO");

char* write_number_flag(char* out, char letter, std::uint64_t value) {
  out[0] = ' ';
  out[1] = letter;
  return write_u64(out + 2, value);
}

char* write_signed(char* out, std::int64_t value) {
  if (value < 0) return write_text(out, "-1");
  return write_u64(out, static_cast<std::uint64_t>(value));
}

char* write_key(char* out, std::string_view key, bool binary) {
  return binary ? encode_base64(key, out) : write_text(out, key);
}

char* write_key_flag(char* out, std::string_view key, bool binary) {
  out = write_key(write_text(out, " k"), key, binary);
  return binary ? write_text(out, " b") : out;
}

char* write_opaque(char* out, const MetaRequest& request) {
  *out++ = ' ';
  return write_text(out, request.opaque);
}

// Walks the flags from left to right, as their effects do; writes those of `letters`.
char* write_flags(char* out, const MetaRequest& request, const MetaItem& item, MetaLetters letters) {
  std::int64_t ttl = item.ttl;
  for (const char letter : request.order()) {
    if (letter == 'T') ttl = item.touched_ttl;
    if (letter == 'N' && item.created) ttl = item.vivified_ttl;
    if (!letters.has(letter)) continue;
    switch (letter) {
      case 'k':
        out = write_key_flag(out, request.key(), item.binary_key);
        break;
      case 'O':
        out = write_opaque(out, request);
        break;
      case 't':
        out = write_signed(write_text(out, " t"), ttl);
        break;
      case 'c':
        out = write_number_flag(out, 'c', item.cas);
        break;
      case 'f':
        out = write_number_flag(out, 'f', item.client_flags);
        break;
      case 's':
        out = write_number_flag(out, 's', item.value_bytes);
        break;
      case 'h':
        out = write_number_flag(out, 'h', item.fetched ? 1 : 0);
        break;
      case 'l':
        out = write_number_flag(out, 'l', item.idle_seconds);
        break;
      default:
        break;
    }
  }
  return out;
}

}  // namespace

[[gnu::noinline]] char* write_meta_hit(char* out, const MetaRequest& request, const MetaItem& item,
                                       bool with_value) {
  out = with_value ? write_u32(write_text(out, reply::kMetaValuePrefix), item.value_bytes)
                   : write_text(out, reply::kMetaHit);
  out = write_flags(out, request, item, kHitLetters);
  if (item.token_sent) out = write_text(out, " Z");
  if (item.stale) out = write_text(out, " X");
  if (item.won) out = write_text(out, " W");
  return write_text(out, reply::kCrlf);
}

char* write_meta_changed(char* out, std::string_view code, const MetaRequest& request, const MetaItem& item,
                         MetaLetters letters) {
  out = write_flags(write_text(out, code), request, item, letters);
  return write_text(out, reply::kCrlf);
}

char* write_meta_echo(char* out, std::string_view code, const MetaRequest& request) {
  return write_meta_changed(out, code, request, {.binary_key = request.is_binary_key()}, kEchoLetters);
}

char* write_meta_debug(char* out, std::string_view key, const MetaDebug& debug) {
  out = write_key(write_text(out, reply::kMetaDebugPrefix), key, debug.binary_key);
  out = write_signed(write_text(out, " exp="), debug.ttl);
  out = write_u32(write_text(out, " la="), debug.idle_seconds);
  out = write_u64(write_text(out, " cas="), debug.cas);
  out = write_text(out, debug.fetched ? " fetch=yes" : " fetch=no");
  out = write_u32(write_text(out, " cls="), debug.slab_class);
  out = write_u64(write_text(out, " size="), debug.item_bytes);
  return write_text(out, reply::kCrlf);
}

}  // namespace ringcached::protocol
