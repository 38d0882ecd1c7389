// Histories of many connections to a running server: engine, sessions, store. The server runs in this
// process, so that the sanitizers see both sides. RINGCACHED_LINEAR_MS and _SEED: see rounds.h.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

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

void check_case(const ServerCase& wanted) {
  RunningServer server(wanted.config);
  HistoryClock clock;
  std::vector<std::unique_ptr<WireHistoryClient>> clients;
  for (unsigned i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<WireHistoryClient>(server.port(), clock, i));
  }
  std::atomic<bool> enough{false};
  std::jthread presser;
  if (wanted.pressure) presser = std::jthread([&] { press(server.port(), clock, enough); });
  HistoryWorkload workload = wanted.workload;
  workload.cas = wanted.config.store.cas_enabled;
  for_a_while([&](std::uint64_t seed) {
    const auto history = run_clients(kClients, [&](unsigned client) {
      HistorySource source(workload, client, seed);
      return run_client(*clients[client], source, wanted.operations, wanted.pipeline_max);
    });
    workload.first_key += 2 * workload.keys;
    const LinearizabilityVerdict verdict = check_history(history, {.may_vanish = wanted.pressure});
    INFO(wanted.name, ", RINGCACHED_LINEAR_SEED=", seed);
    CHECK_MESSAGE(verdict, verdict.report);
    unsigned unanswered = 0;
    for (const HistoryOperation& operation : history) {
      unanswered += operation.outcome == HistoryOutcome::kUnknown ? 1 : 0;
    }
    CHECK(unanswered == 0);
    return static_cast<bool>(verdict) && unanswered == 0;
  });
  enough = true;
  if (presser.joinable()) presser.join();
  const std::uint64_t evictions = clients[0]->statistic("evictions");
  CHECK((evictions > 0) == wanted.pressure);
  if (wanted.pressure) CHECK(clients[0]->statistic("slabs_moved") > 0);
}

}  // namespace

TEST_SUITE("server histories") {
  TEST_CASE("one request at a time") {
    check_case({"single", config_with(std::uint64_t{1} << 30), {}});
  }

  TEST_CASE("pipelined") {
    check_case({"pipelined", config_with(std::uint64_t{1} << 30), {.keys = 12}, 300, 24});
  }

  TEST_CASE("pipelined, with flushes in between") {
    check_case({"flush", config_with(std::uint64_t{256} << 20), {.keys = 12, .flush_one_in = 200}, 300, 24});
  }

  TEST_CASE("on epoll") {
    config::Config config = config_with(std::uint64_t{256} << 20);
    config.io.backend = IoBackend::kEpoll;
    check_case({"epoll", config, {.keys = 12}, 300, 24});
  }

  TEST_CASE("without ids") {
    config::Config config = config_with(std::uint64_t{256} << 20);
    config.store.cas_enabled = false;
    check_case({"without ids", config, {}});
  }

  TEST_CASE("under eviction and page moves, what has vanished does not come back") {
    check_case({"eviction", config_with(std::uint64_t{8} << 20), {.keys = 60}, 600, 16, true});
  }
}
