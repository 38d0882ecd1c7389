#include "cache_model.h"

#include <algorithm>
#include <utility>

namespace ringcached::testing {
namespace {

// The value from which on arithmetic replaces the item instead of padding it.
constexpr std::size_t kPaddedBytesMax = 4096;

// By memcached's arithmetic.
std::size_t item_bytes(const CacheRequest& request, std::size_t value_bytes, std::uint32_t flags) {
  return 48 + 8 + request.key.size() + 1 + (flags != 0 ? 4 : 0) + value_bytes + 2;
}

bool stores(Verb verb) {
  return verb >= Verb::kSet && verb <= Verb::kCompare;
}

// Digits, and behind them nothing or blanks: what arithmetic of this model leaves.
std::optional<std::uint64_t> number_in(const std::string& text) {
  const std::size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  if (end == 0 || end > 18 || text.find_first_not_of(' ', end) != std::string::npos) return std::nullopt;
  return std::stoull(text.substr(0, end));
}

CacheEntry fresh(const CacheRequest& request) {
  return {.value = request.value, .flags = request.flags, .cas = 0, .expires = request.exptime > 0};
}

// An entry with a new expiry; one of the past leaves nothing.
CacheState expiring(CacheEntry entry, int exptime) {
  if (exptime < 0) return std::nullopt;
  entry.expires = exptime > 0;
  return entry;
}

class Rules {
 public:
  Rules(const CacheRequest& request, const CacheRules& rules, std::vector<CacheOutcome>& into)
      : request_(request), rules_(rules), into_(into) {}

  void apply(const CacheState& state) {
    if (stores(request_.verb)) return store(state);
    if (request_.verb == Verb::kIncrement || request_.verb == Verb::kDecrement) return count(state);
    if (!state) {
      const bool reads = request_.verb == Verb::kGet || request_.verb == Verb::kTouchingGet;
      return add(reads ? CacheAnswer::kMiss : CacheAnswer::kNotFound, state);
    }
    switch (request_.verb) {
      case Verb::kGet:
        return add(CacheAnswer::kHit, state, state);
      case Verb::kTouchingGet:
        return add(CacheAnswer::kHit, expiring(*state, request_.exptime), state);
      case Verb::kTouch:
        return add(CacheAnswer::kTouched, expiring(*state, request_.exptime), state);
      default:
        return add(CacheAnswer::kDeleted, std::nullopt);
    }
  }

 private:
  void add(CacheAnswer answer, CacheState next, CacheState shown = {}, std::uint64_t number = 0) {
    into_.push_back({answer, std::move(shown), number, std::move(next)});
  }

  void store(const CacheState& state) {
    const bool removes = request_.verb == Verb::kSet || request_.refusal_removes;
    if (item_bytes(request_, request_.value.size(), request_.flags) > rules_.item_bytes_max)
      return add(CacheAnswer::kTooLarge, removes ? std::nullopt : state);
    if (rules_.runs_out) {
      add(CacheAnswer::kNoMemory, state);
      if (removes) add(CacheAnswer::kNoMemory, std::nullopt);
    }
    switch (request_.verb) {
      case Verb::kSet:
        return stored(fresh(request_));
      case Verb::kAdd:
        return state ? add(CacheAnswer::kNotStored, state) : stored(fresh(request_));
      case Verb::kReplace:
        return state ? stored(fresh(request_)) : add(CacheAnswer::kNotStored, state);
      case Verb::kCompare:
        if (!state) return add(CacheAnswer::kNotFound, state);
        if (state->cas == 0 || state->cas != request_.cas) return add(CacheAnswer::kExists, state);
        return stored(fresh(request_));
      default:
        return join(state);
    }
  }

  void stored(const CacheEntry& entry) {
    add(CacheAnswer::kStored, request_.exptime < 0 ? std::nullopt : CacheState(entry));
  }

  void join(const CacheState& state) {
    if (!state) return add(CacheAnswer::kNotStored, state);
    CacheEntry entry = *state;
    entry.value =
        request_.verb == Verb::kAppend ? entry.value + request_.value : request_.value + entry.value;
    entry.cas = 0;
    if (item_bytes(request_, entry.value.size(), entry.flags) > rules_.item_bytes_max || rules_.runs_out)
      add(CacheAnswer::kNotStored, state);
    if (item_bytes(request_, entry.value.size(), entry.flags) <= rules_.item_bytes_max)
      add(CacheAnswer::kStored, entry);
  }

  void count(const CacheState& state) {
    if (!state) return add(CacheAnswer::kNotFound, state);
    const auto old = number_in(state->value);
    if (!old) return add(CacheAnswer::kNonNumeric, state);
    const bool down = request_.verb == Verb::kDecrement;
    const std::uint64_t number = down ? *old - std::min(*old, request_.delta) : *old + request_.delta;
    CacheEntry entry = *state;
    entry.cas = 0;
    std::string text = std::to_string(number);
    if (text.size() < entry.value.size() && entry.value.size() < kPaddedBytesMax)
      text.resize(entry.value.size(), ' ');
    entry.value = std::move(text);
    if (rules_.runs_out) add(CacheAnswer::kNoMemory, state);
    add(CacheAnswer::kNumber, entry, std::nullopt, number);
  }

  const CacheRequest& request_;
  const CacheRules& rules_;
  std::vector<CacheOutcome>& into_;
};

}  // namespace

std::vector<CacheOutcome> CacheModel::outcomes(const CacheRequest& request, const CacheRules& rules) const {
  const auto known = states_.find(request.key);
  std::vector<CacheState> states = known == states_.end() ? std::vector<CacheState>{{}} : known->second;
  const bool may_vanish =
      rules.forgets || std::ranges::any_of(states, [](const CacheState& s) { return s && s->expires; });
  if (may_vanish && std::ranges::find(states, CacheState{}) == states.end()) states.push_back({});
  if (rules.expired_by_now) std::erase_if(states, [](const CacheState& s) { return s && s->expires; });
  std::vector<CacheOutcome> all;
  Rules applied(request, rules, all);
  for (const CacheState& state : states) applied.apply(state);
  return all;
}

void CacheModel::settle(const CacheRequest& request, std::vector<CacheOutcome> happened, std::uint64_t cas) {
  std::vector<CacheState>& states = states_[request.key];
  states.clear();
  for (CacheOutcome& outcome : happened) {
    if (cas != 0 && outcome.next) outcome.next->cas = cas;
    if (std::ranges::find(states, outcome.next) == states.end()) states.push_back(std::move(outcome.next));
  }
  if (cas != 0) seen_cas_[request.key] = cas;
}

std::uint64_t CacheModel::last_cas(const std::string& key) const {
  const auto seen = seen_cas_.find(key);
  return seen == seen_cas_.end() ? 0 : seen->second;
}

}  // namespace ringcached::testing
