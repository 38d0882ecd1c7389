// Levelled log to stderr, whole lines that do not mix. Not for the hot path.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/spin_lock.h"

namespace ringcached {

enum class LogLevel : int { kError = 0, kInfo = 1, kDebug = 2, kTrace = 3 };

// The level of the process: 0 errors and warnings, 1 with -v, 2 with -vv, 3 with -vvv. Owned by the server,
// passed by reference; `verbosity` changes it at run time from any thread.
//
// At first a line is written before write() returns, however long the reader takes. After never_wait() a
// line that the reader has no room for is kept, in the order of all, and written when there is: up to
// kKeptBytesMax of them. Those beyond are dropped and counted, and a line in their place says how many.
class Log {
 public:
  static constexpr std::size_t kKeptBytesMax = std::size_t{1} << 20;

  explicit Log(int verbosity = 0);
  Log(int verbosity, int descriptor) : verbosity_(verbosity), descriptor_(descriptor) {}
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  // Gives the reader one more second for what is kept.
  ~Log();

  bool enabled(LogLevel level) const {
    return static_cast<int>(level) <= verbosity_.load(std::memory_order_relaxed);
  }
  void set_verbosity(int verbosity) { verbosity_.store(verbosity, std::memory_order_relaxed); }
  int verbosity() const { return verbosity_.load(std::memory_order_relaxed); }

  // Writes "ringcached: <line>\n" if the level is enabled. Any thread.
  void write(LogLevel level, std::string_view line);

  // Before other threads write. `wake` is called on the thread that finds no room, and is to have one thread,
  // always the same, look at waiting_descriptor().
  void never_wait(std::function<void()> wake);
  // Where there are kept lines, the descriptor that continue_writing() is to be called for as soon as it can
  // be written to; else -1.
  int waiting_descriptor() const { return waiting_.load(std::memory_order_acquire) ? descriptor_ : -1; }
  // Writes what there is room for, a bounded amount.
  void continue_writing();

  std::uint64_t lines_dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  bool keep(std::string_view text);
  bool take();
  bool write_piece();
  bool pass_on(unsigned pieces_max);

  std::atomic<int> verbosity_;
  const int descriptor_;
  std::function<void()> wake_;  // empty: write() waits

  SpinLock lock_;
  std::string kept_;      // under lock_
  bool writing_ = false;  // under lock_: a thread, or who was woken, writes what is kept
  std::atomic<std::uint64_t> dropped_{0};

  // Of the one that writes.
  std::string taken_;        // as it was kept,
  std::size_t written_ = 0;  // and how much of it is written
  std::uint64_t dropped_told_ = 0;
  std::atomic<bool> waiting_{false};  // who was woken is to go on
};

// Bytes from a client made safe for a terminal: printable ASCII as is, the rest as \xNN, cut at `bytes_max`.
std::string escaped(std::string_view bytes, std::size_t bytes_max = 250);

}  // namespace ringcached
