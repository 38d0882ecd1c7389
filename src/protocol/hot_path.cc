#include "protocol/hot_path.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "protocol/limits.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace ringcached::protocol {

#if defined(__SSE2__)

namespace {

// One bit per byte: longer lines go the general way.
constexpr std::size_t kWindowBytes = 64;
static_assert(kWindowBytes < kKeyBytesMax, "keys on the hot path need no length check");

// Bit i belongs to byte i of the input.
struct Marks {
  std::uint64_t newlines = 0;
  std::uint64_t spaces = 0;

  void add(__m128i bytes, std::size_t at) {
    newlines |= matches(bytes, '\n') << at;
    spaces |= matches(bytes, ' ') << at;
  }
  static std::uint64_t matches(__m128i bytes, char wanted) {
    return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(wanted))));
  }
};

__m128i load_16(const char* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}
__m128i load_8(const char* from) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
}

// Marks up to the first newline of the window, reading no byte behind `input`: the last load overlaps the one
// before.
Marks find_marks(std::string_view input) {
  Marks marks;
  const std::size_t size = std::min(input.size(), kWindowBytes);
  if (size >= 16) {
    std::size_t at = 0;
    for (; at + 16 <= size; at += 16) {
      marks.add(load_16(input.data() + at), at);
      if (marks.newlines != 0) return marks;
    }
    if (at < size) marks.add(load_16(input.data() + size - 16), size - 16);
  } else if (size >= 8) {
    marks.add(load_8(input.data()), 0);
    marks.add(load_8(input.data() + size - 8), size - 8);
  }
  return marks;
}

// Up to 9 digits, which fit every number of a storage line.
bool read_digits(const char* from, const char* to, std::uint32_t& value) {
  constexpr std::ptrdiff_t kDigitsMax = 9;
  if (from >= to || to - from > kDigitsMax) return false;
  value = 0;
  for (; from != to; ++from) {
    const auto digit = static_cast<std::uint32_t>(*from) - '0';
    if (digit > 9) return false;
    value = value * 10 + digit;
  }
  return true;
}

// A space and up to 9 digits, which are there to be read; `at` is then behind them.
bool read_field(const char*& at, std::uint32_t& value) {
  constexpr unsigned kDigitsMax = 9;
  if (*at++ != ' ') return false;
  unsigned digits = 0;
  for (; digits <= kDigitsMax; ++digits, ++at) {
    const auto digit = static_cast<std::uint32_t>(*at) - '0';
    if (digit > 9) break;
    value = value * 10 + digit;
  }
  return digits != 0 && digits <= kDigitsMax;
}

constexpr std::size_t kCommandBytes = 4;  // "get " and "set "

// Bytes up to the first one that is no part of a plain key: a space, a line end, or a control character.
// kWindowBytes if there is none before the window or the input ends, which has 16 bytes or more.
std::size_t find_key_end(const char* key, std::size_t input_bytes) {
  const __m128i space = _mm_set1_epi8(' ');
  const auto marks = [&](std::size_t at) {
    const __m128i bytes = load_16(key + at);
    return static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(bytes, space), bytes)));
  };
  const std::size_t size = std::min(input_bytes, kWindowBytes);
  for (std::size_t at = 0; at + 16 <= size; at += 16) {
    if (const unsigned found = marks(at); found != 0)
      return at + static_cast<unsigned>(std::countr_zero(found));
  }
  const unsigned found = marks(size - 16);
  return found == 0 ? kWindowBytes : size - 16 + static_cast<unsigned>(std::countr_zero(found));
}

bool parse_hot_get(const char* line, const char* end, std::uint64_t spaces, Request& request) {
  const char* const key = line + kCommandBytes;
  if (spaces != 0 || key >= end) return false;
  request = Request{.command = Command::kGet, .key = {key, static_cast<std::size_t>(end - key)}};
  return true;
}

bool parse_hot_set(const char* line, const char* end, std::uint64_t spaces, Request& request) {
  const int count = std::popcount(spaces);
  if (count != 3 && count != 4) return false;
  const char* const key_end = line + std::countr_zero(spaces);
  spaces &= spaces - 1;
  const char* const flags_end = line + std::countr_zero(spaces);
  spaces &= spaces - 1;
  const char* const exptime_end = line + std::countr_zero(spaces);
  spaces &= spaces - 1;
  const char* const length_end = spaces == 0 ? end : line + std::countr_zero(spaces);

  const char* const key = line + kCommandBytes;
  std::uint32_t client_flags = 0, exptime = 0, length = 0;
  if (key == key_end || !read_digits(key_end + 1, flags_end, client_flags) ||
      !read_digits(flags_end + 1, exptime_end, exptime) ||
      !read_digits(exptime_end + 1, length_end, length)) {
    return false;
  }
  if (spaces != 0 && std::string_view(length_end, static_cast<std::size_t>(end - length_end)) != " noreply") {
    return false;
  }
  request = Request{.command = Command::kSet,
                    .noreply = spaces != 0,
                    .key = {key, static_cast<std::size_t>(key_end - key)},
                    .client_flags = client_flags,
                    .exptime = static_cast<std::int32_t>(exptime),
                    .value_bytes = length};
  return true;
}

// The words behind the key, or behind the length of ms: flags without an argument, and the opaque, the times
// and the client flags. Whatever is remarkable about them goes the general way.
constexpr MetaLetters kPlainFlags("cfhklqstuv");

bool read_hot_flag(const char* word, const char* end, MetaRequest& request) {
  const char letter = *word;
  if (request.has(letter)) return false;
  std::uint32_t number = 0;
  if (letter == 'O') {
    if (static_cast<std::size_t>(end - word) > kOpaqueBytesMax) return false;
    request.opaque = {word, static_cast<std::size_t>(end - word)};
  } else if (letter == 'T') {
    if (!read_digits(word + 1, end, number)) return false;
    request.ttl = static_cast<std::int32_t>(number);
  } else if (letter == 'F') {
    if (!read_digits(word + 1, end, request.client_flags)) return false;
  } else if (end - word != 1 || !kPlainFlags.has(letter)) {
    return false;
  }
  request.add_flag(letter);
  return true;
}

// The end of the word that begins at `word`, and the space behind it taken from `spaces`.
const char* take_word(const char* line, const char* end, std::uint64_t& spaces) {
  if (spaces == 0) return end;
  const char* const word_end = line + std::countr_zero(spaces);
  spaces &= spaces - 1;
  return word_end;
}

constexpr std::size_t kMetaCommandBytes = 3;  // "mg " and "ms "

bool parse_hot_meta(MetaCommand command, const char* line, const char* end, std::uint64_t spaces,
                    MetaRequest& request) {
  const int words_max = static_cast<int>(kMetaTokensMax) - 2;  // as many spaces behind the command's own
  if (std::popcount(spaces) > words_max) return false;
  const char* const key = line + kMetaCommandBytes;
  const char* word_end = take_word(line, end, spaces);
  if (key >= word_end) return false;
  request.start(command, {key, static_cast<std::size_t>(word_end - key)});
  if (command == MetaCommand::kSet) {
    const char* const length = word_end + 1;
    if (length >= end) return false;
    word_end = take_word(line, end, spaces);
    if (!read_digits(length, word_end, request.value_bytes)) return false;
  }
  while (word_end != end) {
    const char* const word = word_end + 1;
    if (word >= end) return false;
    word_end = take_word(line, end, spaces);
    if (word == word_end || !read_hot_flag(word, word_end, request)) return false;
  }
  return true;
}

}  // namespace

std::size_t parse_plain_get(std::string_view input, std::string_view& key) {
  constexpr std::size_t kBytesMin = kCommandBytes + 16;
  if (input.size() < kBytesMin || std::memcmp(input.data(), "get ", kCommandBytes) != 0) return 0;
  const char* const begin = input.data() + kCommandBytes;
  const std::size_t left = input.size() - kCommandBytes;
  const std::size_t bytes = find_key_end(begin, left);
  if (bytes == 0 || bytes + 2 > left || begin[bytes] != '\r' || begin[bytes + 1] != '\n') return 0;
  key = {begin, bytes};
  return kCommandBytes + bytes + 2;
}

std::size_t parse_plain_set(std::string_view input, Request& request) {
  // Room for the key's window, and behind it for three numbers of 9 digits: no need to look for the end.
  constexpr std::size_t kNumbersBytesMax = 3 * 10 + 2;
  constexpr std::size_t kBytesMin = kCommandBytes + 16 + kNumbersBytesMax;
  if (input.size() < kBytesMin || std::memcmp(input.data(), "set ", kCommandBytes) != 0) return 0;
  const char* const begin = input.data() + kCommandBytes;
  const std::size_t key_bytes = find_key_end(begin, input.size() - kBytesMin + 16);
  if (key_bytes == 0 || key_bytes + kNumbersBytesMax > input.size() - kCommandBytes) return 0;
  const char* at = begin + key_bytes;
  std::uint32_t client_flags = 0, exptime = 0, length = 0;
  // Most have neither.
  constexpr std::string_view kNoFlagsNoTime = " 0 0 ";
  if (std::memcmp(at, kNoFlagsNoTime.data(), kNoFlagsNoTime.size()) == 0) {
    at += kNoFlagsNoTime.size() - 1;
  } else if (!read_field(at, client_flags) || !read_field(at, exptime)) {
    return 0;
  }
  if (!read_field(at, length)) return 0;
  if (at[0] != '\r' || at[1] != '\n') return 0;
  request = Request{.command = Command::kSet,
                    .key = {begin, key_bytes},
                    .client_flags = client_flags,
                    .exptime = static_cast<std::int32_t>(exptime),
                    .value_bytes = length};
  return static_cast<std::size_t>(at + 2 - input.data());
}

HotLine parse_hot(std::string_view input, Request& request, MetaRequest& meta) {
  const Marks marks = find_marks(input);
  if (marks.newlines == 0) return {};
  const auto newline = static_cast<std::size_t>(std::countr_zero(marks.newlines));
  if (newline <= kCommandBytes) return {};
  const char* const line = input.data();
  const char* const end = line + newline - (line[newline - 1] == '\r' ? 1 : 0);
  const std::uint64_t spaces = marks.spaces & ((std::uint64_t{1} << newline) - 1);
  // The spaces behind the command's own, in front of the newline.
  constexpr std::uint64_t kCommandMask = (std::uint64_t{1} << kCommandBytes) - 1;
  constexpr std::uint64_t kMetaCommandMask = (std::uint64_t{1} << kMetaCommandBytes) - 1;
  bool done = false;
  bool is_meta = false;
  if (std::memcmp(line, "get ", kCommandBytes) == 0) {
    done = parse_hot_get(line, end, spaces & ~kCommandMask, request);
  } else if (std::memcmp(line, "set ", kCommandBytes) == 0) {
    done = parse_hot_set(line, end, spaces & ~kCommandMask, request);
  } else if (std::memcmp(line, "mg ", kMetaCommandBytes) == 0) {
    done = is_meta = parse_hot_meta(MetaCommand::kGet, line, end, spaces & ~kMetaCommandMask, meta);
  } else if (std::memcmp(line, "ms ", kMetaCommandBytes) == 0) {
    done = is_meta = parse_hot_meta(MetaCommand::kSet, line, end, spaces & ~kMetaCommandMask, meta);
  }
  return {done ? newline + 1 : 0, is_meta};
}

#else

// memchr and the general way serve other processors.
std::size_t parse_plain_get(std::string_view /*input*/, std::string_view& /*key*/) {
  return 0;
}
std::size_t parse_plain_set(std::string_view /*input*/, Request& /*request*/) {
  return 0;
}
HotLine parse_hot(std::string_view /*input*/, Request& /*request*/, MetaRequest& /*meta*/) {
  return {};
}

#endif

}  // namespace ringcached::protocol
