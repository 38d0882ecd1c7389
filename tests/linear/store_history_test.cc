// Histories of threads that meet in one store, and what explains them. RINGCACHED_LINEAR_MS and _SEED: see
// rounds.h.
#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "rounds.h"
#include "store_client.h"
#include "support/linearizability.h"

using namespace ringcached;
using namespace ringcached::testing;

namespace {

constexpr unsigned kClients = 4;
constexpr unsigned kPipelineMax = 4;  // requests whose items are asked for ahead together

struct StoreCase {
  const char* name;
  store::Options options;
  HistoryWorkload workload;
  unsigned operations = 400;  // of each client and round
  bool pressure = false;      // another thread fills the memory, in sizes that change, and moves pages
};

store::Options options_with(std::size_t memory_bytes) {
  store::Options options;
  options.threads = kClients + 1;
  options.memory_limit_bytes = memory_bytes;
  options.index_power_initial = 4;
  options.hash_seed = 1;
  return options;
}

// Writes other keys until told to end: larger ones, then smaller ones, so that classes give pages up to each
// other.
void press(store::Store& store, const std::atomic<bool>& enough) {
  store::StoreThread& thread = store.attach();
  const std::string filling(60000, 'p');
  std::mt19937_64 random(7);
  for (unsigned i = 0; !enough.load(std::memory_order_relaxed); ++i) {
    const std::size_t size_max = std::size_t{100} << (i / 512 % 9);
    const std::string name = "pressure-" + std::to_string(random() % 5000);
    store::StoreRequest request;
    request.key = store.key(name);
    store.put(thread, request, std::string_view(filling).substr(0, random() % size_max),
              StoreHistoryClient::kNow);
    if (i % 64 == 0) thread.maintain(StoreHistoryClient::kNow, 300);
    if (i % 256 == 0) {
      const int to = 1 + static_cast<int>(random() % store.class_count());
      store.move_page(thread, store::Store::kAnyClass, to);
    }
  }
}

// Canaries: what is wrong with them must be found.
enum class Flaw { kStaleRead, kLostWrite, kDoubleSwap };

class FlawedClient final : public HistoryClient {
 public:
  FlawedClient(HistoryClient& honest, Flaw flaw) : honest_(honest), flaw_(flaw) {}

  void execute(std::span<Request> requests) override {
    for (Request& request : requests) {
      // Swaps that come too late are rare enough.
      const unsigned lie_one_in = flaw_ == Flaw::kDoubleSwap ? 1 : 50;
      if (++count_ % lie_one_in != 0 || !lie(request)) {
        honest_.execute({&request, 1});
        remember(request.operation);
      }
    }
  }

 private:
  void remember(const HistoryOperation& operation) {
    if (operation.verb == HistoryVerb::kGet) seen_[operation.key] = operation;
  }
  // A get answered by the hit before; a set, or a swap that came too late, that is said to have been done.
  bool lie(Request& request) {
    HistoryOperation& operation = request.operation;
    if (flaw_ == Flaw::kStaleRead && operation.verb == HistoryVerb::kGet && seen_.contains(operation.key)) {
      const HistoryOperation& old = seen_.at(operation.key);
      honest_.execute({&request, 1});
      operation.outcome = old.outcome;
      operation.value = old.value;
      operation.cas = old.cas;
      return true;
    }
    if (flaw_ == Flaw::kLostWrite && operation.verb == HistoryVerb::kAppend) {
      Request get{{.client = operation.client, .key = operation.key}, {}};
      honest_.execute({&get, 1});
      if (get.operation.outcome != HistoryOutcome::kDone) return false;
      operation.outcome = HistoryOutcome::kDone;
      operation.invoked = get.operation.invoked;
      operation.returned = get.operation.returned;
      return true;
    }
    if (flaw_ == Flaw::kDoubleSwap && operation.verb == HistoryVerb::kCas) {
      honest_.execute({&request, 1});
      if (operation.outcome == HistoryOutcome::kExists) operation.outcome = HistoryOutcome::kDone;
      return true;
    }
    --count_;  // the next one, then
    return false;
  }

  HistoryClient& honest_;
  const Flaw flaw_;
  unsigned count_ = 0;
  std::map<unsigned, HistoryOperation> seen_;
};

// Rounds in one store, each with keys of its own.
void check_case(const StoreCase& wanted) {
  auto created = store::Store::create(wanted.options);
  REQUIRE(created.is_ok());
  store::Store& store = *created.value();
  HistoryClock clock;
  std::vector<std::unique_ptr<StoreHistoryClient>> clients;
  for (unsigned i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<StoreHistoryClient>(store, clock, i));
  }
  std::atomic<bool> enough{false};
  std::jthread presser;
  if (wanted.pressure) presser = std::jthread([&] { press(store, enough); });
  HistoryWorkload workload = wanted.workload;
  workload.cas = wanted.options.cas;
  for_a_while([&](std::uint64_t seed) {
    const auto history = run_clients(kClients, [&](unsigned client) {
      HistorySource source(workload, client, seed);
      return run_client(*clients[client], source, wanted.operations, kPipelineMax);
    });
    workload.first_key += 2 * workload.keys;
    const LinearizabilityVerdict verdict = check_history(history, {.may_vanish = wanted.pressure});
    INFO(wanted.name, ", RINGCACHED_LINEAR_SEED=", seed);
    CHECK_MESSAGE(verdict, verdict.report);
    return static_cast<bool>(verdict);
  });
  enough = true;
  if (presser.joinable()) presser.join();
  if (wanted.pressure) {
    CHECK(store.stats().evictions > 0);
    CHECK(store.stats().pages_moved + store.stats().page_steals > 0);
  } else {
    CHECK(store.stats().evictions == 0);
  }
}

}  // namespace

TEST_SUITE("store histories") {
  TEST_CASE("canaries: a stale read, a lost append, two swaps of one version") {
    for (const Flaw flaw : {Flaw::kStaleRead, Flaw::kLostWrite, Flaw::kDoubleSwap}) {
      auto store = std::move(store::Store::create(options_with(std::size_t{64} << 20)).value());
      HistoryClock clock;
      std::vector<std::unique_ptr<StoreHistoryClient>> clients;
      for (unsigned i = 0; i < kClients; ++i) {
        clients.push_back(std::make_unique<StoreHistoryClient>(*store, clock, i));
      }
      const auto history = run_clients(kClients, [&](unsigned client) {
        HistorySource source({.keys = 2}, client, 1);
        FlawedClient flawed(*clients[client], flaw);
        return run_client(flawed, source, 500, 1);
      });
      CAPTURE(static_cast<int>(flaw));
      CHECK(check_history(history, {.may_vanish = true}).result == Linearizability::kViolated);
    }
  }

  TEST_CASE("with memory to spare every answer is explained, and nothing vanishes") {
    check_case({"ample", options_with(std::size_t{1} << 30), {}});
  }

  TEST_CASE("one register, one counter") {
    check_case({"hot", options_with(std::size_t{256} << 20), {.keys = 2, .long_one_in = 400}, 200});
  }

  TEST_CASE("flushes in between") {
    check_case({"flush", options_with(std::size_t{256} << 20), {.flush_one_in = 50}});
  }

  TEST_CASE("without ids") {
    store::Options options = options_with(std::size_t{256} << 20);
    options.cas = false;
    check_case({"without ids", options, {}});
  }

  TEST_CASE("under eviction and page moves, what has vanished does not come back") {
    for (const bool lru : {false, true}) {
      store::Options options = options_with(std::size_t{4} << 20);
      options.lru = lru;
      check_case({lru ? "lru" : "s3fifo", options, {.keys = 40}, 2000, true});
    }
  }
}
