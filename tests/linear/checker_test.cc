// The checker itself: histories whose verdict is known.
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "support/linearizability.h"

using namespace ringcached::testing;

namespace {

using Verb = HistoryVerb;
using Outcome = HistoryOutcome;

// One operation of a history as a line of a table.
struct Line {
  unsigned client;
  std::uint64_t invoked, returned;
  Verb verb;
  const char* operand;
  Outcome outcome = Outcome::kDone;
  const char* value = "";
  std::uint64_t cas = 0;
  std::uint64_t compare = 0;
  // When what it stored or touched expires, and by which time it was served.
  CacheMoment expires{CacheMoment::kNever, CacheMoment::kNever};
  CacheMoment clock{};
};

std::vector<HistoryOperation> history_of(const std::vector<Line>& lines) {
  std::vector<HistoryOperation> history;
  for (const Line& line : lines) {
    history.push_back({.client = line.client,
                       .key = 0,
                       .verb = line.verb,
                       .operand = line.operand,
                       .compare = line.compare,
                       .outcome = line.outcome,
                       .value = line.value,
                       .cas = line.cas,
                       .invoked = line.invoked,
                       .returned = line.returned,
                       .expires = line.expires,
                       .clock = line.clock});
  }
  return history;
}

constexpr Verb kGet = Verb::kGet, kSet = Verb::kSet, kCas = Verb::kCas, kIncr = Verb::kIncrement,
               kDelete = Verb::kDelete, kAdd = Verb::kAdd, kAppend = Verb::kAppend;
constexpr Outcome kDone = Outcome::kDone, kMiss = Outcome::kNotFound, kExists = Outcome::kExists,
                  kNotStored = Outcome::kNotStored, kRefused = Outcome::kRefused,
                  kUnknown = Outcome::kUnknown;

enum class Verdict : std::uint8_t {
  kFine,           // linearizable as it is
  kFineVanishing,  // only if items may vanish
  kWrong,
};
constexpr Verdict kFine = Verdict::kFine, kFineVanishing = Verdict::kFineVanishing, kWrong = Verdict::kWrong;

template <typename Row>
struct Case {
  const char* name;
  Verdict verdict;
  std::vector<Row> lines;
};

const std::vector<Case<Line>> kCases = {
    {"nothing happened", kFine, {}},
    {"one after the other",
     kFine,
     {{1, 1, 2, kSet, "a"},
      {1, 3, 4, kGet, "", kDone, "a"},
      {1, 5, 6, kDelete, ""},
      {1, 7, 8, kGet, "", kMiss}}},
    {"a read during a write sees the old value or the new one",
     kFine,
     {{1, 1, 2, kSet, "a"},
      {1, 3, 9, kSet, "b"},
      {2, 4, 5, kGet, "", kDone, "a"},
      {2, 6, 7, kGet, "", kDone, "b"}}},
    {"new, then old again, by one reader",
     kWrong,
     {{1, 1, 2, kSet, "a"},
      {1, 3, 9, kSet, "b"},
      {2, 4, 5, kGet, "", kDone, "b"},
      {2, 6, 7, kGet, "", kDone, "a"}}},
    {"new, then old again, by two readers",
     kWrong,
     {{1, 1, 2, kSet, "a"},
      {1, 3, 9, kSet, "b"},
      {2, 4, 5, kGet, "", kDone, "b"},
      {3, 6, 7, kGet, "", kDone, "a"}}},
    {"readers that overlap may see them in either order",
     kFine,
     {{1, 1, 2, kSet, "a"},
      {1, 3, 9, kSet, "b"},
      {2, 4, 7, kGet, "", kDone, "b"},
      {3, 5, 6, kGet, "", kDone, "a"}}},
    {"stale read", kWrong, {{1, 1, 2, kSet, "a"}, {1, 3, 4, kSet, "b"}, {2, 5, 6, kGet, "", kDone, "a"}}},
    {"a value that nobody wrote", kWrong, {{1, 1, 2, kSet, "a"}, {2, 3, 4, kGet, "", kDone, "x"}}},
    {"a read before the write it sees", kWrong, {{2, 1, 2, kGet, "", kDone, "a"}, {1, 3, 4, kSet, "a"}}},
    {"a miss of what is there", kFineVanishing, {{1, 1, 2, kSet, "a"}, {2, 3, 4, kGet, "", kMiss}}},
    {"a vanished value comes back",
     kWrong,
     {{1, 1, 2, kSet, "a"}, {2, 3, 4, kGet, "", kMiss}, {2, 5, 6, kGet, "", kDone, "a"}}},
    {"a deleted value comes back",
     kWrong,
     {{1, 1, 2, kSet, "a"}, {1, 3, 4, kDelete, ""}, {2, 5, 6, kGet, "", kDone, "a"}}},
    {"an older value comes back when the newer vanishes",
     kWrong,
     {{1, 1, 2, kSet, "a"},
      {1, 3, 4, kSet, "b"},
      {2, 5, 6, kGet, "", kDone, "b"},
      {2, 7, 8, kGet, "", kMiss},
      {2, 9, 10, kGet, "", kDone, "a"}}},
    {"lost update: two appends, one survives",
     kWrong,
     {{1, 1, 2, kSet, "a;"},
      {1, 3, 6, kAppend, "b;"},
      {2, 4, 7, kAppend, "c;"},
      {1, 8, 9, kGet, "", kDone, "a;c;"}}},
    {"two appends, either order",
     kFine,
     {{1, 1, 2, kSet, "a;"},
      {1, 3, 6, kAppend, "b;"},
      {2, 4, 7, kAppend, "c;"},
      {1, 8, 9, kGet, "", kDone, "a;c;b;"}}},
    {"of two adds both succeed", kFineVanishing, {{1, 1, 4, kAdd, "a"}, {2, 2, 3, kAdd, "b"}}},
    {"of two adds one succeeds", kFine, {{1, 1, 4, kAdd, "a"}, {2, 2, 3, kAdd, "b", kNotStored}}},
    {"compare-and-swap",
     kFine,
     {{1, 1, 2, kSet, "a"},
      {1, 3, 4, kGet, "", kDone, "a", 7},
      {2, 3, 4, kGet, "", kDone, "a", 7},
      {1, 5, 8, kCas, "b", kDone, "", 0, 7},
      {2, 6, 7, kCas, "c", kExists, "", 0, 7},
      {1, 9, 10, kGet, "", kDone, "b", 8}}},
    {"double success of compare-and-swap",
     kWrong,
     {{1, 1, 2, kSet, "a"},
      {1, 3, 4, kGet, "", kDone, "a", 7},
      {2, 3, 4, kGet, "", kDone, "a", 7},
      {1, 5, 8, kCas, "b", kDone, "", 0, 7},
      {2, 6, 7, kCas, "c", kDone, "", 0, 7}}},
    {"compare-and-swap fails though nobody interfered",
     kWrong,
     {{1, 1, 2, kSet, "a"}, {1, 3, 4, kGet, "", kDone, "a", 7}, {1, 5, 6, kCas, "b", kExists, "", 0, 7}}},
    {"an id survives a write",
     kWrong,
     {{1, 1, 2, kSet, "a"},
      {1, 3, 4, kGet, "", kDone, "a", 7},
      {1, 5, 6, kSet, "b"},
      {1, 7, 8, kCas, "c", kDone, "", 0, 7}}},
    {"two ids of one version",
     kWrong,
     {{1, 1, 2, kSet, "a"}, {1, 3, 4, kGet, "", kDone, "a", 7}, {1, 5, 6, kGet, "", kDone, "a", 8}}},
    {"an id told by the write",
     kFine,
     {{1, 1, 2, kSet, "a", kDone, "", 7},
      {2, 3, 4, kCas, "b", kDone, "", 8, 7},
      {1, 5, 6, kGet, "", kDone, "b", 8}}},
    {"counter",
     kFine,
     {{1, 1, 2, kSet, "5"},
      {1, 3, 6, kIncr, "2", kDone, "8"},
      {2, 4, 5, kIncr, "1", kDone, "6"},
      {1, 7, 8, Verb::kDecrement, "10", kDone, "0"}}},
    {"counter skips",
     kWrong,
     {{1, 1, 2, kSet, "5"}, {1, 3, 4, kIncr, "1", kDone, "6"}, {1, 5, 6, kIncr, "1", kDone, "8"}}},
    {"counter loses an increment",
     kWrong,
     {{1, 1, 2, kSet, "5"}, {1, 3, 6, kIncr, "1", kDone, "6"}, {2, 4, 5, kIncr, "1", kDone, "6"}}},
    {"pipelined operations take effect in their order",
     kWrong,
     {{1, 1, 9, kSet, "a"}, {1, 1, 9, kSet, "b"}, {2, 10, 11, kGet, "", kDone, "a"}}},
    {"refused for want of memory",
     kFineVanishing,
     {{1, 1, 2, kSet, "a"}, {1, 3, 4, kSet, "b", kRefused}, {1, 5, 6, kGet, "", kMiss}}},
    {"refused, and stored nevertheless",
     kWrong,
     {{1, 1, 2, kSet, "a", kRefused}, {1, 3, 4, kGet, "", kDone, "a"}}},
    {"no answer: it may have been done",
     kFine,
     {{1, 1, kNeverReturned, kSet, "a", kUnknown},
      {2, 5, 6, kGet, "", kMiss},
      {2, 7, 8, kGet, "", kDone, "a"}}},
    {"no answer: or not", kFine, {{1, 1, kNeverReturned, kSet, "a", kUnknown}, {2, 5, 6, kGet, "", kMiss}}},
    {"no answer: but not twice",
     kWrong,
     {{1, 1, kNeverReturned, kSet, "a", kUnknown},
      {2, 5, 6, kGet, "", kDone, "a"},
      {2, 7, 8, kDelete, ""},
      {2, 9, 10, kGet, "", kDone, "a"}}},
    {"flushed", kFine, {{1, 1, 2, kSet, "a"}, {2, 3, 4, Verb::kFlush, ""}, {1, 5, 6, kGet, "", kMiss}}},
    {"a hit after a flush",
     kWrong,
     {{1, 1, 2, kSet, "a"}, {2, 3, 4, Verb::kFlush, ""}, {1, 5, 6, kGet, "", kDone, "a"}}},
};

// One after the other, with times.
struct Timed {
  Verb verb;
  const char* operand;
  Outcome outcome;
  const char* value;
  CacheMoment clock;
  CacheMoment expires{CacheMoment::kNever, CacheMoment::kNever};
};

constexpr CacheMoment kNever{CacheMoment::kNever, CacheMoment::kNever};

const std::vector<Case<Timed>> kTimedCases = {
    {"there before it expires, gone afterwards",
     kFine,
     {{kSet, "a", kDone, "", {10, 10}, {20, 20}},
      {kGet, "", kDone, "a", {19, 19}},
      {kGet, "", kMiss, "", {20, 20}}}},
    {"a miss before it expires",
     kFineVanishing,
     {{kSet, "a", kDone, "", {10, 10}, {20, 20}}, {kGet, "", kMiss, "", {19, 19}}}},
    {"a hit when it has expired",
     kWrong,
     {{kSet, "a", kDone, "", {10, 10}, {20, 20}}, {kGet, "", kDone, "a", {20, 20}}}},
    {"stored dead", kFine, {{kSet, "a", kDone, "", {10, 10}, {0, 0}}, {kGet, "", kMiss, "", {10, 10}}}},
    {"a hit of what was stored dead",
     kWrong,
     {{kSet, "a", kDone, "", {10, 10}, {0, 0}}, {kGet, "", kDone, "a", {10, 10}}}},
    {"what was stored dead has replaced the old",
     kWrong,
     {{kSet, "a", kDone, "", {10, 10}},
      {kSet, "b", kDone, "", {10, 10}, {0, 0}},
      {kGet, "", kDone, "a", {10, 10}}}},
    {"in between either: there",
     kFine,
     {{kSet, "a", kDone, "", {10, 12}, {19, 22}}, {kGet, "", kDone, "a", {18, 25}}}},
    {"in between either: gone",
     kFine,
     {{kSet, "a", kDone, "", {10, 12}, {19, 22}}, {kGet, "", kMiss, "", {18, 19}}}},
    {"in between, gone and back",
     kWrong,
     {{kSet, "a", kDone, "", {10, 12}, {19, 22}},
      {kGet, "", kMiss, "", {18, 20}},
      {kGet, "", kDone, "a", {18, 21}}}},
    {"the last moment but one",
     kFineVanishing,
     {{kSet, "a", kDone, "", {10, 12}, {19, 22}}, {kGet, "", kMiss, "", {15, 18}}}},
    {"the first moment too late",
     kWrong,
     {{kSet, "a", kDone, "", {10, 12}, {19, 22}}, {kGet, "", kDone, "a", {22, 30}}}},
    {"a touch prolongs",
     kFineVanishing,
     {{kSet, "a", kDone, "", {10, 10}, {20, 20}},
      {Verb::kTouch, "", kDone, "", {15, 15}, {40, 40}},
      {kGet, "", kMiss, "", {30, 30}}}},
    {"a touch shortens",
     kWrong,
     {{kSet, "a", kDone, "", {10, 10}, kNever},
      {Verb::kTouch, "", kDone, "", {15, 15}, {20, 20}},
      {kGet, "", kDone, "a", {30, 30}}}},
    {"a touch of what has expired",
     kWrong,
     {{kSet, "a", kDone, "", {10, 10}, {20, 20}}, {Verb::kTouch, "", kDone, "", {20, 20}, {40, 40}}}},
    {"touched and read, then over at once",
     kFine,
     {{kSet, "a", kDone, "", {10, 10}, kNever},
      {Verb::kGetTouch, "", kDone, "a", {15, 15}, {0, 0}},
      {kGet, "", kMiss, "", {15, 15}}}},
    {"touched and read, over at once, and there",
     kWrong,
     {{kSet, "a", kDone, "", {10, 10}, kNever},
      {Verb::kGetTouch, "", kDone, "a", {15, 15}, {0, 0}},
      {kGet, "", kDone, "a", {15, 15}}}},
    {"an append leaves the time as it is",
     kWrong,
     {{kSet, "a;", kDone, "", {10, 10}, {20, 20}},
      {kAppend, "b;", kDone, "", {15, 15}},
      {kGet, "", kDone, "a;b;", {20, 20}}}},
    {"a counter keeps its time",
     kWrong,
     {{kSet, "1", kDone, "", {10, 10}, {20, 20}},
      {kIncr, "1", kDone, "2", {15, 15}},
      {kIncr, "1", kDone, "3", {20, 20}}}},
    {"a new value has a new time",
     kFine,
     {{kSet, "a", kDone, "", {10, 10}, {20, 20}},
      {kSet, "b", kDone, "", {15, 15}, kNever},
      {kGet, "", kDone, "b", {30, 30}}}},
    {"an add succeeds when the old has expired, and the old does not come back",
     kFine,
     {{kSet, "a", kDone, "", {10, 10}, {20, 20}},
      {kAdd, "b", kDone, "", {20, 20}},
      {kGet, "", kDone, "b", {20, 20}}}},
    {"an add fails though the old has expired",
     kWrong,
     {{kSet, "a", kDone, "", {10, 10}, {20, 20}}, {kAdd, "b", kNotStored, "", {20, 20}}}},
    {"who is late may still see it, until somebody has seen it gone",
     kWrong,
     {{kSet, "a", kDone, "", {10, 10}, {20, 20}},
      {kGet, "", kMiss, "", {20, 20}},
      {kGet, "", kDone, "a", {19, 20}}}},
    {"a quiet count tells no number",
     kFine,
     {{kSet, "1", kDone, "", {}}, {kIncr, "1", kDone, "", {}}, {kGet, "", kDone, "2", {}}}},
    {"a quiet count that is lost",
     kWrong,
     {{kSet, "1", kDone, "", {}}, {kIncr, "1", kDone, "", {}}, {kGet, "", kDone, "1", {}}}},
};

std::vector<HistoryOperation> history_of(const std::vector<Timed>& lines) {
  std::vector<Line> plain;
  std::uint64_t moment = 0;
  for (const Timed& line : lines) {
    plain.push_back({1, moment + 1, moment + 2, line.verb, line.operand, line.outcome, line.value, 0, 0,
                     line.expires, line.clock});
    moment += 2;
  }
  return history_of(plain);
}

template <typename Row>
void check_verdict(const Case<Row>& each) {
  CAPTURE(each.name);
  const auto history = history_of(each.lines);
  const LinearizabilityVerdict strict = check_history(history);
  const LinearizabilityVerdict vanishing = check_history(history, {.may_vanish = true});
  CHECK_MESSAGE(static_cast<bool>(strict) == (each.verdict == kFine), strict.report);
  CHECK_MESSAGE(static_cast<bool>(vanishing) == (each.verdict != kWrong), vanishing.report);
  CHECK(strict.result != Linearizability::kUndecided);
}

// A history as a perfect cache would leave it: each operation takes effect at one moment, the answers say
// what was then, and the calls lie around it.
std::vector<HistoryOperation> honest_history(std::uint64_t seed, unsigned clients, unsigned count) {
  std::mt19937_64 random(seed);
  std::vector<HistoryOperation> history;
  std::vector<std::uint64_t> free_from(clients, 0);
  std::string value = "0";
  for (unsigned i = 0; i < count; ++i) {
    const std::uint64_t moment = std::uint64_t{100} * (i + 1);
    const auto client = static_cast<unsigned>(random() % clients);
    HistoryOperation operation{.client = client, .outcome = kDone};
    // Reaches over its neighbours, but not over the same client's.
    operation.invoked = std::max(free_from[client], moment - std::min<std::uint64_t>(moment, random() % 400));
    operation.returned = moment + 1 + random() % 400;
    free_from[client] = operation.returned + 1;
    if (operation.invoked > moment) continue;
    if (i == 0 || random() % 3 == 0) {
      operation.verb = kSet;
      operation.operand = value = std::to_string(i * 1000);
    } else if (random() % 2 == 0) {
      operation.verb = kIncr;
      operation.operand = "1";
      operation.value = value = std::to_string(std::stoull(value) + 1);
    } else {
      operation.value = value;
    }
    history.push_back(operation);
  }
  return history;
}

}  // namespace

TEST_SUITE("linearizability checker") {
  TEST_CASE("histories whose verdict is known") {
    for (const auto& each : kCases) check_verdict(each);
  }

  TEST_CASE("histories in which items expire") {
    for (const auto& each : kTimedCases) check_verdict(each);
  }

  TEST_CASE("one id for two values is found, though each key's history could be explained") {
    const auto history = history_of({{1, 1, 2, kSet, "a"},
                                     {1, 3, 4, kGet, "", kDone, "a", 7},
                                     {1, 5, 6, kSet, "b"},
                                     {1, 7, 8, kGet, "", kDone, "b", 7}});
    CHECK(check_key(history));
    CHECK(check_history(history).result == Linearizability::kViolated);
  }

  TEST_CASE("long histories of a perfect cache are explained, and fast") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      CAPTURE(seed);
      const auto history = honest_history(seed, 6, 2000);
      REQUIRE(history.size() > 500);
      const LinearizabilityVerdict verdict = check_history(history);
      CHECK_MESSAGE(verdict, verdict.report);
      CHECK(verdict.steps < 100 * history.size());
    }
  }

  TEST_CASE("one wrong answer in a long history is found") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      CAPTURE(seed);
      auto history = honest_history(seed, 6, 1000);
      // The value of long ago.
      HistoryOperation* late = nullptr;
      for (HistoryOperation& operation : history) {
        if (operation.verb == kGet && operation.invoked > 50000) late = &operation;
      }
      REQUIRE(late != nullptr);
      late->value = "0";
      const LinearizabilityVerdict verdict = check_history(history);
      CHECK(verdict.result == Linearizability::kViolated);
      CHECK(verdict.report.find(describe(*late)) != std::string::npos);
      CHECK(check_history(history, {.may_vanish = true}).result == Linearizability::kViolated);
    }
  }

  TEST_CASE("the search gives up when told to") {
    const auto history = honest_history(1, 6, 1000);
    const LinearizabilityVerdict verdict = check_key(history, {.steps_max = 100});
    CHECK(verdict.result == Linearizability::kUndecided);
    CHECK_FALSE(verdict.report.empty());
  }
}
