#include "swarm_client.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "support/binary_packet.h"

namespace ringcached::testing {
namespace {

using Kind = SwarmStep::Kind;

constexpr unsigned kKeys = 6, kCounters = 2, kSharedKeys = 3;
constexpr std::size_t kRecentMax = 12;
constexpr std::uint64_t kNobodysCas = std::uint64_t{1} << 60;

std::string random_value(Dice& dice, unsigned bytes_max) {
  static constexpr unsigned kSizes[] = {1, 8, 40, 100, 300, 1500, 4200, 30000};
  const std::size_t bytes = dice.below(std::min(dice.pick(kSizes), bytes_max) + 1);
  const auto letter = static_cast<char>('a' + dice.below(20));
  std::string value(bytes, letter);
  // So that exchanged or repeated pieces show.
  for (std::size_t i = 0; i + 8 <= bytes; i += 64) value.replace(i, 4, std::to_string(1000 + i / 64 % 9000));
  if (!value.empty()) value.front() = letter;  // no number
  return value;
}

}  // namespace

SwarmClient::SwarmClient(SwarmServer& server, const SwarmPlan& plan, SharedValues& shared, Dice& dice)
    : server_(server),
      plan_(plan),
      shared_(shared),
      tcp_(!dice.one_in(3)),
      id_(server.world.connect(server.listeners[tcp_ ? 0 : 1])),
      dialect_(dice.one_in(3) ? SwarmDialect::kBinary : SwarmDialect::kClassic),
      requests_left_(1 + dice.below(plan.requests_per_client)) {
  rules_.item_bytes_max = plan.store.item_bytes_max;
  rules_.forgets = plan.flushes || (plan.memory_is_tight() && plan.store.evict);
  rules_.runs_out = plan.memory_is_tight();
}

// --- What is asked for

void SwarmClient::push(SwarmStep step) {
  if (asked_to_end_) return;  // nobody answers that
  steps_.push_back(std::move(step));
}

void SwarmClient::literal(std::string sent, std::string reply) {
  to_send_ += sent;
  push({.kind = Kind::kLiteral, .literal = std::move(reply)});
}

void SwarmClient::noop() {
  const std::uint32_t opaque = next_opaque_++;
  if (!binary()) return literal("mn\r\n", "MN\r\n");
  Packet packet{.opcode = 0x0a, .opaque = opaque};
  std::string request = encode(packet);
  packet.magic = 0x81;
  literal(std::move(request), encode(packet));
}

CacheRequest SwarmClient::draw_request(Dice& dice, bool counter) {
  static constexpr Verb kForValues[] = {Verb::kGet,    Verb::kGet,     Verb::kGet,         Verb::kSet,
                                        Verb::kSet,    Verb::kSet,     Verb::kAdd,         Verb::kReplace,
                                        Verb::kAppend, Verb::kPrepend, Verb::kCompare,     Verb::kCompare,
                                        Verb::kDelete, Verb::kTouch,   Verb::kTouchingGet, Verb::kIncrement};
  static constexpr Verb kForCounters[] = {Verb::kGet,       Verb::kSet,       Verb::kAdd,   Verb::kIncrement,
                                          Verb::kIncrement, Verb::kDecrement, Verb::kDelete};
  static constexpr int kTimes[] = {0, 0, 0, 0, 1, 5, 100, -1};
  CacheRequest request;
  request.verb = counter ? dice.pick(kForCounters) : dice.pick(kForValues);
  request.key = "c" + std::to_string(id_) + (counter ? ":n" : ":v") +
                std::to_string(dice.below(counter ? kCounters : kKeys));
  request.value = counter ? std::to_string(dice.below(1200)) : random_value(dice, plan_.value_bytes_max);
  request.exptime = dice.pick(kTimes);
  if (binary()) request.exptime = std::max(request.exptime, 0);
  request.flags = dice.one_in(2) ? 0 : dice.below(100'000);
  request.delta = dice.below(300);
  request.cas = dice.one_in(3) ? 0 : model_.last_cas(request.key);
  if (request.cas == 0) request.cas = kNobodysCas;
  return request;
}

SwarmStep SwarmClient::draw_step(Dice& dice) {
  SwarmStep step{.dialect = dialect_, .request = draw_request(dice, dice.one_in(4))};
  if (!binary() && dice.one_in(2)) step.dialect = SwarmDialect::kMeta;
  Verb& verb = step.request.verb;
  if (step.dialect == SwarmDialect::kMeta && verb == Verb::kTouch) verb = Verb::kTouchingGet;
  step.request.refusal_removes = step.dialect == SwarmDialect::kMeta || (binary() && verb == Verb::kCompare);
  step.quiet = dice.one_in(4) && verb != Verb::kTouch;
  if (binary() && (verb == Verb::kAppend || verb == Verb::kPrepend)) step.request.flags = 0;
  // Silence could not be told from the line of a refusal, which carries no opaque.
  if (step.dialect == SwarmDialect::kMeta && verb != Verb::kGet && rules_.runs_out) step.quiet = false;
  step.with_cas = dice.one_in(2);
  step.with_key = dice.one_in(3);
  step.opaque = next_opaque_++;
  return step;
}

void SwarmClient::ask_classic_get(Dice& dice, Verb verb, bool shared) {
  static constexpr int kTimes[] = {0, 5, 100, -1};
  const bool with_cas = dice.one_in(2);
  CacheRequest request{.verb = verb};
  std::string line = verb == Verb::kGet ? "get" : "gat";
  if (with_cas) line += "s";
  if (verb == Verb::kTouchingGet) {
    request.exptime = dice.pick(kTimes);
    line += " " + std::to_string(request.exptime);
  }
  static constexpr unsigned kCounts[] = {1, 1, 2, 5, 30};
  for (unsigned keys = dice.pick(kCounts); keys > 0; --keys) {
    request.key = shared ? "s" + std::to_string(dice.below(kSharedKeys))
                         : "c" + std::to_string(id_) + ":v" + std::to_string(dice.below(kKeys));
    line += " " + request.key;
    push({.kind = shared ? Kind::kShared : Kind::kCache,
          .request = request,
          .quiet = true,
          .with_cas = with_cas});
  }
  literal(line + "\r\n", "END\r\n");
}

void SwarmClient::ask_for_shared(Dice& dice) {
  static constexpr Verb kVerbs[] = {Verb::kGet, Verb::kGet, Verb::kSet, Verb::kDelete};
  const Verb verb = dice.pick(kVerbs);
  if (verb == Verb::kGet && !binary()) return ask_classic_get(dice, verb, true);
  SwarmStep step{.kind = Kind::kShared, .dialect = dialect_, .opaque = next_opaque_++};
  step.request = {.verb = verb,
                  .key = "s" + std::to_string(dice.below(kSharedKeys)),
                  .value = random_value(dice, plan_.value_bytes_max),
                  .flags = 1 + dice.below(1'000'000)};
  if (verb == Verb::kSet) {
    shared_[step.request.key].push_back(CacheEntry{.value = step.request.value, .flags = step.request.flags});
  }
  to_send_ += encode_step(step);
  push(std::move(step));
}

void SwarmClient::ask_something_else(Dice& dice) {
  if (plan_.flushes && dice.one_in(3) && !binary()) return literal("flush_all\r\n", "OK\r\n");
  if (binary() || dice.one_in(2)) return noop();
  if (dice.one_in(3)) {
    to_send_ += dice.one_in(2) ? "stats\r\n" : "stats workers\r\n";
    return push({.kind = Kind::kStats});
  }
  // Without memory the line of a refusal comes first.
  if (dice.one_in(2) && !rules_.runs_out)
    return literal("set x 0 0 3\r\nabcdefgh\r\n", "CLIENT_ERROR bad data chunk\r\nERROR\r\n");
  literal("nonsense " + std::string(dice.below(300), 'x') + "\r\n", "ERROR\r\n");
}

void SwarmClient::ask_for_ending(Dice& dice) {
  const std::uint32_t opaque = next_opaque_++;
  if (!binary()) {
    literal("quit\r\n", "");
  } else if (dice.one_in(2)) {
    literal(encode({.opcode = 0x17, .opaque = opaque}), "");
  } else {
    literal(encode({.opcode = 0x07, .opaque = opaque}),
            encode({.opcode = 0x07, .opaque = opaque, .magic = 0x81}));
  }
  push({.kind = Kind::kEnd});
  asked_to_end_ = true;
}

void SwarmClient::ask_for_one(Dice& dice) {
  if (dice.one_in(8)) return ask_for_shared(dice);
  if (dice.one_in(10)) return ask_something_else(dice);
  if (dice.one_in(150)) return ask_for_ending(dice);
  SwarmStep step = draw_step(dice);
  const Verb verb = step.request.verb;
  if (step.dialect == SwarmDialect::kClassic && (verb == Verb::kGet || verb == Verb::kTouchingGet))
    return ask_classic_get(dice, verb, false);
  to_send_ += encode_step(step);
  push(std::move(step));
}

void SwarmClient::ask(Dice& dice) {
  static constexpr unsigned kPipelines[] = {1, 1, 3, 10, 40};
  const unsigned requests = std::min(dice.pick(kPipelines), requests_left_);
  requests_left_ -= requests;
  for (unsigned i = 0; i < requests; ++i) ask_for_one(dice);
  noop();
}

// --- What is done

void SwarmClient::write_some(std::size_t bytes) {
  const std::size_t part = std::min(bytes, to_send_.size() - written_);
  if (part == 0) return;
  server_.world.client_write(id_, std::string_view(to_send_).substr(written_, part));
  written_ += part;
}

void SwarmClient::misbehave(Dice& dice) {
  switch (dice.below(8)) {
    case 0:
    case 1:
    case 2:
      stalled_ = true;
      return server_.world.client_stop_reading(id_);
    case 3:
    case 4:
    case 5:
      return server_.world.client_resume_reading(id_);
    default:
      if (!dice.one_in(6)) return;
      check();
      gone_ = true;
      return dice.one_in(2) ? server_.world.client_close(id_) : server_.world.client_reset(id_);
  }
}

void SwarmClient::act(Dice& dice) {
  if (gone_) return;
  static constexpr unsigned kPieces[] = {1, 3, 50, 400, 3000, 30000};
  if (dice.one_in(plan_.misbehaviour * 8)) return misbehave(dice);
  if (written_ == to_send_.size() && requests_left_ > 0) ask(dice);
  if (dice.one_in(200)) half_close();
  if (!half_closed_) write_some(1 + dice.below(dice.pick(kPieces)));
  check();
}

void SwarmClient::calm_down() {
  server_.world.client_resume_reading(id_);
  if (gone_ || half_closed_) return;
  noop();
  write_some(to_send_.size());
}

void SwarmClient::audit() {
  if (gone_ || over() || half_closed_ || asked_to_end_ || !steps_.empty()) return;
  rules_.expired_by_now = true;
  for (unsigned i = 0; i < kKeys + kCounters; ++i) {
    SwarmStep step{.dialect = binary() ? SwarmDialect::kBinary : SwarmDialect::kMeta,
                   .with_cas = true,
                   .opaque = next_opaque_++};
    step.request.key =
        "c" + std::to_string(id_) + (i < kKeys ? ":v" + std::to_string(i) : ":n" + std::to_string(i - kKeys));
    to_send_ += encode_step(step);
    push(std::move(step));
  }
  write_some(to_send_.size());
}

void SwarmClient::half_close() {
  if (gone_ || half_closed_) return;
  half_closed_ = true;
  // What was begun and never becomes whole is not answered.
  gone_ = written_ != to_send_.size();
  server_.world.client_half_close(id_);
}

// --- What comes back

std::vector<CacheOutcome> SwarmClient::outcomes_of(const SwarmStep& step) const {
  if (step.kind == Kind::kCache) return model_.outcomes(step.request, rules_);
  if (step.request.verb == Verb::kSet) {
    std::vector<CacheOutcome> outcomes = CacheModel().outcomes(step.request, rules_);
    return outcomes;
  }
  if (step.request.verb == Verb::kDelete)
    return {{.answer = CacheAnswer::kDeleted}, {.answer = CacheAnswer::kNotFound}};
  std::vector<CacheOutcome> outcomes = {{.answer = CacheAnswer::kMiss}};
  const auto sent = shared_.find(step.request.key);
  if (sent == shared_.end()) return outcomes;
  for (const CacheState& state : sent->second)
    outcomes.push_back({.answer = CacheAnswer::kHit, .shown = state});
  return outcomes;
}

// Whether the step at the front is done with; says what is wrong if its reply is.
bool SwarmClient::take_step(bool ended) {
  SwarmStep& step = steps_.front();
  std::size_t bytes = 0;
  if (step.kind == Kind::kEnd) {
    if (!received_.empty()) fail("got bytes behind the last reply");
    return false;
  }
  if (step.kind == Kind::kLiteral) {
    const std::size_t common = std::min(received_.size(), step.literal.size());
    if (received_.compare(0, common, step.literal, 0, common) != 0) return fail("got a wrong reply"), false;
    if (common < step.literal.size()) return false;
    bytes = common;
  } else if (step.kind == Kind::kStats) {
    const std::size_t end = received_.starts_with("END\r\n") ? 0 : received_.find("\r\nEND\r\n");
    if (!received_.starts_with(std::string_view("STAT ").substr(0, received_.size())))
      return fail("got no statistics"), false;
    if (end == std::string::npos) return false;
    bytes = end + 7;
  } else {
    // Others may still send a value before this is served.
    if (step.kind == Kind::kShared && received_.empty() && !ended) return false;
    SwarmVerdict verdict = judge(step, outcomes_of(step), received_, ended);
    if (verdict.state == SwarmVerdict::State::kWrong) return fail("got a wrong reply"), false;
    if (verdict.state == SwarmVerdict::State::kWait) return false;
    if (step.kind == Kind::kCache) model_.settle(step.request, std::move(verdict.happened), verdict.cas);
    bytes = verdict.bytes;
  }
  recent_.push_back(brief(step) + " -> " + brief(std::string_view(received_).substr(0, bytes)));
  if (recent_.size() > kRecentMax) recent_.erase(recent_.begin());
  received_.erase(0, bytes);
  if (bytes > 0) answered_ = true;
  steps_.pop_front();
  return true;
}

bool SwarmClient::refused() const {
  return !answered_ && !received_.empty() && plan_.network.refusal_line.starts_with(received_);
}

void SwarmClient::check() {
  if (failed_ || gone_) return;
  received_ += server_.world.client_take(id_);
  if (refused()) return;
  const bool ended = over();
  while (!steps_.empty() && !failed_ && take_step(ended)) {
  }
  if (steps_.empty() && !received_.empty() && !failed_) fail("got bytes nobody asked for");
}

bool SwarmClient::over() const {
  const SimWorld& world = server_.world;
  return (world.client_saw_end(id_) || world.client_saw_reset(id_)) && world.client_unread(id_) == 0;
}

bool SwarmClient::legal_end() const {
  if (server_.world.client_broken_by_fault(id_) || refused()) return true;
  if (tcp_ && plan_.network.idle_timeout.count() != 0) return true;
  // A client that takes nothing for long is cut off while the rest of its replies drain.
  if (plan_.clock_jumps && (half_closed_ || asked_to_end_ || stalled_)) return true;
  // No worker took it.
  if (!answered_ && received_.empty() && server_.acceptor->counters().accept_errors.get() > 0) return true;
  return false;
}

void SwarmClient::check_end(bool cut_midway) {
  check();
  if (gone_ || failed_ || cut_midway || legal_end()) return;
  if (!over()) return fail("saw no end of the connection");
  if (!steps_.empty() && steps_.front().kind == Kind::kEnd) steps_.pop_front();
  if (!steps_.empty()) return fail("was not answered");
  const bool expected = half_closed_ || asked_to_end_;
  if (!expected) return fail("was closed without a cause");
  // Bytes behind the request to end may be met by a reset.
  if (server_.world.client_saw_reset(id_) && !asked_to_end_) return fail("was reset");
}

void SwarmClient::fail(const std::string& what) {
  failed_ = true;
  server_.failures.push_back("client " + std::to_string(id_) + " " + what + "\n" + describe());
}

std::string SwarmClient::describe() const {
  std::string text = "  client " + std::to_string(id_) + " on descriptor " +
                     std::to_string(server_.world.client_descriptor(id_)) + ": wrote " +
                     std::to_string(written_) + " of " + std::to_string(to_send_.size()) + ", " +
                     std::to_string(steps_.size()) + " replies owed" + (half_closed_ ? ", half-closed" : "") +
                     (asked_to_end_ ? ", asked to end" : "") + (over() ? ", ended" : "") + "\n";
  for (const std::string& line : recent_) text += "    " + line + "\n";
  if (!steps_.empty()) {
    text += "    now: " + brief(steps_.front()) + "\n";
    if (steps_.front().kind == Kind::kCache || steps_.front().kind == Kind::kShared) {
      for (const CacheOutcome& outcome : outcomes_of(steps_.front())) {
        text +=
            "      may be answer " + std::to_string(static_cast<int>(outcome.answer)) + ", value " +
            (outcome.shown ? brief(outcome.shown->value) + " flags " + std::to_string(outcome.shown->flags) +
                                 " cas " + std::to_string(outcome.shown->cas)
                           : "none") +
            "\n";
      }
    }
  }
  return text + "    received: " + brief(received_) + "\n";
}

}  // namespace ringcached::testing
