#include "swarm.h"

#include <algorithm>
#include <deque>

#include "swarm_client.h"
#include "swarm_server.h"

namespace ringcached::testing {
namespace {

// More than any expiry that clients ask for, and than the granularity of the cache's clock.
constexpr std::chrono::seconds kBeyondExpiry{200};

class SwarmRun {
 public:
  explicit SwarmRun(const SwarmPlan& plan) : plan_(plan), server_(plan), dice_(plan.seed) {}

  std::string run(SwarmTally& tally) {
    chaos();
    if (plan_.stops_midway) {
      stop_in_the_middle();
    } else {
      calm();
      check_ends();
      if (server_.failures.empty()) check_memory();
    }
    count(tally);
    // Before the end, whose events would cover those that led to the failure.
    const std::string trace = server_.failures.empty() ? "" : server_.world.trace();
    const std::string report = server_.verdict();
    if (report.empty()) return "";
    return report + plan_.describe() + "last events:\n" + (trace.empty() ? server_.world.trace() : trace);
  }

 private:
  void chaos() {
    for (unsigned i = 0; i < plan_.acts && server_.failures.empty(); ++i) {
      if (clients_.size() < plan_.clients_max && dice_.one_in(12))
        clients_.emplace_back(server_, plan_, shared_, dice_);
      if (!clients_.empty()) clients_[dice_.below(static_cast<unsigned>(clients_.size()))].act(dice_);
      if (dice_.one_in(2)) server_.turn(dice_);
      if (plan_.freezes && dice_.one_in(30))
        server_.freeze(dice_.below(plan_.network.workers + 1), dice_.one_in(2));
      if (plan_.clock_jumps && dice_.one_in(60)) jump();
    }
    server_.world.faults() = SimFaults{};
    server_.world.options().descriptors_max = 100'000;
    for (std::size_t i = 0; i <= plan_.network.workers; ++i) server_.freeze(i, false);
  }

  void jump() {
    static constexpr int kSeconds[] = {1, 11, 60, 7200};
    if (dice_.one_in(3)) return server_.world.step_wall(static_cast<int>(dice_.below(20'000)) - 10'000);
    server_.world.advance(std::chrono::seconds(dice_.pick(kSeconds)));
  }

  template <typename Predicate>
  bool await(Predicate predicate) {
    return server_.run_until([&] {
      bool all = true;
      for (SwarmClient& client : clients_) {
        client.check();
        all = predicate(client) && all;
      }
      return all || !server_.failures.empty();
    });
  }

  void calm() {
    for (SwarmClient& client : clients_) client.calm_down();
    // Those that wait for a place are served once others have left.
    const bool waiting = !plan_.network.refuse_fast;
    if (!await([&](SwarmClient& c) { return c.settled() || (waiting && c.waiting_for_room()); }))
      return stuck("clients are not answered to the end");
    // Time that passes at once would look like idleness, or like a client that takes nothing.
    const bool quiet = std::ranges::all_of(clients_, [](const SwarmClient& c) { return c.settled(); });
    if (quiet && plan_.network.idle_timeout.count() == 0) {
      server_.world.advance(kBeyondExpiry);
      for (int i = 0; i < 3; ++i) server_.round();
      for (SwarmClient& client : clients_) client.audit();
      if (!await([](SwarmClient& c) { return c.settled(); }))
        return stuck("the last reading is not answered");
    }
    for (SwarmClient& client : clients_) client.half_close();
    if (!await([](SwarmClient& c) { return c.gone() || c.over(); })) return stuck("connections do not end");
    if (!server_.run_until([&] { return server_.current_connections() == 0; }))
      stuck("connections are left of clients that have gone");
  }

  void stuck(const std::string& what) {
    std::string text = what + "\n";
    for (const SwarmClient& client : clients_) {
      if (!client.gone() && !client.over()) text += client.describe();
    }
    server_.failures.push_back(text);
  }

  void stop_in_the_middle() {
    server_.request_stop();
    for (unsigned i = 0; i < 100 && !server_.stopped(); ++i) {
      if (!clients_.empty()) clients_[dice_.below(static_cast<unsigned>(clients_.size()))].act(dice_);
      server_.round();
    }
    server_.run_until([&] { return server_.stopped(); });
    for (SwarmClient& client : clients_) client.check_end(true);
  }

  void check_ends() {
    for (SwarmClient& client : clients_) client.check_end(false);
    // One that was parked at the limit may have given up since, and is counted when there is room for it.
    const auto counted = [&] {
      return server_.acceptor->counters().total_connections.get() +
             server_.acceptor->counters().rejected_connections.get();
    };
    const auto accepted = [&] {
      std::uint64_t count = 0;
      for (ClientId id = 0; id < clients_.size(); ++id) count += server_.world.client_accepted(id) ? 1 : 0;
      return count;
    };
    if (server_.run_until([&] { return counted() == accepted() && server_.current_connections() == 0; }))
      return;
    server_.failures.push_back("counted " + std::to_string(counted()) +
                               " connections, refused ones included, of " + std::to_string(accepted()));
  }

  // A client of nothing but this request, which is served to the end.
  void visit(const std::string& request) {
    const ClientId visitor = server_.world.connect(server_.listeners[1]);
    server_.world.client_write(visitor, request);
    server_.world.client_half_close(visitor);
    if (!server_.run_until([&] { return server_.world.client_saw_end(visitor); }))
      server_.failures.push_back("a last visitor is not served");
  }

  // After a flush all memory of items comes back by itself; what a lost pin or upload holds would not. Memory
  // that one worker freed of another's is taken back when that one allocates, so each of them, in turn,
  // stores something.
  void check_memory() {
    for (unsigned worker = 0; worker < plan_.network.workers; ++worker) {
      std::string stores;
      for (int i = 0; i < 200; ++i)
        stores += "set z" + std::to_string(worker) + ":" + std::to_string(i) + " 0 0 1\r\nz\r\n";
      visit(stores);
    }
    visit("flush_all\r\n");
    const auto chunks_used = [&] {
      std::uint64_t used = 0;
      for (unsigned i = 1; i <= server_.items().class_count(); ++i)
        used += server_.items().class_stats(i).chunks_used;
      return used;
    };
    if (server_.run_until([&] { return server_.items().stats().items == 0 && chunks_used() == 0; })) return;
    server_.failures.push_back("after a flush " + std::to_string(server_.items().stats().items) +
                               " items and " + std::to_string(chunks_used()) + " chunks are left");
  }

  void count(SwarmTally& tally) {
    const NetworkStats stats = server_.stats();
    ++tally.runs;
    tally.clients += clients_.size();
    for (ClientId id = 0; id < clients_.size(); ++id)
      tally.ended_by_fault += server_.world.client_broken_by_fault(id) ? 1 : 0;
    tally.evictions += server_.items().stats().evictions;
    tally.refused += stats.rejected_connections;
    tally.idle_kicks += stats.idle_kicks;
    tally.stopped_midway += plan_.stops_midway ? 1 : 0;
    tally.bytes_read += stats.bytes_read;
  }

  const SwarmPlan& plan_;
  SwarmServer server_;
  Dice dice_;
  SharedValues shared_;
  std::deque<SwarmClient> clients_;
};

}  // namespace

std::string run_swarm(const SwarmPlan& plan, SwarmTally& tally) {
  return SwarmRun(plan).run(tally);
}

}  // namespace ringcached::testing
