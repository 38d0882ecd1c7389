// The meta commands mg, ms, md, ma, me, mn: the words of one line become a MetaRequest or an answer
// (specification section 6). What the flags do is the executor's business; here they are checked and their
// numbers read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/assert.h"
#include "protocol/base64.h"
#include "protocol/limits.h"
#include "protocol/parser.h"

namespace ringcached::protocol {

enum class MetaCommand : std::uint8_t { kGet, kSet, kDelete, kArithmetic, kDebug, kNoop };

enum class MetaSetMode : std::uint8_t { kSet, kAdd, kAppend, kPrepend, kReplace };
enum class MetaArithmeticMode : std::uint8_t { kIncrement, kDecrement };

// A set of flag letters, 'A' to 'z'.
class MetaLetters {
 public:
  constexpr MetaLetters() = default;
  constexpr explicit MetaLetters(std::string_view letters) {
    for (const char letter : letters) add(letter);
  }
  constexpr void add(char letter) { bits_ |= bit(letter); }
  // Any byte may be asked for.
  constexpr bool has(char letter) const {
    return letter >= 'A' && letter <= 'z' && (bits_ & bit(letter)) != 0;
  }
  // All of them are among `others`.
  constexpr bool within(MetaLetters others) const { return (bits_ & ~others.bits_) == 0; }

 private:
  static constexpr std::uint64_t bit(char letter) { return std::uint64_t{1} << (letter - 'A'); }

  std::uint64_t bits_ = 0;
};

// What every parse sets anew. Views point into the parsed line and live as long as it does.
struct MetaFields {
  MetaCommand command = MetaCommand::kNoop;
  MetaSetMode set_mode = MetaSetMode::kSet;                             // ms M
  MetaArithmeticMode arithmetic_mode = MetaArithmeticMode::kIncrement;  // ma M
  std::uint32_t value_bytes = 0;   // ms: announced length of the data block, without its CR LF
  std::string_view key_word;       // as sent: what k echoes when the request decides
  std::string_view opaque;         // with its letter O: what O echoes
  MetaLetters letters;             // the flags given
  std::uint32_t client_flags = 0;  // F
  std::int32_t ttl = 0;            // T
  std::int32_t vivify_ttl = 0;     // N
  std::int32_t recache_ttl = 0;    // R
  std::uint64_t cas = 0;           // C: to compare with
  std::uint64_t new_cas = 0;       // E
  std::uint64_t delta = 1;         // D
  std::uint64_t initial = 0;       // J
};

// One meta command. The decoded key lives in the request itself. Large, and used once per request on the hot
// path: what a parse does not fill is not even initialised.
class MetaRequest : public MetaFields {
 public:
  static constexpr std::size_t kFlagsMax = kMetaTokensMax - 2;

  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): see above.
  MetaRequest() {}

  // The bytes of the key: decoded from base64 where the request says b.
  std::string_view key() const {
    return is_binary_key_ ? std::string_view(decoded_key_.data(), decoded_key_bytes_) : key_word;
  }
  bool is_binary_key() const { return is_binary_key_; }
  bool has(char letter) const { return letters.has(letter); }
  // The flag letters in the order of the request, which is the order of effects and of the return flags.
  std::string_view order() const { return {order_.data(), flag_count_}; }

  // For the parser: a request without flags.
  void start(MetaCommand meta_command, std::string_view key) {
    static_cast<MetaFields&>(*this) = MetaFields{.command = meta_command, .key_word = key};
    flag_count_ = 0;
    is_binary_key_ = false;
  }
  // For the parser: appends a letter not given before, at most kFlagsMax of them.
  void add_flag(char letter) {
    RC_CHECK(flag_count_ < kFlagsMax);
    letters.add(letter);
    order_[flag_count_++] = letter;
  }
  // For the parser: makes the key binary; false if key_word is not base64.
  bool decode_key();

 private:
  std::uint8_t flag_count_ = 0;
  bool is_binary_key_ = false;
  std::uint8_t decoded_key_bytes_ = 0;
  std::array<char, kFlagsMax> order_;
  std::array<char, base64_decoded_bytes_max(kKeyBytesMax)> decoded_key_;
};

// Nothing for a word that names no meta command.
std::optional<MetaCommand> find_meta_command(std::string_view word);

// `words` is the line behind its command word; `line_bytes` the whole line with its terminator, all of which
// is consumed. Never kNeedMore, never noreply: meta errors are sent even with q. After kMeta of an ms the
// data block follows.
ParseResult parse_meta(MetaCommand command, std::string_view words, std::size_t line_bytes,
                       MetaRequest& request);

}  // namespace ringcached::protocol
