#include "server/latency.h"

#include <bit>
#include <string>
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
static_assert(kSpanNames.size() == kSpans && kCommandNames.size() == kCommandKinds);

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
    cells_.resets.store(resets, std::memory_order_release);
  }
  cpu_ = mode == config::LatencyHistograms::kCpu;
  if (cpu_) turn_began_cpu_ = CycleClock::thread_cpu_ns();
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
  of(Span::kTurn).record(turn_ns);
  if (cpu_) of(Span::kTurnCpu).record(CycleClock::thread_cpu_ns() - turn_began_cpu_);
  if (turn_kinds_ == 0) return false;
  replies_ = 0;
  take(turn_, turn_kinds_, [&](std::size_t kind, std::uint32_t count) {
    cells_.latency[kind].record(turn_ns, count);
    replies_ += count;
  });
  if (++turns_with_replies_ % kTurnsPerSending != 0) return false;
  submit_began_ = now;
  return true;
}

void WorkerLatency::submitted() {
  of(Span::kSending).record(clock_.now_ns() - submit_began_, replies_);
}

void WorkerLatency::end_step(Span span) {
  if (on_) of(span).record(clock_.now_ns() - step_began_);
}

}  // namespace ringcached::server
