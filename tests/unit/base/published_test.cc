#include "base/published.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using ringcached::Published;

namespace {

// Many words that a torn or freed version would show to differ.
struct Version {
  explicit Version(unsigned n) { words.fill(n); }
  ~Version() { words.fill(~0U); }
  std::array<unsigned, 512> words;
};

}  // namespace

TEST_SUITE("published") {
  TEST_CASE("a reader keeps its version, the others see the new one") {
    Published<int> value(std::make_unique<const int>(1));
    value.set_readers(2);
    CHECK(*value.read(0) == 1);
    {
      const auto reading = value.read(0);
      value.replace(std::make_unique<const int>(2));
      CHECK(*reading == 1);
      CHECK(*value.read(1) == 2);
      CHECK(value.latest() == 2);
      CHECK(value.versions_kept() == 2);
      value.replace(std::make_unique<const int>(3));
      CHECK(*reading == 1);
      CHECK(value.versions_kept() == 2);
    }
    value.replace(std::make_unique<const int>(4));
    CHECK(value.versions_kept() == 1);
    CHECK(*value.read(0) == 4);
  }

  TEST_CASE("readers never see a version that is being made or freed, and never an older one again") {
    constexpr unsigned kReaders = 3;
    constexpr unsigned kVersions = 3000;
    Published<Version> value(std::make_unique<const Version>(0));
    value.set_readers(kReaders);
    std::atomic<unsigned> wrong{0};
    std::atomic<bool> done{false};
    std::vector<std::thread> readers;
    for (unsigned reader = 0; reader < kReaders; ++reader) {
      readers.emplace_back([&, reader] {
        unsigned last = 0;
        while (!done.load(std::memory_order_relaxed)) {
          const auto reading = value.read(reader);
          const unsigned first = reading->words[0];
          for (const unsigned word : reading->words) wrong += word != first;
          wrong += first < last;
          last = first;
        }
      });
    }
    for (unsigned n = 1; n <= kVersions; ++n) value.replace(std::make_unique<const Version>(n));
    done = true;
    for (std::thread& reader : readers) reader.join();
    CHECK(wrong == 0);
    CHECK(value.read(0)->words[0] == kVersions);
    CHECK(value.versions_kept() <= 1 + kReaders);
  }
}
