#include "support/linearizability.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "support/key_model.h"

namespace ringcached::testing {
namespace {

constexpr std::size_t kNone = ~std::size_t{0};

// A set of operations and a state, as 128 bits of hash: that two of them agree by accident is beyond belief.
struct Fingerprint {
  std::uint64_t low = 0, high = 0;
  bool operator==(const Fingerprint&) const = default;
  Fingerprint operator^(const Fingerprint& other) const { return {low ^ other.low, high ^ other.high}; }
};

struct FingerprintHash {
  std::size_t operator()(const Fingerprint& print) const { return print.low; }
};

Fingerprint fingerprint(std::string_view bytes, std::uint64_t salt) {
  return {hash_key(bytes, salt), hash_key(bytes, salt ^ 0x9e3779b97f4a7c15)};
}

Fingerprint fingerprint(std::size_t operation) {
  return fingerprint({reinterpret_cast<const char*>(&operation), sizeof operation}, 1);
}

Fingerprint fingerprint(const KeyState& state) {
  if (!state.present) return fingerprint({}, 2);
  const std::uint64_t numbers[] = {state.cas, state.expires.min, state.expires.max};
  return fingerprint(state.value, 3) ^
         fingerprint({reinterpret_cast<const char*>(numbers), sizeof numbers}, 4);
}

// Calls and answers in the order of time, as a list from which an operation is taken (both entries) when it
// is given its place in the order, and into which it is put back when that place was wrong.
class Search {
 public:
  Search(std::span<const HistoryOperation> history, const LinearizabilityOptions& options)
      : options_(options) {
    for (const HistoryOperation& operation : history) operations_.push_back(&operation);
    std::ranges::stable_sort(operations_, {}, &HistoryOperation::invoked);
    placed_.resize(operations_.size());
    find_predecessors();
    link_entries();
  }

  LinearizabilityVerdict run() {
    std::size_t at = next_[head()];
    std::size_t branch = 0;
    while (at != kNone) {
      if (verdict_.steps > options_.steps_max) return conclude(Linearizability::kUndecided);
      if (is_answer(at)) {
        note_dead_end(at);
        if (path_.empty()) return conclude(Linearizability::kViolated);
        std::tie(at, branch) = take_back();
        continue;
      }
      at = place(at, branch) ? next_[head()] : next_[at];
      branch = 0;
    }
    return verdict_;
  }

 private:
  struct Step {
    std::size_t call;
    std::size_t branch;
    KeyState before;
  };

  // Entries: calls 0 .. n - 1, answers n .. 2n - 1, then the head.
  bool is_answer(std::size_t entry) const { return entry >= operations_.size(); }
  std::size_t head() const { return 2 * operations_.size(); }

  void find_predecessors() {
    std::map<unsigned, std::size_t> last;
    for (std::size_t i = 0; i < operations_.size(); ++i) {
      const auto [at, first] = last.try_emplace(operations_[i]->client, i);
      predecessor_.push_back(first ? kNone : std::exchange(at->second, i));
    }
  }

  // At one and the same moment calls come first: operations that only touch overlap.
  void link_entries() {
    const std::size_t count = operations_.size();
    std::vector<std::size_t> order(2 * count);
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    const auto moment = [&](std::size_t entry) {
      return is_answer(entry) ? std::pair(operations_[entry - count]->returned, 1)
                              : std::pair(operations_[entry]->invoked, 0);
    };
    std::ranges::stable_sort(order, {}, moment);
    next_.assign(2 * count + 1, kNone);
    previous_.assign(2 * count + 1, kNone);
    std::size_t last = head();
    for (const std::size_t entry : order) {
      next_[last] = entry;
      previous_[entry] = last;
      last = entry;
    }
  }

  void unlink(std::size_t entry) {
    next_[previous_[entry]] = next_[entry];
    if (next_[entry] != kNone) previous_[next_[entry]] = previous_[entry];
  }
  void relink(std::size_t entry) {
    next_[previous_[entry]] = entry;
    if (next_[entry] != kNone) previous_[next_[entry]] = entry;
  }

  // Gives the operation the next place, in the first way from `branch` on that has not been tried before.
  bool place(std::size_t call, std::size_t branch) {
    const std::size_t predecessor = predecessor_[call];
    if (predecessor != kNone && !placed_[predecessor]) return false;
    ++verdict_.steps;
    KeyTransitions ways = transitions(state_, *operations_[call], options_.may_vanish);
    const Fingerprint set = set_ ^ fingerprint(call);
    for (; branch < ways.count; ++branch) {
      if (!tried_.insert(set ^ fingerprint(ways.states[branch])).second) continue;
      path_.push_back({call, branch, std::exchange(state_, std::move(ways.states[branch]))});
      set_ = set;
      placed_[call] = true;
      unlink(call);
      unlink(call + operations_.size());
      return true;
    }
    return false;
  }

  // The last one placed, and the way to try next with it.
  std::pair<std::size_t, std::size_t> take_back() {
    Step step = std::move(path_.back());
    path_.pop_back();
    relink(step.call + operations_.size());
    relink(step.call);
    placed_[step.call] = false;
    set_ = set_ ^ fingerprint(step.call);
    state_ = std::move(step.before);
    return {step.call, step.branch + 1};
  }

  void note_dead_end(std::size_t answer) {
    if (stuck_ && path_.size() <= stuck_->placed) return;
    constexpr std::size_t kPathShown = 12;
    const auto shown = static_cast<std::ptrdiff_t>(std::min(path_.size(), kPathShown));
    stuck_.emplace(
        Stuck{path_.size(), answer - operations_.size(), state_, {path_.end() - shown, path_.end()}, {}});
    for (std::size_t at = next_[head()]; at != answer; at = next_[at]) {
      if (!is_answer(at) && at != stuck_->operation) stuck_->pending.push_back(at);
    }
  }

  LinearizabilityVerdict conclude(Linearizability result) {
    verdict_.result = result;
    std::string& text = verdict_.report;
    text =
        result == Linearizability::kUndecided ? "not decided within the steps allowed" : "not linearizable";
    text += ", " + std::to_string(operations_.size()) + " operations\n";
    if (!stuck_) return verdict_;
    text += "the longest order has " + std::to_string(stuck_->placed) + " of them, and ends with\n";
    for (const Step& step : stuck_->path) text += "    " + describe(*operations_[step.call]) + "\n";
    text += "  then the key is ";
    const KeyState& state = stuck_->state;
    text += state.present ? "\"" + state.value + "\" id " + std::to_string(state.cas) : std::string("absent");
    if (state.present && state.expires.min != CacheMoment::kNever) {
      text += " until " + describe(state.expires);
    }
    text += ", and no place is left for\n    " + describe(*operations_[stuck_->operation]) + "\n";
    if (!stuck_->pending.empty()) text += "  under way besides\n";
    for (const std::size_t call : stuck_->pending) text += "    " + describe(*operations_[call]) + "\n";
    return verdict_;
  }

  // The dead end behind the longest order found.
  struct Stuck {
    std::size_t placed;
    std::size_t operation;
    KeyState state;
    std::vector<Step> path;
    std::vector<std::size_t> pending;
  };

  const LinearizabilityOptions options_;
  std::vector<const HistoryOperation*> operations_;
  std::vector<std::size_t> predecessor_;  // the same client's operation before
  std::vector<std::size_t> next_, previous_;
  std::vector<bool> placed_;
  KeyState state_;
  Fingerprint set_;  // of the operations placed
  std::vector<Step> path_;
  std::unordered_set<Fingerprint, FingerprintHash> tried_;
  std::optional<Stuck> stuck_;
  LinearizabilityVerdict verdict_;
};

// An id that has named two values: what it tells apart it must not confuse.
std::string ambiguous_id(std::span<const HistoryOperation> history) {
  std::map<std::uint64_t, const HistoryOperation*> named;
  for (const HistoryOperation& operation : history) {
    if (operation.verb != HistoryVerb::kGet || operation.cas == 0) continue;
    const auto [at, first] = named.try_emplace(operation.cas, &operation);
    if (first || at->second->value == operation.value) continue;
    return "one CAS id for two values\n    " + describe(*at->second) + "\n    " + describe(operation) + "\n";
  }
  return {};
}

}  // namespace

LinearizabilityVerdict check_key(std::span<const HistoryOperation> history,
                                 const LinearizabilityOptions& options) {
  return Search(history, options).run();
}

LinearizabilityVerdict check_history(std::span<const HistoryOperation> history,
                                     const LinearizabilityOptions& options) {
  std::map<unsigned, std::vector<HistoryOperation>> by_key;
  for (const HistoryOperation& operation : history) {
    if (operation.verb != HistoryVerb::kFlush) by_key[operation.key];
  }
  for (const HistoryOperation& operation : history) {
    for (auto& [key, operations] : by_key) {
      if (key == operation.key || operation.verb == HistoryVerb::kFlush) operations.push_back(operation);
    }
  }
  std::uint64_t steps = 0;
  for (auto& [key, operations] : by_key) {
    LinearizabilityVerdict verdict = check_key(operations, options);
    steps += verdict.steps;
    if (verdict) {
      verdict.report = ambiguous_id(operations);
      if (verdict.report.empty()) continue;
      verdict.result = Linearizability::kViolated;
    }
    verdict.report = "key " + std::to_string(key) + ": " + verdict.report;
    return verdict;
  }
  return {Linearizability::kLinearizable, steps, {}};
}

}  // namespace ringcached::testing
