// Where the time of requests and of turns goes, for `stats latency`: histograms that each worker keeps of its
// own doing and that are added up when somebody asks.
//
//   a turn     begin -------------------------------------------------------------- end | submit, wait
//   its times  |-- waiting --|-- executing --|-- executing of others --|-- upkeep ----|-- sending --|
//   a request  |------------------------------- latency ------------------------------|
//
// The clock is read where a turn begins and ends and behind each connection's input, not at every request:
//  - A command's latency is that of the turn it was executed in: from the moment when the worker has taken
//  over
//    what has arrived until the replies of all are handed to the kernel together.
//  - A request's waiting is that of its connection: until the input it came in was looked at.
//  - The requests of one input (a pipeline) are executed together, memory being asked for ahead of all of
//  them,
//    and each is charged an equal part of the whole time. Administration commands are measured apart. A
//    request that comes in several pieces counts where it ends.
//  - Sending is measured in one of kTurnsPerSending turns with replies, because for that the kernel has to be
//    called once more: the call that hands all of them over. What a full socket leaves for later is not in
//    it.
// A request's time in the socket, before the turn, is not seen; no turn being long, it is short.
//
// Of the longest turn there is more than its length: what its time went into, so that whoever meets a long
// one need not wait for the next to learn whose it was.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/cycle_clock.h"
#include "base/histogram.h"
#include "base/spin_lock.h"
#include "config/config.h"
#include "protocol/binary.h"
#include "protocol/meta.h"
#include "protocol/request.h"
#include "server/stat_sink.h"

namespace ringcached::server {

// What is measured besides commands: the enumerator is k + the name in the table, the text the beginning of
// its lines in `stats latency`. All of it in nanoseconds, shown as microseconds.
//   turn          a worker's work between two waits for the kernel
//   turn_cpu      the same in CPU time of its thread, with latency_histograms = "cpu"
//   waiting, sending   see above; executing is the sum over the commands
//   upkeep_*      one step of background work: splitting index buckets, reaping expired and flushed items,
//                 moving pages between classes and giving them back, a flush_all whose time has come
#define RINGCACHED_SPANS(X)        \
  X(Turn, "turn")                  \
  X(TurnCpu, "turn_cpu")           \
  X(Waiting, "waiting")            \
  X(Sending, "sending")            \
  X(UpkeepIndex, "upkeep_index")   \
  X(UpkeepReaper, "upkeep_reaper") \
  X(UpkeepPages, "upkeep_pages")   \
  X(UpkeepFlush, "upkeep_flush")

// Commands that are told apart; each has a histogram of latency and one of execution. `incr` is decr, too,
// `append` is prepend, `other` all administration.
#define RINGCACHED_COMMAND_KINDS(X) \
  X(Get, "get")                     \
  X(Gat, "gat")                     \
  X(Set, "set")                     \
  X(Add, "add")                     \
  X(Replace, "replace")             \
  X(Append, "append")               \
  X(Cas, "cas")                     \
  X(Delete, "delete")               \
  X(Incr, "incr")                   \
  X(Touch, "touch")                 \
  X(MetaGet, "mg")                  \
  X(MetaSet, "ms")                  \
  X(MetaDelete, "md")               \
  X(MetaArithmetic, "ma")           \
  X(Other, "other")

// What is told of the longest turn, by CPU time where that is measured: the enumerator is k + the name, the
// text follows "longest_turn_". Those that end with "us" are kept in nanoseconds. CPU time, page faults
// (memory that was touched for the first time) and switches (the thread slept or was kept from running) only
// with latency_histograms = "cpu": the kernel has to be asked at each turn's begin. A turn much longer than
// its parts say, without any of these, was stopped by who runs the machine.
//   executing   all that is done about connections, from their input to their replies
//   rest        none of the parts: between the end of the last upkeep step and the turn's, watchers,
//   completions
#define RINGCACHED_TURN_FIGURES(X)    \
  X(Elapsed, "us")                    \
  X(Executing, "executing_us")        \
  X(UpkeepIndex, "upkeep_index_us")   \
  X(UpkeepReaper, "upkeep_reaper_us") \
  X(UpkeepPages, "upkeep_pages_us")   \
  X(UpkeepFlush, "upkeep_flush_us")   \
  X(Rest, "rest_us")                  \
  X(Requests, "requests")             \
  X(SecondsAgo, "seconds_ago")        \
  X(Cpu, "cpu_us")                    \
  X(PageFaults, "page_faults")        \
  X(Switches, "switches")

enum class Span : std::uint8_t {
#define RINGCACHED_X(name, text) k##name,
  RINGCACHED_SPANS(RINGCACHED_X)
#undef RINGCACHED_X
};
enum class TurnFigure : std::uint8_t {
#define RINGCACHED_X(name, text) k##name,
  RINGCACHED_TURN_FIGURES(RINGCACHED_X)
#undef RINGCACHED_X
};
enum class CommandKind : std::uint8_t {
#define RINGCACHED_X(name, text) k##name,
  RINGCACHED_COMMAND_KINDS(RINGCACHED_X)
#undef RINGCACHED_X
};
inline constexpr std::size_t kSpans = static_cast<std::size_t>(Span::kUpkeepFlush) + 1;
inline constexpr std::size_t kCommandKinds = static_cast<std::size_t>(CommandKind::kOther) + 1;

inline constexpr std::size_t kTurnFigures = static_cast<std::size_t>(TurnFigure::kSwitches) + 1;

CommandKind kind_of(protocol::Command command);
CommandKind kind_of(protocol::MetaCommand command);
CommandKind kind_of(protocol::BinaryCommand command);

// The figures of one turn, replaced as a whole by one writer. Any number of readers.
class TurnRecord {
 public:
  using Figures = std::array<std::uint64_t, kTurnFigures>;

  // Only the owning thread.
  void set(const Figures& figures);
  // False when the writer was at it each time: ask again later.
  bool get(Figures& figures) const;

 private:
  std::atomic<std::uint32_t> version_{0};  // odd: being replaced
  std::array<std::atomic<std::uint64_t>, kTurnFigures> figures_{};
};

// One worker's. Written by the worker, read by any thread.
struct LatencyCells {
  std::array<Histogram, kSpans> spans;
  std::array<Histogram, kCommandKinds> latency, executing;
  TurnRecord longest;  // kSecondsAgo holds when it began
  // Of the reset since which they count; with release once they are cleared.
  std::atomic<std::uint32_t> resets{0};
};

// The histograms of all workers, and whether they are kept. Any thread.
class LatencyBook {
 public:
  explicit LatencyBook(config::LatencyHistograms mode) : mode_(mode) {}

  config::LatencyHistograms mode() const { return mode_.load(std::memory_order_relaxed); }
  void set_mode(config::LatencyHistograms mode) { mode_.store(mode, std::memory_order_relaxed); }

  // One more worker's; lives as long as this.
  LatencyCells& attach();

  // What was recorded before counts no more. Workers clear theirs in their next turn; until then they are
  // left out.
  void reset() { resets_.fetch_add(1, std::memory_order_relaxed); }
  std::uint32_t resets() const { return resets_.load(std::memory_order_relaxed); }
  // The lines of `stats latency`.
  void write(StatSink& sink);

 private:
  std::vector<LatencyCells*> cells_of_all();
  static void write_longest(StatSink& sink, const std::vector<LatencyCells*>& all, std::uint32_t current);

  std::atomic<config::LatencyHistograms> mode_;
  std::atomic<std::uint32_t> resets_{0};
  SpinLock lock_;  // of the list
  std::vector<std::unique_ptr<LatencyCells>> cells_;
};

// A worker's hand in its cells: told what happens, it reads the clock. Every call is one branch while the
// histograms are off, which is looked at where a turn begins.
class WorkerLatency {
 public:
  explicit WorkerLatency(LatencyBook& book) : book_(book), cells_(book.attach()), clock_(cycle_clock()) {}

  void begin_turn();
  // True if submitted() is to be called when the kernel has the turn's replies.
  bool end_turn();
  void submitted();

  // A handler is shown input of a connection; `others`: more of them are behind it.
  void begin_input(bool others) {
    if (!on_) return;
    // With one connection all that has happened in the turn so far was for it.
    if (first_input_ && others) run_began_ = clock_.now_ns();
    first_input_ = false;
    waited_ns_ = run_began_ - turn_began_;
  }
  // A request was executed in this run.
  void count(CommandKind kind) {
    if (!on_) return;
    ++run_[static_cast<std::size_t>(kind)];
    run_kinds_ |= 1U << static_cast<unsigned>(kind);
  }
  // What was counted since the last call, or since begin_input, took the time since then.
  void end_run();

  // A step of background work.
  void begin_step() {
    if (on_) step_began_ = clock_.now_ns();
  }
  void end_step(Span span);

 private:
  static constexpr unsigned kTurnsPerSending = 64;
  using Tally = std::array<std::uint32_t, kCommandKinds>;

  // Calls visit(kind, count) for what `tally` has, and clears it.
  template <typename Visit>
  static void take(Tally& tally, std::uint32_t& kinds, Visit visit);
  Histogram& of(Span span) { return cells_.spans[static_cast<std::size_t>(span)]; }
  std::uint64_t& figure(TurnFigure which) { return figures_[static_cast<std::size_t>(which)]; }
  void note_longest(std::uint64_t turn_ns, std::uint64_t cpu_ns);

  LatencyBook& book_;
  LatencyCells& cells_;
  const CycleClock& clock_;
  bool on_ = false;
  bool cpu_ = false;                              // turns are measured in CPU time, too
  bool first_input_ = false;                      // no input was shown in this turn yet
  std::uint32_t run_kinds_ = 0, turn_kinds_ = 0;  // bits of the kinds that were counted
  unsigned turns_with_replies_ = 0;
  std::uint64_t turn_began_ = 0, run_began_ = 0, step_began_ = 0, submit_began_ = 0;
  std::uint64_t turn_began_cpu_ = 0;
  std::uint64_t waited_ns_ = 0;
  std::uint64_t replies_ = 0;  // of the turn whose sending is measured
  Tally run_{}, turn_{};
  TurnRecord::Figures figures_{};  // of this turn, as far as known
};

}  // namespace ringcached::server
