#include "swarm_plan.h"

#include <algorithm>
#include <string_view>

#include "protocol/reply.h"
#include "sim_network.h"

namespace ringcached::testing {
namespace {

constexpr std::uint64_t kPlanSalt = 0x706c'616e;

void draw_network(Dice& dice, NetworkOptions& options) {
  static constexpr unsigned kWorkers[] = {1, 1, 2, 2, 3, 5};
  options.workers = dice.pick(kWorkers);
  options.handoff = dice.one_in(2) ? Handoff::kMessageRing : Handoff::kEventfd;
  options.placement = dice.one_in(3) ? Placement::kRoundRobin : Placement::kLeastConnections;
  options.refuse_fast = !dice.one_in(3);
  options.refusal_line = protocol::reply::kTooManyConnections;
  options.connections_max = dice.one_in(2) ? 100 : 2 + dice.below(8);
  options.ring_entries = 1U << (1 + dice.below(7));
  options.receive_buffers = 1U << dice.below(6);
  options.receive_buffer_bytes = 64U << dice.below(8);
  options.output_high_water = dice.one_in(3) ? std::size_t{1} << 20 : 500 + dice.below(20000);
  options.output_low_water = dice.below(static_cast<unsigned>(options.output_high_water));
  if (dice.one_in(5)) options.idle_timeout = std::chrono::seconds(1 + dice.below(5));
  options.tick = std::chrono::milliseconds(20);
  options.stop_deadline = std::chrono::milliseconds(2000);
}

void draw_waits(Dice& dice, NetworkOptions& options) {
  static constexpr unsigned kMinWaitUs[] = {0, 0, 20, 1000, 50'000};
  static constexpr unsigned kSpinUs[] = {0, 0, 0, 5, 500};
  options.min_wait = std::chrono::microseconds(dice.pick(kMinWaitUs));
  options.spin = std::chrono::microseconds(dice.pick(kSpinUs));
}

void draw_store(Dice& dice, const NetworkOptions& network, SwarmPlan& plan) {
  static constexpr std::size_t kItemBytes[] = {1024, 1024, 8192, 65536, 400'000};
  static constexpr unsigned kMegabytes[] = {64, 64, 64, 2, 3, 6};
  plan.store.threads = network.workers;
  plan.store.memory_limit_bytes = std::size_t{dice.pick(kMegabytes)} << 20;
  plan.store.memory_reserve_bytes = plan.store.memory_limit_bytes;
  plan.store.item_bytes_max = dice.pick(kItemBytes);
  plan.store.evict = !dice.one_in(4);
  plan.store.lru = dice.one_in(4);
  plan.store.index_power_initial = 6;
  plan.store.hash_seed = 1 + dice.next();
  static constexpr int kShares[] = {1, 2, 20, 20, 1000};
  plan.config.network.requests_per_turn = dice.pick(kShares);
}

void draw_habits(Dice& dice, SwarmPlan& plan) {
  static constexpr unsigned kValueBytes[] = {40, 300, 1500, 1500, 6000, 30000};
  static constexpr unsigned kSocketBytes[] = {200, 4096, 4096, 65536};
  plan.clients_max = 1 + dice.below(12);
  plan.acts = 60 + dice.below(500);
  plan.requests_per_client = 1 + dice.below(60);
  plan.value_bytes_max = dice.pick(kValueBytes);
  plan.misbehaviour = 1 + dice.below(12);
  plan.flushes = dice.one_in(6);
  plan.clock_jumps = dice.one_in(5);
  plan.freezes = dice.one_in(3);
  plan.stops_midway = dice.one_in(6);
  plan.sim.socket_buffer_bytes = dice.pick(kSocketBytes);
  // Listeners count, too.
  if (dice.one_in(6)) plan.sim.descriptors_max = 4 + static_cast<int>(dice.below(8));
}

struct NamedFault {
  std::string_view name;
  double SimFaults::*rate;
};
constexpr NamedFault kFaults[] = {
    {"short_receive", &SimFaults::short_receive},
    {"short_send", &SimFaults::short_send},
    {"buffers_exhausted", &SimFaults::buffers_exhausted},
    {"multishot_end", &SimFaults::multishot_end},
    {"receive_error", &SimFaults::receive_error},
    {"send_error", &SimFaults::send_error},
    {"receive_interrupted", &SimFaults::receive_interrupted},
    {"send_interrupted", &SimFaults::send_interrupted},
    {"accept_error", &SimFaults::accept_error},
    {"accept_bogus", &SimFaults::accept_bogus},
    {"cancel_already", &SimFaults::cancel_already},
    {"cancel_late", &SimFaults::cancel_late},
    {"delay", &SimFaults::delay},
    {"overflow", &SimFaults::overflow},
    {"post_overflow", &SimFaults::post_overflow},
    {"post_bad", &SimFaults::post_bad},
    {"turn_interrupted", &SimFaults::turn_interrupted},
    {"wake_delay", &SimFaults::wake_delay},
    {"stale", &SimFaults::stale},
};

class Line {
 public:
  template <typename T>
  Line& add(std::string_view name, T value) {
    text_ += (text_.empty() ? "" : " ") + std::string(name) + "=" + std::to_string(value);
    return *this;
  }
  Line& flag(std::string_view name, bool on) {
    if (on) text_ += (text_.empty() ? "" : " ") + std::string(name);
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace

SwarmPlan SwarmPlan::draw(std::uint64_t seed) {
  SwarmPlan plan;
  plan.seed = seed;
  Dice dice(seed ^ kPlanSalt);
  for (int i = 0; i < 8; ++i) dice.next();  // seeds that differ in few bits
  draw_network(dice, plan.network);
  draw_store(dice, plan.network, plan);
  draw_habits(dice, plan);
  static constexpr unsigned kCompletions[] = {1, 2, 8, 8};
  plan.completions_per_submission = dice.pick(kCompletions);
  plan.faults = SimFaults::swarm(seed);
  draw_waits(dice, plan.network);
  return plan;
}

bool SwarmPlan::memory_is_tight() const {
  return store.memory_limit_bytes < std::size_t{16} << 20;
}

std::string SwarmPlan::describe() const {
  Line options;
  options.add("workers", network.workers)
      .flag("eventfd", network.handoff == Handoff::kEventfd)
      .flag("round_robin", network.placement == Placement::kRoundRobin)
      .flag("refuse_fast", network.refuse_fast)
      .add("connections_max", network.connections_max)
      .add("ring_entries", network.ring_entries)
      .add("completions_per_submission", completions_per_submission)
      .add("receive_buffers", network.receive_buffers)
      .add("receive_buffer_bytes", network.receive_buffer_bytes)
      .add("high_water", network.output_high_water)
      .add("low_water", network.output_low_water)
      .add("idle_timeout", network.idle_timeout.count())
      .add("min_wait_us", network.min_wait.count())
      .add("spin_us", network.spin.count())
      .add("requests_per_turn", config.network.requests_per_turn)
      .add("memory", store.memory_limit_bytes)
      .add("item_max", store.item_bytes_max)
      .flag("no_evictions", !store.evict)
      .flag("lru", store.lru);
  Line habits;
  habits.add("clients_max", clients_max)
      .add("acts", acts)
      .add("requests_per_client", requests_per_client)
      .add("value_bytes_max", value_bytes_max)
      .add("misbehaviour", misbehaviour)
      .add("socket_buffer", sim.socket_buffer_bytes)
      .add("descriptors_max", sim.descriptors_max)
      .flag("flushes", flushes)
      .flag("clock_jumps", clock_jumps)
      .flag("freezes", freezes)
      .flag("stops_midway", stops_midway);
  Line rates;
  for (const NamedFault& fault : kFaults) {
    if (faults.*fault.rate > 0) rates.add(fault.name, faults.*fault.rate);
  }
  return "options: " + options.text() + "\nhabits: " + habits.text() + "\nfaults: " + rates.text() + "\n";
}

}  // namespace ringcached::testing
