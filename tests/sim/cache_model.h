// What a cache may answer: a reference that knows for each key the set of states it may be in.
//
// Usually that is one state. Where the cache may forget (eviction, expiry, a flush by somebody else) or a
// command has no reply to tell by, there are several, and the next reply leaves those that agree with it. A
// reply that agrees with none is wrong. No dialect in sight: swarm_dialect.h renders and reads them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ringcached::testing {

enum class Verb : std::uint8_t {
  kGet,
  kTouchingGet,  // gat
  kTouch,
  kSet,
  kAdd,
  kReplace,
  kAppend,
  kPrepend,
  kCompare,  // cas
  kDelete,
  kIncrement,
  kDecrement,
};

struct CacheRequest {
  Verb verb = Verb::kGet;
  std::string key;
  std::string value;  // to store
  std::uint32_t flags = 0;
  int exptime = 0;          // seconds, 0: never, negative: at once
  std::uint64_t cas = 0;    // to compare with
  std::uint64_t delta = 0;  // of arithmetic
  bool refusal_removes =
      false;  // ms: a store that is refused for its size or for memory removes, whatever the mode
};

struct CacheEntry {
  std::string value;
  std::uint32_t flags = 0;
  std::uint64_t cas = 0;  // 0: not known yet, and then none that was ever seen
  bool expires = false;
  bool operator==(const CacheEntry&) const = default;
};
using CacheState = std::optional<CacheEntry>;  // nothing: absent

enum class CacheAnswer : std::uint8_t {
  kHit,
  kMiss,
  kStored,
  kNotStored,
  kExists,
  kNotFound,
  kDeleted,
  kTouched,
  kNumber,
  kNonNumeric,
  kTooLarge,
  kNoMemory,
};

// One thing that may have happened.
struct CacheOutcome {
  CacheAnswer answer = CacheAnswer::kMiss;
  CacheState shown;  // of a hit and of a touch: as it was read
  std::uint64_t number = 0;
  CacheState next;
};

struct CacheRules {
  std::size_t item_bytes_max = 1 << 20;
  bool forgets = false;         // anything may be gone at any time
  bool runs_out = false;        // stores may be refused for want of memory
  bool expired_by_now = false;  // what has an expiry is gone
};

class CacheModel {
 public:
  // All that may happen.
  std::vector<CacheOutcome> outcomes(const CacheRequest& request, const CacheRules& rules) const;
  // Those of them that did, as far as can be told; `cas` is the id that the reply told, 0: none.
  void settle(const CacheRequest& request, std::vector<CacheOutcome> happened, std::uint64_t cas);
  // The last id a reply has told for this key, for a client to compare with; 0: none.
  std::uint64_t last_cas(const std::string& key) const;

 private:
  std::map<std::string, std::vector<CacheState>> states_;
  std::map<std::string, std::uint64_t> seen_cas_;
};

}  // namespace ringcached::testing
