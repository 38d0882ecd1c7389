// Writers, arenas and watchers that come and go, on threads of their own: every line whole, none invented,
// none twice, and the sums right. For the thread sanitizer.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <charconv>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "server/event_log.h"

using namespace ringcached;
using namespace ringcached::server;

namespace {

constexpr unsigned kWriters = 3;

// A watcher as its worker serves it: takes what is there, checks it line by line.
class Reader {
 public:
  void take(Watcher& watcher) {
    while (!watcher.waiting().empty()) {
      const std::string_view piece = watcher.waiting();
      text_ += piece;
      watcher.sent(piece.size());
    }
    std::size_t start = 0;
    for (std::size_t end; (end = text_.find('\n', start)) != std::string::npos; start = end + 1) {
      check(std::string_view(text_).substr(start, end - start));
    }
    text_.erase(0, start);
  }
  bool in_the_middle() const { return !text_.empty(); }

  std::uint64_t lines = 0, skipped = 0;
  bool sound = true;

 private:
  static std::uint64_t number_after(std::string_view line, std::string_view word) {
    const std::size_t at = line.find(word);
    if (at == std::string_view::npos) return ~std::uint64_t{0};
    std::uint64_t number = ~std::uint64_t{0};
    std::from_chars(line.data() + at + word.size(), line.data() + line.size(), number);
    return number;
  }

  // Key and size carry the writer and its count: both rise within a writer.
  void check(std::string_view line) {
    if (line.starts_with("skipped=")) {
      skipped += number_after(line, "skipped=");
      return;
    }
    ++lines;
    const std::uint64_t writer = number_after(line, "key=w");
    const std::uint64_t count = number_after(line, "size=");
    const std::uint64_t gid = number_after(line, "gid=");
    if (!line.starts_with("ts=") || writer >= kWriters || count <= counts_[writer] || gid <= gids_[writer]) {
      sound = false;
      return;
    }
    counts_[writer] = count;
    gids_[writer] = gid;
  }

  std::string text_;
  std::array<std::uint64_t, kWriters> counts_{};
  std::array<std::uint64_t, kWriters> gids_{};
};

}  // namespace

TEST_SUITE("watch_threads") {
  TEST_CASE("writers write and pump while watchers come, read, do not read, and go") {
    EventLog log(kWriters, 4096, 8192);
    std::atomic<bool> stop{false};
    std::atomic<unsigned> unsound{0};
    std::vector<std::thread> threads;
    for (unsigned writer = 0; writer < kWriters; ++writer) {
      threads.emplace_back([&, writer] {
        const std::string key = "w" + std::to_string(writer);
        for (std::uint32_t count = 1; !stop.load(); ++count) {
          if (log.wants(EventStream::kFetchers)) {
            Event event{.stream = EventStream::kFetchers};
            event.value_bytes = count;
            log.record(writer, event, key);
          }
          if (log.wants_evictions()) log.on_eviction(writer, {.key = key, .value_bytes = count});
          if (count % 16 == 0) {
            log.pump();
            log.tidy();
          }
        }
      });
    }
    for (unsigned i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        for (unsigned round = 0; round < 20; ++round) {
          Watcher* watcher = nullptr;
          const auto stream = (round + i) % 3 == 0 ? EventStream::kEvictions : EventStream::kFetchers;
          if (log.join(mask_of(stream), watcher) != EventLog::JoinResult::kJoined) {
            ++unsound;
            continue;
          }
          Reader reader;
          for (unsigned turn = 0; turn < 200; ++turn) {
            if (round % 4 != 3) reader.take(*watcher);
            if (turn % 10 == 0) log.pump();
            std::this_thread::yield();
          }
          reader.take(*watcher);
          if (!reader.sound) ++unsound;
          log.leave(*watcher);
        }
      });
    }
    threads[kWriters].join();
    threads[kWriters + 1].join();
    stop = true;
    for (unsigned writer = 0; writer < kWriters; ++writer) threads[writer].join();
    CHECK(unsound.load() == 0);
    CHECK(log.figures().watchers == 0);
    CHECK(log.figures().rings_written > 0);
  }

  TEST_CASE("what is written, sent, skipped and dropped adds up") {
    EventLog log(kWriters, 4096, 16384);
    Watcher* watcher = nullptr;
    REQUIRE(log.join(mask_of(EventStream::kFetchers), watcher) == EventLog::JoinResult::kJoined);
    constexpr std::uint32_t kEvents = 20'000;
    std::atomic<unsigned> running{kWriters};
    std::vector<std::thread> threads;
    for (unsigned writer = 0; writer < kWriters; ++writer) {
      threads.emplace_back([&, writer] {
        const std::string key = "w" + std::to_string(writer);
        for (std::uint32_t count = 1; count <= kEvents; ++count) {
          Event event{.stream = EventStream::kFetchers};
          event.value_bytes = count;
          log.record(writer, event, key);
        }
        --running;
      });
    }
    Reader reader;
    while (running.load() > 0) reader.take(*watcher);
    for (std::thread& thread : threads) thread.join();
    // Twice: what is still in the rings, then what is to be said about those skipped.
    for (int i = 0; i < 2; ++i) {
      while (log.pump()) reader.take(*watcher);
      reader.take(*watcher);
    }
    log.pump();
    reader.take(*watcher);
    CHECK(reader.sound);
    CHECK_FALSE(reader.in_the_middle());
    const EventFigures figures = log.figures();
    CHECK(figures.rings_written + figures.rings_dropped == std::uint64_t{kWriters} * kEvents);
    CHECK(figures.lines_sent == reader.lines);
    CHECK(figures.lines_sent + figures.lines_skipped == figures.rings_written);
    CHECK(reader.skipped == figures.lines_skipped + figures.rings_dropped);
    log.leave(*watcher);
  }
}
