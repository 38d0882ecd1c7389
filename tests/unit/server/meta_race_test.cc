// Several clients on several workers at one item: who may recache it, who creates it.
#include <doctest/doctest.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/text_session.h"
#include "support/session_harness.h"

namespace ringcached::server {
namespace {

constexpr unsigned kClients = 4;

struct Process {
  Process() {
    store::Options options;
    options.threads = kClients + 1;
    auto created = store::Store::create(options);
    REQUIRE(created.is_ok());
    items = std::move(created.value());
    context = std::make_unique<ServerContext>(config, log, cache_clock, *items);
    for (unsigned i = 0; i < kClients; ++i) context->counters.push_back(std::make_unique<WorkerCounters>());
  }

  testing::FakeClock clock;
  CacheClock cache_clock{clock};
  Log log;
  config::Config config;
  std::unique_ptr<store::Store> items;
  std::unique_ptr<ServerContext> context;
};

// One worker with one connection. Made and used on its thread.
class Client {
 public:
  Client(Process& process, unsigned number)
      : worker_(*process.context, process.items->attach(), *process.context->counters[number]),
        session_(worker_) {}

  std::string ask(const std::string& request) {
    const Consumed consumed = session_.on_data(connection_, request);
    REQUIRE(consumed.bytes == request.size());
    return connection_.take_output();
  }

 private:
  WorkerContext worker_;
  testing::FakeConnection connection_;
  TextSession session_;
};

// Every client does `action` (number of the client, itself) on a thread of its own.
template <typename Action>
void on_all_clients(Process& process, Action action) {
  std::vector<std::jthread> threads;
  for (unsigned number = 0; number < kClients; ++number) {
    threads.emplace_back([&process, &action, number] {
      Client client(process, number);
      action(number, client);
    });
  }
}

// `prepare` is sent by one client, then `request` by all at once; how many answers end in W, in all rounds.
void check_one_winner(const std::string& prepare, const std::string& request, const std::string& loser) {
  constexpr unsigned kRounds = 400;
  Process process;
  std::barrier together(kClients);
  std::vector<std::atomic<unsigned>> winners(kRounds), losers(kRounds);
  on_all_clients(process, [&](unsigned number, Client& client) {
    for (unsigned round = 0; round < kRounds; ++round) {
      if (number == 0) client.ask(prepare);
      together.arrive_and_wait();
      const std::string answer = client.ask(request);
      if (answer.find(" W\r\n") != std::string::npos) ++winners[round];
      if (answer.find(loser) != std::string::npos) ++losers[round];
      together.arrive_and_wait();
    }
  });
  for (unsigned round = 0; round < kRounds; ++round) {
    CHECK(winners[round] == 1);
    CHECK(losers[round] == kClients - 1);
  }
}

}  // namespace

TEST_SUITE("meta races") {
  TEST_CASE("a miss with N is created once, and one client wins") {
    check_one_winner("md k q\r\n", "mg k N30 v\r\n", "VA 0 Z\r\n");
  }

  TEST_CASE("one client recaches") {
    check_one_winner("ms k 1 T10\r\nx\r\n", "mg k R30 v\r\n", "VA 1 Z\r\n");
  }

  TEST_CASE("one client wins a stale item") {
    check_one_winner("ms k 1\r\nx\r\nmd k I\r\n", "mg k v\r\n", "VA 1 Z X\r\n");
  }

  TEST_CASE("no count is lost when many create one number") {
    constexpr unsigned kTimes = 2000;
    Process process;
    std::barrier together(kClients);
    on_all_clients(process, [&](unsigned number, Client& client) {
      together.arrive_and_wait();
      for (unsigned i = 0; i < kTimes; ++i) client.ask("ma n N0 J1 q\r\n");
      together.arrive_and_wait();
      if (number != 0) return;
      CHECK(client.ask("ma n D0 v\r\n") == "VA 4\r\n" + std::to_string(kClients * kTimes) + "\r\n");
    });
  }

  TEST_CASE("no addition is lost when many join one value") {
    constexpr unsigned kAdditions = 500;
    Process process;
    on_all_clients(process, [&](unsigned number, Client& client) {
      for (unsigned i = 0; i < kAdditions; ++i) {
        client.ask(number % 2 == 0 ? "ms v 3 MA N0 q\r\nabc\r\n" : "ms v 3 MP N0 q\r\nabc\r\n");
      }
    });
    Client client(process, 0);
    CHECK(client.ask("mg v s\r\n") == "HD s" + std::to_string(3 * kClients * kAdditions) + "\r\n");
  }
}

}  // namespace ringcached::server
