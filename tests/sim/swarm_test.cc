// Swarm runs of the whole server over the simulated kernel: one seed, one plan, one run.
//
//   tools/dev sim SEED [--count N] [-v]     replays a seed, or runs N from it on
//
// The always-run test tries the seeds of past failures, then as many from 1 on as its time allows;
// environment: RINGCACHED_SIM_SEED and RINGCACHED_SIM_COUNT (instead of all that), RINGCACHED_SIM_SECONDS
// (the time, 10), RINGCACHED_SIM_TRACE (every event to stderr).
#include "swarm.h"

#include <doctest/doctest.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cache_model.h"
#include "swarm_step.h"

using namespace ringcached::testing;

namespace {

constexpr std::uint64_t kSecondsDefault = 10;
// Whatever the time: a slow build that runs hardly any seed proves nothing.
constexpr std::uint64_t kRunsMin = 50;
// Seeds that have found something, each beside a test of its own where there is one.
// 3626, 7369, 9113, 9327: ms A or P without memory lost the old value (meta_session_test.cc). 9113 again: the
// first requests after a long sleep were answered by the time before it.
constexpr std::uint64_t kPastFailures[] = {3626, 7369, 9113, 9327};

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  if (text == nullptr) return otherwise;
  const std::string_view view(text);
  std::uint64_t number = otherwise;
  std::from_chars(view.data(), view.data() + view.size(), number);
  return number;
}

SwarmPlan quiet_plan(std::uint64_t seed) {
  SwarmPlan plan = SwarmPlan::draw(seed);
  plan.faults = SimFaults{};
  plan.stops_midway = plan.clock_jumps = plan.flushes = false;
  return plan;
}

// False when the run has found something.
bool check_seed(std::uint64_t seed, SwarmTally& tally) {
  SwarmPlan plan = SwarmPlan::draw(seed);
  plan.sim.trace_aloud = std::getenv("RINGCACHED_SIM_TRACE") != nullptr;
  if (plan.sim.trace_aloud)
    std::fprintf(stderr, "seed %llu\n%s", static_cast<unsigned long long>(seed), plan.describe().c_str());
  const std::string report = run_swarm(plan, tally);
  if (report.empty()) return true;
  std::fprintf(stderr, "swarm: seed %llu fails; replay: tools/dev sim %llu\n%s\n",
               static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed), report.c_str());
  FAIL_CHECK("tools/dev sim " << seed << ": " << report);
  return false;
}

std::string describe(const SwarmTally& tally) {
  return std::to_string(tally.runs) + " seeds, " + std::to_string(tally.clients) + " clients, of them " +
         std::to_string(tally.ended_by_fault) + " broken by faults and " + std::to_string(tally.refused) +
         " refused, " + std::to_string(tally.idle_kicks) + " idle ones closed, " +
         std::to_string(tally.evictions) + " evictions, " + std::to_string(tally.bytes_read) +
         " bytes of requests, " + std::to_string(tally.stopped_midway) + " runs stopped midway";
}

}  // namespace

TEST_SUITE("swarm") {
  TEST_CASE("seeds draw options, clients and faults; every reply is right, nothing leaks or sticks") {
    SwarmTally tally;
    const std::uint64_t single = number_from_environment("RINGCACHED_SIM_SEED", 0);
    if (single != 0) {
      const std::uint64_t count = number_from_environment("RINGCACHED_SIM_COUNT", 1);
      unsigned failed = 0;
      for (std::uint64_t seed = single; seed < single + count && failed < 5; ++seed)
        failed += check_seed(seed, tally) ? 0 : 1;
      std::fprintf(stderr, "swarm: %s\n", describe(tally).c_str());
      return;
    }
    for (const std::uint64_t seed : kPastFailures) check_seed(seed, tally);
    const auto end = std::chrono::steady_clock::now() +
                     std::chrono::seconds(number_from_environment("RINGCACHED_SIM_SECONDS", kSecondsDefault));
    bool well = true;
    for (std::uint64_t seed = 1; well && (tally.runs < kRunsMin || std::chrono::steady_clock::now() < end);
         ++seed)
      well = check_seed(seed, tally);
    MESSAGE(describe(tally));
    if (!well) return;
    CHECK(tally.runs >= kRunsMin);
    CHECK(tally.ended_by_fault > 0);
    CHECK(tally.refused > 0);
    CHECK(tally.evictions > 0);
  }

  TEST_CASE("the same seed is the same run") {
    for (const std::uint64_t seed : {3, 5, 8}) {
      SwarmTally once, again;
      run_swarm(SwarmPlan::draw(seed), once);
      run_swarm(SwarmPlan::draw(seed), again);
      CHECK(once.clients == again.clients);
      CHECK(once.bytes_read == again.bytes_read);
      CHECK(SwarmPlan::draw(seed).describe() == SwarmPlan::draw(seed).describe());
    }
  }

  TEST_CASE("the harness can fail: changed and lost bytes are found") {
    SwarmTally tally;
    SwarmPlan plan = quiet_plan(3);
    CHECK(run_swarm(plan, tally) == "");
    plan.sim.canary = SimOptions::Canary::kFlipByte;
    const std::string changed = run_swarm(plan, tally);
    CHECK(changed.find("got a wrong reply") != std::string::npos);
    CHECK(changed.find("last events:") != std::string::npos);
    plan.sim.canary = SimOptions::Canary::kLoseBytes;
    CHECK(run_swarm(plan, tally) != "");
  }

  TEST_CASE("the model: what may be, and what a reply leaves of it") {
    const CacheRequest get{.verb = Verb::kGet, .key = "k"};
    const CacheRequest set{.verb = Verb::kSet, .key = "k", .value = "v"};
    const CacheRequest add{.verb = Verb::kAdd, .key = "k", .value = "w"};
    CacheModel model;
    CHECK(model.outcomes(get, {}).size() == 1);  // absent
    model.settle(set, model.outcomes(set, {}), 7);
    CHECK(model.last_cas("k") == 7);
    REQUIRE(model.outcomes(get, {}).size() == 1);
    CHECK(model.outcomes(get, {})[0].shown->value == "v");
    // A cache that forgets may have either; an add without reply leaves either value.
    const CacheRules forgetful{.forgets = true};
    CHECK(model.outcomes(get, forgetful).size() == 2);
    model.settle(add, model.outcomes(add, forgetful), 0);
    CHECK(model.outcomes(get, {}).size() == 2);
    // The reply of a get tells which.
    const SwarmStep step{.request = get, .quiet = true};
    const std::vector<CacheOutcome> outcomes = model.outcomes(get, forgetful);
    CHECK(judge(step, outcomes, "VALUE k 0 1\r\n", false).state == SwarmVerdict::State::kWait);
    CHECK(judge(step, outcomes, "VALUE k 0 1\r\nx\r\nEND\r\n", false).happened[0].answer ==
          CacheAnswer::kMiss);
    const SwarmVerdict verdict = judge(step, outcomes, "VALUE k 0 1\r\nw\r\nEND\r\n", false);
    REQUIRE(verdict.happened.size() == 1);
    CHECK(verdict.bytes == 16);
    model.settle(get, verdict.happened, 0);
    CHECK(model.outcomes(get, {}).size() == 1);
  }
}
