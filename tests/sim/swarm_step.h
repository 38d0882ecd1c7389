// One thing a client asks for, as it is sent in a dialect, and how to tell from the bytes that come back
// which of the outcomes happened.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache_model.h"

namespace ringcached::testing {

enum class SwarmDialect : std::uint8_t { kClassic, kMeta, kBinary };

struct SwarmStep {
  enum class Kind : std::uint8_t {
    kCache,    // of a key of the client's own: the model knows
    kShared,   // of a key that others use too: any value ever sent for it, or none
    kLiteral,  // exactly `literal`; may be empty
    kStats,    // STAT lines, then END
    kEnd,      // the server ends the connection
  } kind = Kind::kCache;
  SwarmDialect dialect = SwarmDialect::kClassic;
  CacheRequest request;
  std::string literal;
  bool quiet = false;        // noreply, q, or a quiet opcode; a key of a classic get, whose miss says nothing
  bool with_cas = false;     // gets; meta flag c
  bool with_key = false;     // meta flag k, GetK
  std::uint32_t opaque = 0;  // meta and binary
};

// The bytes to send. Of a classic get only the key: the line is put together by who makes the steps.
std::string encode_step(const SwarmStep& step);

struct SwarmMatch {
  enum class State : std::uint8_t { kNo, kPartial, kYes, kSilent } state = State::kNo;
  std::size_t bytes = 0;
  std::uint64_t cas = 0;  // told by the reply; 0: none
};
// Whether `input` begins with the reply of this outcome; kSilent: it has none.
SwarmMatch match_outcome(const SwarmStep& step, const CacheOutcome& outcome, std::string_view input);

struct SwarmVerdict {
  enum class State : std::uint8_t { kMatched, kWait, kWrong } state = State::kWait;
  std::size_t bytes = 0;
  std::uint64_t cas = 0;
  std::vector<CacheOutcome> happened;
};
// Which of the outcomes happened. `ended`: no more bytes will come.
SwarmVerdict judge(const SwarmStep& step, std::span<const CacheOutcome> outcomes, std::string_view input,
                   bool ended);

// For reports, without long values.
std::string brief(const SwarmStep& step);
std::string brief(std::string_view bytes);

}  // namespace ringcached::testing
