// Histories of many connections to a running server: engine, sessions, store. The server runs in this
// process, so that the sanitizers see both sides. RINGCACHED_LINEAR_MS and _SEED: see rounds.h.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "flawed_client.h"
#include "rounds.h"
#include "server/server.h"
#include "support/linearizability.h"
#include "wire_client.h"

using namespace ringcached;
using namespace ringcached::testing;

namespace {

constexpr unsigned kClients = 8;
constexpr unsigned kWorkers = 4;

// A server on a free port of 127.0.0.1.
class RunningServer {
 public:
  explicit RunningServer(const config::Config& config) : config_(config) {
    config_.listeners = {{.host = "127.0.0.1"}};
    config_.threads.workers = kWorkers;
    config_.threads.pin = false;
    auto created = server::Server::create(config_, log_, authentication_, [] {});
    REQUIRE_MESSAGE(created.is_ok(), created.status().message());
    server_ = std::move(created.value());
    REQUIRE(server_->start().is_ok());
  }
  ~RunningServer() {
    server_->stop();
    server_->join();
  }
  std::uint16_t port() const { return server_->network().bound().front().port; }

 private:
  config::Config config_;
  Log log_;
  server::Authentication authentication_;
  std::unique_ptr<server::Server> server_;
};

struct ServerCase {
  const char* name;
  config::Config config;
  HistoryWorkload workload;
  unsigned operations = 150;  // of each client and round
  unsigned pipeline_max = 1;
  bool pressure = false;  // another client fills the memory
  unsigned binary = 0;    // so many of the clients speak the binary dialect
  std::chrono::microseconds pause_max{};
};

config::Config config_with(std::uint64_t memory_bytes) {
  config::Config config;
  config.memory.limit_bytes = memory_bytes;
  return config;
}

// Values of sizes that change, so that size classes give pages up to each other.
void press(std::uint16_t port, HistoryClock& clock, const std::atomic<bool>& enough) {
  constexpr unsigned kPipeline = 16;
  WireHistoryClient client(port, clock, 99);
  std::mt19937_64 random(99);
  std::vector<HistoryClient::Request> requests(kPipeline);
  for (unsigned i = 0; !enough && !client.failed(); ++i) {
    const std::size_t size_max = std::size_t{100} << (i / 64 % 6);
    for (HistoryClient::Request& request : requests) {
      request.operation = {.key = 1'000'000 + static_cast<unsigned>(random() % 8000),
                           .verb = HistoryVerb::kSet};
      request.payload.assign(random() % size_max, 'p');
    }
    client.execute(requests);
    if (i % 16 == 0) client.ask("slabs reassign -1 " + std::to_string(1 + random() % 60));
  }
}

std::vector<std::unique_ptr<HistoryClient>> clients_of(std::uint16_t port, HistoryClock& clock,
                                                       unsigned binary) {
  std::vector<std::unique_ptr<HistoryClient>> clients;
  for (unsigned i = 0; i < kClients; ++i) {
    if (i < binary) {
      clients.push_back(std::make_unique<BinaryHistoryClient>(port, clock, i));
    } else {
      clients.push_back(std::make_unique<WireHistoryClient>(port, clock, i));
    }
  }
  return clients;
}

// As if everything that expired should have done so at another time, in milliseconds.
std::vector<HistoryOperation> shifted(std::vector<HistoryOperation> history, std::int64_t by) {
  for (HistoryOperation& operation : history) {
    if (operation.exptime <= 0) continue;
    operation.expires.min += static_cast<std::uint64_t>(by);
    operation.expires.max += static_cast<std::uint64_t>(by);
  }
  return history;
}

void check_case(const ServerCase& wanted) {
  RunningServer server(wanted.config);
  HistoryClock clock;
  const auto clients = clients_of(server.port(), clock, wanted.binary);
  std::atomic<bool> enough{false};
  std::jthread presser;
  if (wanted.pressure) presser = std::jthread([&] { press(server.port(), clock, enough); });
  HistoryWorkload workload = wanted.workload;
  workload.cas = wanted.config.store.cas_enabled;
  for_a_while([&](std::uint64_t seed) {
    const auto history = run_clients(kClients, [&](unsigned client) {
      HistorySource source(workload, client, seed);
      return run_client(*clients[client], source, wanted.operations, wanted.pipeline_max, wanted.pause_max);
    });
    workload.first_key += 2 * workload.keys;
    const LinearizabilityVerdict verdict = check_history(history, {.may_vanish = wanted.pressure});
    INFO(wanted.name, ", RINGCACHED_LINEAR_SEED=", seed);
    CHECK_MESSAGE(verdict, verdict.report);
    if (verdict && workload.expiring_one_in != 0) {
      // Canaries: the bounds are so narrow that a second and a half are noticed.
      CHECK(check_history(shifted(history, 1500)).result == Linearizability::kViolated);
      CHECK(check_history(shifted(history, -1500)).result == Linearizability::kViolated);
    }
    unsigned unanswered = 0;
    for (const HistoryOperation& operation : history) {
      unanswered += operation.outcome == HistoryOutcome::kUnknown ? 1 : 0;
    }
    CHECK(unanswered == 0);
    return static_cast<bool>(verdict) && unanswered == 0;
  });
  enough = true;
  if (presser.joinable()) presser.join();
  WireHistoryClient observer(server.port(), clock, kClients);
  CHECK((observer.statistic("evictions") > 0) == wanted.pressure);
  if (wanted.pressure) CHECK(observer.statistic("slabs_moved") > 0);
  if (workload.expiring_one_in != 0) CHECK(observer.statistic("get_expired") > 0);
}

}  // namespace

TEST_SUITE("server histories") {
  TEST_CASE("canaries: a binary client that lies now and then is found out") {
    RunningServer server(config_with(std::uint64_t{64} << 20));
    HistoryClock clock;
    const auto clients = clients_of(server.port(), clock, kClients);
    unsigned first_key = 0;
    for (const Flaw flaw : {Flaw::kStaleRead, Flaw::kLostWrite, Flaw::kDoubleSwap, Flaw::kEarlyMiss}) {
      CAPTURE(static_cast<int>(flaw));
      CHECK(found_within(kCanaryRounds, [&](std::uint64_t seed) {
        const HistoryWorkload workload{.keys = 2, .first_key = first_key};
        first_key += workload.keys;
        const auto history = run_clients(kClients, [&](unsigned client) {
          HistorySource source(workload, client, seed);
          FlawedClient flawed(*clients[client], flaw);
          return run_client(flawed, source, 100, 1);
        });
        return check_history(history, {.may_vanish = !is_about_absence(flaw)});
      }));
    }
  }

  TEST_CASE("one request at a time") {
    check_case({"single", config_with(std::uint64_t{1} << 30), {}});
  }

  TEST_CASE("pipelined") {
    check_case({"pipelined", config_with(std::uint64_t{1} << 30), {.keys = 12}, 300, 24});
  }

  TEST_CASE("pipelined, with flushes in between") {
    check_case({"flush", config_with(std::uint64_t{256} << 20), {.keys = 12, .flush_one_in = 200}, 300, 24});
  }

  TEST_CASE("half of the clients binary, pipelined, with flushes in between") {
    check_case({.name = "binary",
                .config = config_with(std::uint64_t{256} << 20),
                .workload = {.keys = 12, .flush_one_in = 400},
                .operations = 300,
                .pipeline_max = 24,
                .binary = kClients / 2});
  }

  TEST_CASE("in all dialects, items that expire are there until then, and not from then on") {
    check_case({.name = "expiry",
                .config = config_with(std::uint64_t{256} << 20),
                .workload = {.keys = 40, .expiring_one_in = 2, .exptime_max = 2},
                .operations = 700,
                .pipeline_max = 6,
                .binary = kClients / 2,
                .pause_max = std::chrono::microseconds(20'000)});
  }

  TEST_CASE("on epoll") {
    config::Config config = config_with(std::uint64_t{256} << 20);
    config.io.backend = IoBackend::kEpoll;
    check_case({"epoll", config, {.keys = 12}, 300, 24, false, kClients / 2});
  }

  TEST_CASE("without ids") {
    config::Config config = config_with(std::uint64_t{256} << 20);
    config.store.cas_enabled = false;
    check_case({"without ids", config, {}});
  }

  TEST_CASE("under eviction and page moves, what has vanished does not come back") {
    check_case({"eviction", config_with(std::uint64_t{8} << 20), {.keys = 60}, 600, 16, true, kClients / 2});
  }
}
