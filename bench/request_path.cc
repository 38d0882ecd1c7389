// What requests cost in user space alone: sessions over the store, without sockets and kernel, for the work
// on the code between them. Prints the fastest of many short windows, which other work on the machine hardly
// touches, in nanoseconds per request.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "server/negotiation.h"
#include "support/session_harness.h"

namespace ringcached::bench {
namespace {

constexpr std::size_t kBatchesPerWindow = 200;
constexpr std::size_t kWindows = 400;
constexpr std::size_t kValueBytes = 32;

std::string key_of(std::size_t number) {
  char text[17];
  std::snprintf(text, sizeof text, "key-%012zu", number);
  return text;
}

std::string request_of(bool sets, std::size_t number) {
  if (!sets) return "get " + key_of(number) + "\r\n";
  return "set " + key_of(number) + " 0 0 32\r\n" + std::string(kValueBytes, 'v') + "\r\n";
}

std::vector<std::string> batches_of(bool sets, std::size_t depth, std::size_t keys) {
  std::mt19937_64 random(1);
  std::vector<std::string> batches(20000);
  for (std::string& batch : batches) {
    for (std::size_t i = 0; i < depth; ++i) batch += request_of(sets, random() % keys);
  }
  return batches;
}

// The engine's share of a send: the bytes are taken, the blocks go back.
void send_all(testing::FakeConnection& connection) {
  auto& queue = static_cast<net::SendQueue&>(connection.output());
  while (queue.unsent() > 0) queue.complete(queue.begin().bytes);
}

double fastest_ns(testing::SessionHarness& harness, const std::vector<std::string>& batches,
                  std::size_t depth) {
  auto handler = server::make_first_handler(harness.worker(), harness.connection());
  (void)handler->on_data(harness.connection(), batches[0]);
  send_all(harness.connection());
  std::unique_ptr<ConnectionHandler> session = handler->successor();
  double fastest = std::numeric_limits<double>::infinity();
  std::size_t next = 0;
  for (std::size_t window = 0; window < kWindows; ++window) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < kBatchesPerWindow; ++i) {
      const std::string& batch = batches[next];
      next = next + 1 == batches.size() ? 0 : next + 1;
      (void)session->on_data(harness.connection(), batch);
      send_all(harness.connection());
    }
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    fastest = std::min(fastest, took.count() / static_cast<double>(kBatchesPerWindow * depth));
  }
  return fastest;
}

std::size_t number_of(std::string_view text) {
  std::size_t number = 1;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

struct Case {
  bool sets;
  std::size_t depth;
  std::size_t keys;
};

void fill(testing::SessionHarness& harness, std::size_t keys) {
  for (std::size_t i = 0; i < keys; ++i) harness.feed(request_of(true, i));
}

void measure(testing::SessionHarness& harness, const Case& wanted) {
  const double ns = fastest_ns(harness, batches_of(wanted.sets, wanted.depth, wanted.keys), wanted.depth);
  std::printf("%-4s %2zu in flight, %8zu keys: %6.1f ns\n", wanted.sets ? "set" : "get", wanted.depth,
              wanted.keys, ns);
}

int run(int argc, char** argv) {
  store::Options options;
  options.memory_limit_bytes = std::size_t{1} << 30;
  if (argc == 4) {
    const Case wanted{argv[1] == std::string_view("set"), number_of(argv[2]), number_of(argv[3])};
    testing::SessionHarness harness(options);
    fill(harness, wanted.keys);
    measure(harness, wanted);
    return 0;
  }
  for (const std::size_t keys : {std::size_t{1000}, std::size_t{100000}, std::size_t{1000000}}) {
    testing::SessionHarness harness(options);
    fill(harness, keys);
    for (const bool sets : {false, true}) {
      for (const std::size_t depth : {std::size_t{1}, std::size_t{16}}) measure(harness, {sets, depth, keys});
    }
  }
  return 0;
}

}  // namespace
}  // namespace ringcached::bench

int main(int argc, char** argv) {
  return ringcached::bench::run(argc, argv);
}
