// Workers log clients in while the main thread reads the password file again; run under the thread sanitizer.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "server/authentication.h"
#include "support/temporary_directory.h"

using namespace ringcached;
using ringcached::server::Authentication;
using ringcached::testing::TemporaryDirectory;

TEST_SUITE("authentication threads") {
  TEST_CASE("a user that is in every version can always log in, one that is in none never") {
    constexpr unsigned kWorkers = 3;
    constexpr int kReloads = 300;
    const TemporaryDirectory directory;
    Log log(-1);
    config::Config config;
    config.text_password_file = directory.write("users", "stays:x\n");
    auto opened = Authentication::open(config, log);
    REQUIRE(opened.is_ok());
    Authentication& authentication = opened.value();
    authentication.set_workers(kWorkers);

    std::atomic<bool> done{false};
    std::atomic<unsigned> wrong{0};
    std::array<std::atomic<unsigned>, 2> seen{};
    std::vector<std::thread> workers;
    for (unsigned worker = 0; worker < kWorkers; ++worker) {
      workers.emplace_back([&, worker] {
        while (!done.load(std::memory_order_relaxed)) {
          wrong += !authentication.accepts_text(worker, "stays", "x");
          wrong += authentication.accepts_text(worker, "never", "x");
          ++seen[authentication.accepts_text(worker, "comes and goes", "x") ? 1 : 0];
        }
      });
    }
    for (int i = 0; i < kReloads || seen[0] == 0 || seen[1] == 0; ++i) {
      static constexpr std::array<const char*, 3> kVersions = {"stays:x\ncomes and goes:x\n",
                                                               "other:y\nstays:x\n", "malformed\n"};
      directory.write("users", kVersions[static_cast<std::size_t>(i) % kVersions.size()]);
      authentication.reload();
    }
    done = true;
    for (std::thread& worker : workers) worker.join();
    CHECK(wrong == 0);
  }
}
