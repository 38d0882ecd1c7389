// The log when its reader is slow, asleep or gone.
#include "base/log.h"

#include <doctest/doctest.h>
#include <signal.h>

#include <array>
#include <atomic>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/pipe.h"

using namespace ringcached;
using ringcached::testing::Pipe;

namespace {

// All that still comes.
std::string drain(const Pipe& pipe, Log& log) {
  std::string all = pipe.read();
  while (log.waiting_descriptor() >= 0) {
    log.continue_writing();
    all += pipe.read();
  }
  return all;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string numbered(unsigned number) {
  return "line " + std::to_string(number) + std::string(90, '.');
}

}  // namespace

TEST_SUITE("log") {
  TEST_CASE("lines of the levels that are on, whole, at once") {
    for (const bool waits : {true, false}) {
      const Pipe pipe;
      Log log(1, pipe.writable());
      unsigned woken = 0;
      if (!waits) log.never_wait([&] { ++woken; });
      log.write(LogLevel::kError, "one");
      log.write(LogLevel::kDebug, "not this one");
      log.write(LogLevel::kInfo, "");
      CHECK(pipe.read() == "ringcached: one\nringcached: \n");
      CHECK(log.waiting_descriptor() == -1);
      CHECK(woken == 0);
    }
  }

  TEST_CASE("what a slow reader has no room for is kept, in its order, and nothing is lost") {
    const Pipe pipe;
    Log log(0, pipe.writable());
    unsigned woken = 0;
    log.never_wait([&] { ++woken; });
    constexpr unsigned kLines = 5000;  // the pipe has 64 KiB
    for (unsigned i = 0; i < kLines; ++i) log.write(LogLevel::kError, numbered(i));
    CHECK(woken == 1);
    CHECK(log.waiting_descriptor() == pipe.writable());
    log.continue_writing();  // still no room
    CHECK(log.waiting_descriptor() == pipe.writable());
    CHECK(woken == 1);
    const std::vector<std::string> lines = lines_of(drain(pipe, log));
    REQUIRE(lines.size() == kLines);
    for (unsigned i = 0; i < kLines; ++i) REQUIRE(lines[i] == "ringcached: " + numbered(i));
    CHECK(log.lines_dropped() == 0);
    log.write(LogLevel::kError, "as before");
    CHECK(pipe.read() == "ringcached: as before\n");
  }

  TEST_CASE("lines beyond what is kept are dropped, counted, and told of in their place") {
    const Pipe pipe;
    Log log(0, pipe.writable());
    log.never_wait([] {});
    constexpr unsigned kLines = 30000;
    for (unsigned i = 0; i < kLines; ++i) log.write(LogLevel::kError, numbered(i));
    const auto dropped = static_cast<unsigned>(log.lines_dropped());
    CHECK(dropped > kLines / 2);
    CHECK(dropped < kLines);
    std::vector<std::string> lines = lines_of(drain(pipe, log));
    REQUIRE(lines.size() == kLines - dropped + 1);
    for (unsigned i = 0; i < kLines - dropped; ++i) REQUIRE(lines[i] == "ringcached: " + numbered(i));
    CHECK(lines.back() == "ringcached: " + std::to_string(dropped) +
                              " lines of the log are missing here: nobody has read them in time");
    for (unsigned i = 0; i < 1000; ++i) log.write(LogLevel::kError, numbered(i));
    lines = lines_of(drain(pipe, log));
    CHECK(lines.size() == 1000);
    CHECK(lines.back() == "ringcached: " + numbered(999));
    CHECK(log.lines_dropped() == dropped);
  }

  TEST_CASE("a reader that is gone stops nobody and leaves nothing behind") {
    ::signal(SIGPIPE, SIG_IGN);
    Pipe pipe;
    Log log(0, pipe.writable());
    log.never_wait([] {});
    for (unsigned i = 0; i < 2000; ++i) log.write(LogLevel::kError, numbered(i));
    pipe.stop_reading();
    for (unsigned i = 0; log.waiting_descriptor() >= 0; ++i) {
      REQUIRE(i < 100);
      log.continue_writing();
    }
    log.write(LogLevel::kError, "nobody hears");
    CHECK(log.waiting_descriptor() == -1);
    CHECK(log.lines_dropped() == 0);
  }

  TEST_CASE("a long line, and one who reads a little at a time") {
    const Pipe pipe;
    Log log(0, pipe.writable());
    log.never_wait([] {});
    const std::string line(200'000, 'x');
    log.write(LogLevel::kError, line);
    log.write(LogLevel::kError, "behind it");
    std::string all;
    while (log.waiting_descriptor() >= 0) {
      all += pipe.read(1000);
      log.continue_writing();
    }
    for (std::string more = pipe.read(); !more.empty(); more = pipe.read()) all += more;
    CHECK(all == "ringcached: " + line + "\nringcached: behind it\n");
  }

  TEST_CASE(
      "many threads, one slow reader: whole lines, each thread's in their order, none unaccounted for") {
    constexpr unsigned kThreads = 3, kLines = 12000;
    const Pipe pipe;
    Log log(0, pipe.writable());
    std::atomic<bool> woken{false};
    log.never_wait([&] { woken.store(true); });
    std::atomic<unsigned> running{kThreads};
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (unsigned i = 0; i < kLines; ++i)
          log.write(LogLevel::kError, std::to_string(thread) + " " + numbered(i));
        running.fetch_sub(1);
      });
    }
    std::string all;
    while (running.load() > 0) {
      if (woken.exchange(false) || log.waiting_descriptor() >= 0) log.continue_writing();
      all += pipe.read(20'000);
    }
    for (std::thread& thread : threads) thread.join();
    all += drain(pipe, log);
    std::array<unsigned, kThreads> next{};
    unsigned missing = 0;
    for (const std::string& line : lines_of(all)) {
      std::istringstream words(line.substr(std::string("ringcached: ").size()));
      unsigned number = 0, of_line = 0;
      std::string word;
      words >> number >> word;
      if (word == "lines") {
        missing += number;
        continue;
      }
      REQUIRE(number < kThreads);
      words >> of_line;
      REQUIRE(line == "ringcached: " + std::to_string(number) + " " + numbered(of_line));
      REQUIRE(of_line >= next[number]);
      missing -= of_line - next[number];
      next[number] = of_line + 1;
    }
    for (const unsigned of_thread : next) missing -= kLines - of_thread;
    CHECK(missing == 0);
  }
}
