// Canaries: clients that lie now and then. A history in which nobody notices is worth nothing.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <utility>

#include "support/history_workload.h"
#include "support/linearizability.h"

namespace ringcached::testing {

enum class Flaw : std::uint8_t {
  kStaleRead,   // a get is answered by the hit before
  kLostWrite,   // an append is said to have been done
  kDoubleSwap,  // so is a swap that came too late
  kRevival,     // a miss is answered by the last hit
  kEarlyMiss,   // a hit is said to be a miss
  kLostTouch,   // a touch is said to have been done
};
inline constexpr std::array kFlaws = {Flaw::kStaleRead, Flaw::kLostWrite, Flaw::kDoubleSwap,
                                      Flaw::kRevival,   Flaw::kEarlyMiss, Flaw::kLostTouch};
inline constexpr bool is_about_time(Flaw flaw) {
  return flaw == Flaw::kRevival || flaw == Flaw::kEarlyMiss || flaw == Flaw::kLostTouch;
}

// A miss is no lie where items may vanish.
inline constexpr bool is_about_absence(Flaw flaw) {
  return flaw == Flaw::kEarlyMiss || flaw == Flaw::kLostTouch;
}

// How the threads meet decides whether a lie can be told: so many rounds are given it.
inline constexpr std::uint64_t kCanaryRounds = 50;
template <typename Round>
bool found_within(std::uint64_t rounds, Round round) {
  for (std::uint64_t seed = 1; seed <= rounds; ++seed) {
    if (round(seed).result == Linearizability::kViolated) return true;
  }
  return false;
}

class FlawedClient final : public HistoryClient {
 public:
  FlawedClient(HistoryClient& honest, Flaw flaw) : honest_(honest), flaw_(flaw) {}

  void execute(std::span<Request> requests) override {
    for (Request& request : requests) {
      // Swaps that come too late are rare enough.
      const unsigned lie_one_in = flaw_ == Flaw::kDoubleSwap ? 1 : is_about_time(flaw_) ? 5 : 50;
      if (++count_ % lie_one_in == 0 && lie(request)) continue;
      honest_.execute({&request, 1});
      remember(request.operation);
    }
  }

 private:
  void remember(const HistoryOperation& operation) {
    if (operation.verb != HistoryVerb::kGet) return;
    seen_[operation.key] = operation;
    if (operation.outcome == HistoryOutcome::kDone) hits_[operation.key] = operation;
  }
  static void answer_by(const HistoryOperation& old, HistoryOperation& operation) {
    operation.outcome = old.outcome;
    operation.value = old.value;
    operation.cas = old.cas;
  }
  bool lie(Request& request) {
    HistoryOperation& operation = request.operation;
    const HistoryVerb verb = operation.verb;
    if (flaw_ == Flaw::kStaleRead && verb == HistoryVerb::kGet && seen_.contains(operation.key)) {
      honest_.execute({&request, 1});
      answer_by(seen_.at(operation.key), operation);
    } else if (flaw_ == Flaw::kRevival && verb == HistoryVerb::kGet && hits_.contains(operation.key)) {
      honest_.execute({&request, 1});
      if (operation.outcome == HistoryOutcome::kNotFound) answer_by(hits_.at(operation.key), operation);
    } else if (flaw_ == Flaw::kEarlyMiss && verb == HistoryVerb::kGet) {
      honest_.execute({&request, 1});
      answer_by({.outcome = HistoryOutcome::kNotFound}, operation);
    } else if (flaw_ == Flaw::kDoubleSwap && verb == HistoryVerb::kCas) {
      honest_.execute({&request, 1});
      if (operation.outcome == HistoryOutcome::kExists) operation.outcome = HistoryOutcome::kDone;
    } else if ((flaw_ == Flaw::kLostWrite && verb == HistoryVerb::kAppend) ||
               (flaw_ == Flaw::kLostTouch && verb == HistoryVerb::kTouch && operation.exptime > 0)) {
      return pretend(request);
    } else {
      --count_;  // the next one, then
      return false;
    }
    return true;
  }
  // To have done what would have been done: the item is there.
  bool pretend(Request& request) {
    HistoryOperation& operation = request.operation;
    Request get{{.client = operation.client, .key = operation.key}, {}};
    honest_.execute({&get, 1});
    if (get.operation.outcome != HistoryOutcome::kDone) return false;
    operation.outcome = HistoryOutcome::kDone;
    operation.invoked = get.operation.invoked;
    operation.returned = get.operation.returned;
    operation.clock = get.operation.clock;
    if (operation.exptime > 0) {
      const auto lives = static_cast<std::uint64_t>(operation.exptime);
      operation.expires = {operation.clock.min + lives, operation.clock.min + lives};
    }
    return true;
  }

  HistoryClient& honest_;
  const Flaw flaw_;
  unsigned count_ = 0;
  std::map<unsigned, HistoryOperation> seen_, hits_;  // the last get of each key, and the last that hit
};

}  // namespace ringcached::testing
