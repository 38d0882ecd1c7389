// What clients did to a cache, one line an operation: what was asked, what was answered, and between which
// two moments. The input of the linearizability checker.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ringcached::testing {

enum class HistoryVerb : std::uint8_t {
  kGet,
  kSet,
  kAdd,
  kReplace,
  kAppend,
  kPrepend,
  kCas,
  kDelete,
  kIncrement,
  kDecrement,
  kTouch,
  kGetTouch,  // both at once
  kFlush,     // of every key; it stands in the history of each
};

inline bool reads(HistoryVerb verb) {
  return verb == HistoryVerb::kGet || verb == HistoryVerb::kGetTouch;
}

enum class HistoryOutcome : std::uint8_t {
  kDone,  // a hit, stored, deleted, counted, touched
  kNotFound,
  kNotStored,
  kExists,
  kRefused,  // no memory for it; the old value may be gone
  kUnknown,  // no answer has come: it took effect, will do so at any time, or never
};

// An operation that is still under way at the end of the history.
inline constexpr std::uint64_t kNeverReturned = ~std::uint64_t{0};

// A moment of the cache's own clock that is only known to lie between two; in whatever units the clients
// take.
struct CacheMoment {
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};
  std::uint64_t min = 0, max = 0;
  bool operator==(const CacheMoment&) const = default;
};

struct HistoryOperation {
  unsigned client = 0;  // the operations of one client took effect in their order, also those pipelined
  unsigned key = 0;
  HistoryVerb verb = HistoryVerb::kGet;
  std::string operand;        // what is to be stored, joined, or counted by
  std::uint64_t compare = 0;  // kCas: an id that an earlier answer told
  std::int64_t exptime = 0;   // of what is stored or touched: seconds; 0: for ever; negative: over at once
  // The answer.
  HistoryOutcome outcome = HistoryOutcome::kUnknown;
  std::string value;      // kGet: of a hit; kIncrement, kDecrement: the new number
  std::uint64_t cas = 0;  // of the item as the answer tells it; 0: not told
  // Two moments of one clock between which it took effect.
  std::uint64_t invoked = 0, returned = kNeverReturned;
  // When what it stored or touched expires.
  CacheMoment expires{CacheMoment::kNever, CacheMoment::kNever};
  // The time by which it was served is not before `min`, and when the answer came nobody was served by one
  // after `max` yet.
  CacheMoment clock{};
};

std::string_view name_of(HistoryVerb verb);
std::string_view name_of(HistoryOutcome outcome);
std::string describe(const CacheMoment& moment);
// "[ 12, 19] client 3: cas 1.7; compare 40 -> exists"
std::string describe(const HistoryOperation& operation);

}  // namespace ringcached::testing
