#include "server/latency.h"

#include <doctest/doctest.h>
#include <time.h>

#include <map>
#include <string>

using namespace ringcached;
using config::LatencyHistograms;
using server::CommandKind;
using server::LatencyBook;
using server::Span;
using server::WorkerLatency;

namespace {

class Lines final : public server::StatSink {
 public:
  explicit Lines(LatencyBook& book) { book.write(*this); }
  using StatSink::stat;
  void stat(std::string_view name, std::string_view value) override {
    values_[std::string(name)] = std::stod(std::string(value));
  }
  double longest(const std::string& name) const { return values_.at("longest_turn_" + name); }
  bool has(const std::string& name) const { return values_.contains(name); }

 private:
  std::map<std::string, double> values_;
};

void sleep_ms(long ms) {
  const timespec time{0, ms * 1'000'000};
  nanosleep(&time, nullptr);
}

// CPU time: a millisecond of it.
void work_ms(std::uint64_t ms) {
  const std::uint64_t end = CycleClock::thread_cpu_ns() + ms * 1'000'000;
  while (CycleClock::thread_cpu_ns() < end) {
  }
}

void turn(WorkerLatency& latency, unsigned requests, long executing_ms, Span step, long step_ms) {
  latency.begin_turn();
  if (requests != 0) {
    latency.begin_input(false);
    sleep_ms(executing_ms);
    for (unsigned i = 0; i < requests; ++i) latency.count(CommandKind::kGet);
    latency.end_run();
  }
  latency.begin_step();
  sleep_ms(step_ms);
  latency.end_step(step);
  latency.end_turn();
}

}  // namespace

TEST_SUITE("latency") {
  TEST_CASE("the longest turn of all workers tells what it was made of, until a reset") {
    LatencyBook book(LatencyHistograms::kOn);
    WorkerLatency first(book), second(book);
    turn(first, 1, 0, Span::kUpkeepIndex, 1);
    turn(second, 3, 5, Span::kUpkeepPages, 20);
    turn(second, 1, 1, Span::kUpkeepReaper, 0);
    const Lines lines(book);
    CHECK(lines.longest("requests") == 3);
    CHECK(lines.longest("executing_us") >= 5000);
    CHECK(lines.longest("upkeep_pages_us") >= 20000);
    CHECK(lines.longest("upkeep_index_us") == 0);
    CHECK(lines.longest("upkeep_reaper_us") == 0);
    CHECK(lines.longest("upkeep_flush_us") == 0);
    CHECK(lines.longest("seconds_ago") < 60);
    CHECK(lines.longest("us") ==
          doctest::Approx(lines.longest("executing_us") + lines.longest("upkeep_pages_us") +
                          lines.longest("rest_us")));
    CHECK_FALSE(lines.has("longest_turn_cpu_us"));
    book.reset();
    CHECK_FALSE(Lines(book).has("longest_turn_us"));
    turn(second, 0, 0, Span::kUpkeepReaper, 2);
    const Lines after(book);
    CHECK(after.longest("requests") == 0);
    CHECK(after.longest("executing_us") == 0);
    CHECK(after.longest("upkeep_pages_us") == 0);
    CHECK(after.longest("upkeep_reaper_us") >= 2000);
  }

  TEST_CASE("a flush at the beginning of a turn is not charged to its requests") {
    LatencyBook book(LatencyHistograms::kOn);
    WorkerLatency latency(book);
    latency.begin_turn();
    latency.begin_step();
    sleep_ms(20);
    latency.end_step(Span::kUpkeepFlush);
    latency.begin_input(false);
    latency.count(CommandKind::kGet);
    latency.end_run();
    latency.end_turn();
    const Lines lines(book);
    CHECK(lines.longest("upkeep_flush_us") >= 20000);
    CHECK(lines.longest("us") >= lines.longest("upkeep_flush_us") + lines.longest("executing_us"));
  }

  TEST_CASE("with CPU time it is the longest by that, with what the kernel knows of it") {
    LatencyBook book(LatencyHistograms::kCpu);
    WorkerLatency latency(book);
    turn(latency, 1, 0, Span::kUpkeepPages, 30);  // slept
    latency.begin_turn();
    latency.begin_step();
    work_ms(10);
    latency.end_step(Span::kUpkeepIndex);
    latency.end_turn();
    const Lines lines(book);
    CHECK(lines.longest("upkeep_pages_us") == 0);
    CHECK(lines.longest("upkeep_index_us") >= 10000);
    CHECK(lines.longest("cpu_us") >= 10000);
    CHECK(lines.has("longest_turn_page_faults"));
    CHECK(lines.has("longest_turn_switches"));
    book.reset();
    turn(latency, 1, 0, Span::kUpkeepPages, 30);
    CHECK(Lines(book).longest("switches") >= 1);
  }

  TEST_CASE("nothing while histograms are off") {
    LatencyBook book(LatencyHistograms::kOff);
    WorkerLatency latency(book);
    turn(latency, 1, 0, Span::kUpkeepPages, 1);
    CHECK_FALSE(Lines(book).has("longest_turn_us"));
  }
}
