#include "server/latency.h"

#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <string>
#include <string_view>
#include <utility>

namespace ringcached::server {
namespace {

constexpr std::array kSpanNames = {
#define RINGCACHED_X(name, text) text,
    RINGCACHED_SPANS(RINGCACHED_X)
#undef RINGCACHED_X
};
constexpr std::array kCommandNames = {
#define RINGCACHED_X(name, text) text,
    RINGCACHED_COMMAND_KINDS(RINGCACHED_X)
#undef RINGCACHED_X
};
constexpr std::array<std::string_view, kTurnFigures> kTurnFigureNames = {
#define RINGCACHED_X(name, text) text,
    RINGCACHED_TURN_FIGURES(RINGCACHED_X)
#undef RINGCACHED_X
};
static_assert(kSpanNames.size() == kSpans && kCommandNames.size() == kCommandKinds);

// Of an upkeep step's span.
constexpr TurnFigure figure_of(Span span) {
  return static_cast<TurnFigure>(static_cast<unsigned>(TurnFigure::kUpkeepIndex) +
                                 static_cast<unsigned>(span) - static_cast<unsigned>(Span::kUpkeepIndex));
}
static_assert(figure_of(Span::kUpkeepFlush) == TurnFigure::kUpkeepFlush);
constexpr std::uint64_t figure(const TurnRecord::Figures& figures, TurnFigure which) {
  return figures[static_cast<std::size_t>(which)];
}

struct KernelEvents {
  std::uint64_t page_faults = 0, switches = 0;
};
// Of the calling thread, so far: a system call.
KernelEvents kernel_events() {
  rusage usage{};
  if (getrusage(RUSAGE_THREAD, &usage) != 0) return {};
  return {static_cast<std::uint64_t>(usage.ru_minflt + usage.ru_majflt),
          static_cast<std::uint64_t>(usage.ru_nvcsw + usage.ru_nivcsw)};
}

struct Quantile {
  std::string_view name;
  unsigned per_mille;
};
constexpr Quantile kQuantiles[] = {{"_p50_us", 500}, {"_p90_us", 900}, {"_p99_us", 990}, {"_p999_us", 999}};

std::string microseconds(std::uint64_t ns) {
  constexpr std::uint64_t kNsPerUs = 1000;
  const std::string fraction = std::to_string(kNsPerUs + ns % kNsPerUs).substr(1);
  return std::to_string(ns / kNsPerUs) + "." + fraction;
}

void write_lines(StatSink& sink, std::string_view name, const HistogramSum& sum) {
  const std::uint64_t count = sum.count();
  if (count == 0) return;
  const std::string start(name);
  sink.stat(start + "_count", count);
  for (const Quantile& quantile : kQuantiles) {
    sink.stat(start + std::string(quantile.name), microseconds(sum.quantile(quantile.per_mille)));
  }
  sink.stat(start + "_max_us", microseconds(sum.max()));
}

}  // namespace

CommandKind kind_of(protocol::Command command) {
  using protocol::Command;
  switch (command) {
    case Command::kGet:
    case Command::kGets:
      return CommandKind::kGet;
    case Command::kGat:
    case Command::kGats:
      return CommandKind::kGat;
    case Command::kSet:
      return CommandKind::kSet;
    case Command::kAdd:
      return CommandKind::kAdd;
    case Command::kReplace:
      return CommandKind::kReplace;
    case Command::kAppend:
    case Command::kPrepend:
      return CommandKind::kAppend;
    case Command::kCas:
      return CommandKind::kCas;
    case Command::kDelete:
      return CommandKind::kDelete;
    case Command::kIncr:
    case Command::kDecr:
      return CommandKind::kIncr;
    case Command::kTouch:
      return CommandKind::kTouch;
    default:
      return CommandKind::kOther;
  }
}

CommandKind kind_of(protocol::MetaCommand command) {
  using protocol::MetaCommand;
  switch (command) {
    case MetaCommand::kGet:
      return CommandKind::kMetaGet;
    case MetaCommand::kSet:
      return CommandKind::kMetaSet;
    case MetaCommand::kDelete:
      return CommandKind::kMetaDelete;
    case MetaCommand::kArithmetic:
      return CommandKind::kMetaArithmetic;
    default:
      return CommandKind::kOther;
  }
}

CommandKind kind_of(protocol::BinaryCommand command) {
  using protocol::BinaryCommand;
  switch (command) {
    case BinaryCommand::kGet:
    case BinaryCommand::kGetKey:
      return CommandKind::kGet;
    case BinaryCommand::kSet:
      return CommandKind::kSet;
    case BinaryCommand::kAdd:
      return CommandKind::kAdd;
    case BinaryCommand::kReplace:
      return CommandKind::kReplace;
    case BinaryCommand::kAppend:
    case BinaryCommand::kPrepend:
      return CommandKind::kAppend;
    case BinaryCommand::kDelete:
      return CommandKind::kDelete;
    case BinaryCommand::kIncrement:
    case BinaryCommand::kDecrement:
      return CommandKind::kIncr;
    case BinaryCommand::kTouch:
      return CommandKind::kTouch;
    case BinaryCommand::kGetAndTouch:
    case BinaryCommand::kGetKeyAndTouch:
      return CommandKind::kGat;
    default:
      return CommandKind::kOther;
  }
}

// --- The longest turn

// Without fences: who reads a new figure with acquire, sees the version that was stored before it.
void TurnRecord::set(const Figures& figures) {
  const std::uint32_t version = version_.load(std::memory_order_relaxed);
  version_.store(version + 1, std::memory_order_relaxed);
  for (std::size_t i = 0; i < figures.size(); ++i) figures_[i].store(figures[i], std::memory_order_release);
  version_.store(version + 2, std::memory_order_release);
}

bool TurnRecord::get(Figures& figures) const {
  constexpr unsigned kTries = 16;
  for (unsigned tries = 0; tries < kTries; ++tries) {
    const std::uint32_t version = version_.load(std::memory_order_acquire);
    if (version % 2 != 0) continue;
    for (std::size_t i = 0; i < figures.size(); ++i) figures[i] = figures_[i].load(std::memory_order_acquire);
    if (version_.load(std::memory_order_relaxed) == version) return true;
  }
  return false;
}

void LatencyBook::write_longest(StatSink& sink, const std::vector<LatencyCells*>& all,
                                std::uint32_t current) {
  TurnRecord::Figures longest{}, each{};
  const auto length = [](const TurnRecord::Figures& of) {
    return std::pair(figure(of, TurnFigure::kCpu), figure(of, TurnFigure::kElapsed));
  };
  for (const LatencyCells* cells : all) {
    if (cells->resets.load(std::memory_order_acquire) != current || !cells->longest.get(each)) continue;
    if (length(each) > length(longest)) longest = each;
  }
  if (figure(longest, TurnFigure::kElapsed) == 0) return;
  const bool kernel_asked = figure(longest, TurnFigure::kCpu) != 0;
  for (std::size_t i = 0; i < kTurnFigures; ++i) {
    const auto which = static_cast<TurnFigure>(i);
    if (which >= TurnFigure::kCpu && !kernel_asked) break;
    const std::string name = "longest_turn_" + std::string(kTurnFigureNames[i]);
    constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
    if (which == TurnFigure::kSecondsAgo) {
      sink.stat(name, (cycle_clock().now_ns() - longest[i]) / kNsPerSecond);
    } else if (name.ends_with("us")) {
      sink.stat(name, microseconds(longest[i]));
    } else {
      sink.stat(name, longest[i]);
    }
  }
}

// --- All workers

LatencyCells& LatencyBook::attach() {
  auto cells = std::make_unique<LatencyCells>();
  LatencyCells& attached = *cells;
  lock_.lock();
  attached.resets.store(resets());
  cells_.push_back(std::move(cells));
  lock_.unlock();
  return attached;
}

std::vector<LatencyCells*> LatencyBook::cells_of_all() {
  std::vector<LatencyCells*> all;
  lock_.lock();
  for (const auto& cells : cells_) all.push_back(cells.get());
  lock_.unlock();
  return all;
}

void LatencyBook::write(StatSink& sink) {
  const std::vector<LatencyCells*> all = cells_of_all();
  const std::uint32_t current = resets();
  const auto sum_of = [&](HistogramSum& sum, auto select) {
    for (const LatencyCells* cells : all) {
      if (cells->resets.load(std::memory_order_acquire) == current) sum.add(select(*cells));
    }
  };
  for (std::size_t i = 0; i < kSpans; ++i) {
    HistogramSum sum;
    sum_of(sum, [i](const LatencyCells& cells) -> const Histogram& { return cells.spans[i]; });
    write_lines(sink, kSpanNames[i], sum);
  }
  write_longest(sink, all, current);
  HistogramSum executing;
  for (std::size_t i = 0; i < kCommandKinds; ++i) {
    sum_of(executing, [i](const LatencyCells& cells) -> const Histogram& { return cells.executing[i]; });
  }
  write_lines(sink, "executing", executing);
  for (std::size_t i = 0; i < kCommandKinds; ++i) {
    HistogramSum latency, own;
    sum_of(latency, [i](const LatencyCells& cells) -> const Histogram& { return cells.latency[i]; });
    sum_of(own, [i](const LatencyCells& cells) -> const Histogram& { return cells.executing[i]; });
    write_lines(sink, kCommandNames[i], latency);
    write_lines(sink, std::string(kCommandNames[i]) + "_executing", own);
  }
}

// --- One worker

void WorkerLatency::begin_turn() {
  const config::LatencyHistograms mode = book_.mode();
  on_ = mode != config::LatencyHistograms::kOff;
  if (!on_) return;
  if (const std::uint32_t resets = book_.resets(); cells_.resets.load(std::memory_order_relaxed) != resets)
      [[unlikely]] {
    for (Histogram& histogram : cells_.spans) histogram.clear();
    for (Histogram& histogram : cells_.latency) histogram.clear();
    for (Histogram& histogram : cells_.executing) histogram.clear();
    cells_.longest.set({});
    cells_.resets.store(resets, std::memory_order_release);
  }
  cpu_ = mode == config::LatencyHistograms::kCpu;
  figures_ = {};
  if (cpu_) {
    const KernelEvents before = kernel_events();
    figure(TurnFigure::kPageFaults) = before.page_faults;
    figure(TurnFigure::kSwitches) = before.switches;
    turn_began_cpu_ = CycleClock::thread_cpu_ns();
  }
  turn_began_ = run_began_ = clock_.now_ns();
  first_input_ = true;
}

template <typename Visit>
void WorkerLatency::take(Tally& tally, std::uint32_t& kinds, Visit visit) {
  for (std::uint32_t left = std::exchange(kinds, 0); left != 0; left &= left - 1) {
    const auto kind = static_cast<std::size_t>(std::countr_zero(left));
    visit(kind, std::exchange(tally[kind], 0));
  }
}

void WorkerLatency::end_run() {
  if (!on_) return;
  const std::uint64_t now = clock_.now_ns();
  const std::uint64_t ran_ns = now - run_began_;
  run_began_ = now;
  figure(TurnFigure::kExecuting) += ran_ns;
  if (run_kinds_ == 0) return;
  std::uint32_t requests = 0;
  for (std::uint32_t left = run_kinds_; left != 0; left &= left - 1) {
    requests += run_[static_cast<std::size_t>(std::countr_zero(left))];
  }
  const std::uint64_t share_ns = requests == 1 ? ran_ns : ran_ns / requests;
  turn_kinds_ |= run_kinds_;
  take(run_, run_kinds_, [&](std::size_t kind, std::uint32_t count) {
    cells_.executing[kind].record(share_ns, count);
    turn_[kind] += count;
  });
  of(Span::kWaiting).record(waited_ns_, requests);
}

bool WorkerLatency::end_turn() {
  if (!on_) return false;
  const std::uint64_t now = clock_.now_ns();
  const std::uint64_t turn_ns = now - turn_began_;
  const std::uint64_t cpu_ns = cpu_ ? CycleClock::thread_cpu_ns() - turn_began_cpu_ : 0;
  const bool longest = cpu_ ? cpu_ns > of(Span::kTurnCpu).max() : turn_ns > of(Span::kTurn).max();
  of(Span::kTurn).record(turn_ns);
  if (cpu_) of(Span::kTurnCpu).record(cpu_ns);
  const bool replied = turn_kinds_ != 0;
  replies_ = 0;
  take(turn_, turn_kinds_, [&](std::size_t kind, std::uint32_t count) {
    cells_.latency[kind].record(turn_ns, count);
    replies_ += count;
  });
  if (longest) [[unlikely]]
    note_longest(turn_ns, cpu_ns);
  if (!replied) return false;
  if (++turns_with_replies_ % kTurnsPerSending != 0) return false;
  submit_began_ = now;
  return true;
}

void WorkerLatency::note_longest(std::uint64_t turn_ns, std::uint64_t cpu_ns) {
  std::uint64_t parts_ns = figure(TurnFigure::kExecuting);
  for (auto span = static_cast<unsigned>(Span::kUpkeepIndex);
       span <= static_cast<unsigned>(Span::kUpkeepFlush); ++span) {
    parts_ns += figure(figure_of(static_cast<Span>(span)));
  }
  figure(TurnFigure::kElapsed) = turn_ns;
  figure(TurnFigure::kRest) = turn_ns - std::min(parts_ns, turn_ns);
  figure(TurnFigure::kRequests) = replies_;
  figure(TurnFigure::kSecondsAgo) = turn_began_;
  figure(TurnFigure::kCpu) = cpu_ns;
  if (cpu_) {
    const KernelEvents now = kernel_events();
    figure(TurnFigure::kPageFaults) = now.page_faults - figure(TurnFigure::kPageFaults);
    figure(TurnFigure::kSwitches) = now.switches - figure(TurnFigure::kSwitches);
  }
  cells_.longest.set(figures_);
}

void WorkerLatency::submitted() {
  of(Span::kSending).record(clock_.now_ns() - submit_began_, replies_);
}

void WorkerLatency::end_step(Span span) {
  if (!on_) return;
  const std::uint64_t now = clock_.now_ns();
  const std::uint64_t took_ns = now - step_began_;
  run_began_ = now;  // requests looked at after it have waited for it
  of(span).record(took_ns);
  figure(figure_of(span)) += took_ns;
}

}  // namespace ringcached::server
