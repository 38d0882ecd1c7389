// A request as a closed value: what the client asked, with views into its own bytes. Shared by the three
// dialects (classic, meta, binary), so that one executor serves them all.
#pragma once

#include <cstdint>
#include <string_view>

namespace ringcached::protocol {

enum class Command : std::uint8_t {
  // retrieval
  kGet,
  kGets,
  kGat,
  kGats,
  // storage; the data block follows the line and is not part of the request
  kSet,
  kAdd,
  kReplace,
  kAppend,
  kPrepend,
  kCas,
  // single-key changes
  kDelete,
  kIncr,
  kDecr,
  kTouch,
  // administration; `arguments` holds the words after the command
  kStats,
  kFlushAll,
  kVerbosity,
  kVersion,
  kQuit,
  kCacheMemlimit,
  kShutdown,
  kSlabs,
  kLru,
  kLruCrawler,
  kWatch,
  kExtstore,
  kRefreshCerts,
};

inline constexpr bool is_storage(Command command) {
  return command >= Command::kSet && command <= Command::kCas;
}
inline constexpr bool is_retrieval(Command command) {
  return command <= Command::kGats;
}

// All views point into the parsed input and live as long as it does.
struct Request {
  Command command = Command::kGet;
  bool noreply = false;  // the last word was noreply, where the command knows it
  std::string_view key;  // retrieval: the first key; at most kKeyBytesMax bytes
  // Retrieval: everything after the first key, still separated by spaces, each key already checked for
  // length. Administration: everything after the command word, without leading and trailing spaces, without
  // noreply.
  std::string_view arguments;
  std::uint32_t client_flags = 0;
  std::int32_t exptime = 0;       // as sent: relative, absolute or negative (spec section 4)
  std::uint32_t value_bytes = 0;  // announced length of the data block, without its CR LF
  std::uint64_t number = 0;       // cas: the id; incr and decr: the delta
};

}  // namespace ringcached::protocol
