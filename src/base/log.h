// Levelled log to stderr, one write(2) per line so that lines of threads do not mix. Not for the hot path.
#pragma once

#include <atomic>
#include <string>
#include <string_view>

namespace ringcached {

enum class LogLevel : int { kError = 0, kInfo = 1, kDebug = 2, kTrace = 3 };

// The level of the process: 0 errors and warnings, 1 with -v, 2 with -vv, 3 with -vvv. Owned by the server,
// passed by reference; `verbosity` changes it at run time from any thread.
class Log {
 public:
  explicit Log(int verbosity = 0) : verbosity_(verbosity) {}

  bool enabled(LogLevel level) const {
    return static_cast<int>(level) <= verbosity_.load(std::memory_order_relaxed);
  }
  void set_verbosity(int verbosity) { verbosity_.store(verbosity, std::memory_order_relaxed); }
  int verbosity() const { return verbosity_.load(std::memory_order_relaxed); }

  // Writes "ringcached: <line>\n" if the level is enabled.
  void write(LogLevel level, std::string_view line) const;

 private:
  std::atomic<int> verbosity_;
};

// Bytes from a client made safe for a terminal: printable ASCII as is, the rest as \xNN, cut at `bytes_max`.
std::string escaped(std::string_view bytes, std::size_t bytes_max = 250);

}  // namespace ringcached
