// A program with a cache inside: word counts shared by threads, and a session that expires.
// Uses the public header only.
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "ringcached/store.h"

namespace {

constexpr unsigned kThreads = 4;
constexpr unsigned kCountsPerThread = 10000;

// Every thread has a handle of its own; the keys are shared.
void count_words(ringcached::Store& store) {
  auto handle = store.attach();
  if (!handle) {
    std::fprintf(stderr, "%s\n", handle.status().message().c_str());
    return;
  }
  for (unsigned i = 0; i < kCountsPerThread; ++i) handle.value().increment(i % 2 == 0 ? "even" : "odd");
}

int run(ringcached::Store& store) {
  auto attached = store.attach();
  if (!attached) {
    std::fprintf(stderr, "%s\n", attached.status().message().c_str());
    return 1;
  }
  ringcached::StoreHandle& handle = attached.value();
  handle.set("even", "0");
  handle.set("odd", "0");

  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back([&store] { count_words(store); });
  for (std::thread& thread : threads) thread.join();

  std::string even, odd;
  const bool counted = handle.get("even", even) && handle.get("odd", odd);
  std::printf("even %s, odd %s\n", even.c_str(), odd.c_str());

  handle.set("session", "alice", {.flags = 1, .time_to_live = std::chrono::minutes(30)});
  ringcached::ItemDetails details;
  std::string user;
  if (!handle.get("session", user, &details)) return 1;
  std::printf("session of %s, %lld s left\n", user.c_str(),
              static_cast<long long>(details.time_left.count()));
  if (handle.compare_and_swap("session", "bob", details.version) != ringcached::StoreOutcome::kStored)
    return 1;
  if (handle.compare_and_swap("session", "eve", details.version) != ringcached::StoreOutcome::kExists)
    return 1;

  const ringcached::StoreStatistics statistics = store.statistics();
  std::printf("%llu items in %zu bytes of pages\n", static_cast<unsigned long long>(statistics.items),
              statistics.memory_used_bytes);
  const std::string expected = std::to_string(kThreads * kCountsPerThread / 2);
  return counted && even == expected && odd == expected ? 0 : 1;
}

}  // namespace

int main() {
  auto store =
      ringcached::Store::open({.memory_limit_bytes = std::size_t{16} << 20, .threads = kThreads + 1});
  if (!store) {
    std::fprintf(stderr, "%s\n", store.status().message().c_str());
    return 1;
  }
  return run(*store.value());
}
