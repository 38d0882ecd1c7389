// Histories of threads that meet in one store, and what explains them. RINGCACHED_LINEAR_MS and _SEED: see
// rounds.h.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "flawed_client.h"
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
    store.put(thread, request, std::string_view(filling).substr(0, random() % size_max), StoreTime::kStart);
    if (i % 64 == 0) thread.maintain(StoreTime::kStart, 300);
    if (i % 256 == 0) {
      const int to = 1 + static_cast<int>(random() % store.class_count());
      store.move_page(thread, store::Store::kAnyClass, to);
    }
  }
}

// So fast that items expire under those who use them.
void pass_time(StoreTime& time, const std::atomic<bool>& enough) {
  while (!enough.load(std::memory_order_relaxed)) {
    std::this_thread::sleep_for(std::chrono::microseconds(500));
    time.advance();
  }
}

// Rounds in one store, each with keys of its own.
void check_case(const StoreCase& wanted) {
  auto created = store::Store::create(wanted.options);
  REQUIRE(created.is_ok());
  store::Store& store = *created.value();
  HistoryClock clock;
  StoreTime time;
  std::vector<std::unique_ptr<StoreHistoryClient>> clients;
  for (unsigned i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<StoreHistoryClient>(store, clock, time, i));
  }
  std::atomic<bool> enough{false};
  std::jthread timer;
  if (wanted.workload.expiring_one_in != 0) timer = std::jthread([&] { pass_time(time, enough); });
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
  if (timer.joinable()) timer.join();
  if (wanted.workload.expiring_one_in != 0) CHECK(store.stats().found_expired > 0);
  if (wanted.pressure) {
    CHECK(store.stats().evictions > 0);
    CHECK(store.stats().pages_moved + store.stats().page_steals > 0);
  } else {
    CHECK(store.stats().evictions == 0);
  }
}

// Whether what the liars say is explained nevertheless.
LinearizabilityVerdict flawed_round(Flaw flaw, std::uint64_t seed) {
  auto store = std::move(store::Store::create(options_with(std::size_t{64} << 20)).value());
  HistoryClock clock;
  StoreTime time;
  std::atomic<bool> enough{false};
  std::jthread timer;
  if (is_about_time(flaw)) timer = std::jthread([&] { pass_time(time, enough); });
  std::vector<std::unique_ptr<StoreHistoryClient>> clients;
  for (unsigned i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<StoreHistoryClient>(*store, clock, time, i));
  }
  const HistoryWorkload workload{.keys = 2, .expiring_one_in = is_about_time(flaw) ? 3U : 0U};
  const auto history = run_clients(kClients, [&](unsigned client) {
    HistorySource source(workload, client, seed);
    FlawedClient flawed(*clients[client], flaw);
    return run_client(flawed, source, 500, 1);
  });
  enough = true;
  return check_history(history, {.may_vanish = !is_about_absence(flaw)});
}

}  // namespace

TEST_SUITE("store histories") {
  TEST_CASE("canaries: a client that lies now and then is found out, whatever about") {
    for (const Flaw flaw : kFlaws) {
      CAPTURE(static_cast<int>(flaw));
      CHECK(found_within(kCanaryRounds, [&](std::uint64_t seed) { return flawed_round(flaw, seed); }));
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

  TEST_CASE("items that expire are there until then, and not from then on") {
    check_case({"expiry", options_with(std::size_t{256} << 20), {.keys = 12, .expiring_one_in = 2}});
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
      check_case({lru ? "lru" : "s3fifo", options, {.keys = 40, .expiring_one_in = 4}, 2000, true});
    }
  }
}
