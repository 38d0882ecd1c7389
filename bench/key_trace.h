// Traces of keys: plain text, one access per line, in the order of the requests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ringcached/status.h"

namespace ringcached::bench {

// Keys are numbered in the order in which they appear first.
struct KeyTrace {
  std::vector<std::uint32_t> accesses;
  std::vector<std::string> keys;  // by number
};

// Text, cut anywhere, to a trace. Lines end in LF or CR LF; the last one may lack it. Empty lines are passed
// over.
class KeyTraceParser {
 public:
  // False: a line is no key (more than 250 bytes, a space or a control character); error() tells which.
  bool feed(std::string_view text);
  bool finish();
  const std::string& error() const { return error_; }
  KeyTrace& trace() { return trace_; }

 private:
  bool add(std::string_view line);
  KeyTrace trace_;
  std::unordered_map<std::string, std::uint32_t> numbers_;
  std::string part_;  // of a line
  std::size_t lines_ = 0;
  std::string error_;
};

// Files that end in .xz and .zst are read through `xz -dc` and `zstd -dc`, which must be on the PATH.
Result<KeyTrace> read_key_trace(const std::string& path);

// `copies` independent users of the same trace, taking turns: each has keys of its own and begins at another
// place, evenly spread, going round at the end. At most `accesses_max` accesses. So that a trace of few keys
// can fill a cache whose size has a lower limit, with the pattern of reuse it has.
KeyTrace multiply(const KeyTrace& trace, unsigned copies, std::size_t accesses_max);

}  // namespace ringcached::bench
