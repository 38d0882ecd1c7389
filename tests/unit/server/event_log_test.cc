// The way from a writer to a watcher: order, loss, and what is said about it.
#include "server/event_log.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace ringcached;
using namespace ringcached::server;

namespace {

Event get_event(std::uint32_t size = 0) {
  Event event{.stream = EventStream::kFetchers};
  event.value_bytes = size;
  return event;
}

std::string take_all(Watcher& watcher) {
  std::string text;
  while (!watcher.waiting().empty()) {
    const std::string_view piece = watcher.waiting();
    text += piece;
    watcher.sent(piece.size());
  }
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = text.find('\n', start);
    REQUIRE(end != std::string::npos);
    lines.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return lines;
}

std::uint64_t number_after(const std::string& line, const std::string& word) {
  return std::stoull(line.substr(line.find(word) + word.size()));
}

Watcher* joined(EventLog& log, StreamMask streams) {
  Watcher* watcher = nullptr;
  REQUIRE(log.join(streams, watcher) == EventLog::JoinResult::kJoined);
  return watcher;
}

constexpr StreamMask kFetchers = mask_of(EventStream::kFetchers);

}  // namespace

TEST_SUITE("event_ring") {
  TEST_CASE("records of all lengths survive many times round the ring") {
    EventRing ring;
    std::atomic<std::uint64_t> numbers{1};
    CHECK(ring.put(get_event(), "x", numbers) == EventRing::Put::kClosed);
    REQUIRE(ring.open(4096));
    EventRing::Entry entry;
    std::uint32_t size = 0;
    for (std::size_t length = 0; length <= kEventTextBytesMax; ++length) {
      for (int i = 0; i < 3; ++i) {
        const std::string text(length, static_cast<char>('a' + length % 26));
        REQUIRE(ring.put(get_event(size), text, numbers) == EventRing::Put::kWritten);
        REQUIRE(ring.put(get_event(size + 1), "", numbers) == EventRing::Put::kWritten);
        REQUIRE(ring.take(entry));
        CHECK(entry.event.value_bytes == size);
        CHECK(std::string_view(entry.text.data(), entry.text_bytes) == text);
        REQUIRE(ring.take(entry));
        CHECK(entry.event.value_bytes == size + 1);
        CHECK(entry.text_bytes == 0);
        CHECK_FALSE(ring.take(entry));
        size += 2;
      }
    }
    CHECK(ring.written() == size);
  }

  TEST_CASE("a full ring refuses, keeps what it has, and goes on when there is room") {
    EventRing ring;
    std::atomic<std::uint64_t> numbers{1};
    REQUIRE(ring.open(4096));
    std::uint32_t written = 0;
    while (ring.put(get_event(written), "a key", numbers) == EventRing::Put::kWritten) ++written;
    CHECK(written > 20);
    CHECK(numbers.load() == written + 1);
    EventRing::Entry entry;
    for (std::uint32_t i = 0; i < written; ++i) {
      REQUIRE(ring.take(entry));
      CHECK(entry.event.value_bytes == i);
      CHECK(entry.event.number == i + 1);
    }
    CHECK_FALSE(ring.take(entry));
    CHECK(ring.put(get_event(), "a key", numbers) == EventRing::Put::kWritten);
  }

  TEST_CASE("closing frees the memory and what was in it") {
    EventRing ring;
    std::atomic<std::uint64_t> numbers{1};
    REQUIRE(ring.open(4096));
    REQUIRE(ring.put(get_event(), "k", numbers) == EventRing::Put::kWritten);
    CHECK(ring.close());
    CHECK_FALSE(ring.is_open());
    REQUIRE(ring.open(8192));
    EventRing::Entry entry;
    CHECK_FALSE(ring.take(entry));
    CHECK(ring.put(get_event(), "k", numbers) == EventRing::Put::kWritten);
    CHECK(ring.take(entry));
  }
}

TEST_SUITE("event_log") {
  TEST_CASE("each watcher gets its streams, in order of each writer, numbered upwards") {
    EventLog log(2, 65536, 65536);
    CHECK_FALSE(log.wants(EventStream::kFetchers));
    Watcher* fetchers = joined(log, kFetchers);
    Watcher* both = joined(log, kFetchers | mask_of(EventStream::kDeletions));
    CHECK(log.wants(EventStream::kDeletions));
    CHECK_FALSE(log.wants(EventStream::kMutations));
    log.record(0, get_event(1), "a");
    log.record(1, {.stream = EventStream::kDeletions}, "b");
    log.record(0, get_event(2), "c");
    CHECK_FALSE(log.pump());
    const auto seen = lines_of(take_all(*both));
    REQUIRE(seen.size() == 3);
    CHECK(seen[0].find("key=a") != std::string::npos);
    CHECK(seen[1].find("key=c") != std::string::npos);
    CHECK(seen[2].find("type=deleted key=b") != std::string::npos);
    CHECK(number_after(seen[0], "gid=") < number_after(seen[2], "gid="));
    CHECK(number_after(seen[2], "gid=") < number_after(seen[1], "gid="));
    CHECK(lines_of(take_all(*fetchers)).size() == 2);
    CHECK(log.figures().lines_sent == 5);
    CHECK(log.figures().rings_written == 3);
    CHECK(log.figures().watchers == 2);
    log.leave(*fetchers);
    log.leave(*both);
    CHECK_FALSE(log.wants(EventStream::kFetchers));
    CHECK(log.figures().watchers == 0);
  }

  TEST_CASE("who joins later does not get what was before") {
    EventLog log(1, 65536, 65536);
    Watcher* early = joined(log, kFetchers);
    log.record(0, get_event(), "before");
    Watcher* late = joined(log, kFetchers);
    log.record(0, get_event(), "after");
    log.pump();
    CHECK(lines_of(take_all(*early)).size() == 2);
    const std::string text = take_all(*late);
    CHECK(lines_of(text).size() == 1);
    CHECK(text.find("key=after") != std::string::npos);
  }

  TEST_CASE("twenty watchers and no more; a place that is left is free again") {
    EventLog log(1, 4096, 4096);
    std::vector<Watcher*> watchers;
    for (std::size_t i = 0; i < EventLog::kWatchersMax; ++i) watchers.push_back(joined(log, kFetchers));
    Watcher* extra = nullptr;
    CHECK(log.join(kFetchers, extra) == EventLog::JoinResult::kTooMany);
    log.leave(*watchers[7]);
    CHECK(log.join(0, extra) == EventLog::JoinResult::kJoined);
    CHECK(log.figures().watchers == 20);
  }

  TEST_CASE("a slow watcher skips and is told once it reads; a fast one next to it gets everything") {
    EventLog log(1, 65536, 8192);
    Watcher* slow = joined(log, kFetchers);
    Watcher* fast = joined(log, kFetchers);
    std::size_t fast_lines = 0;
    constexpr std::size_t kEvents = 1000;
    for (std::size_t i = 0; i < kEvents; ++i) {
      log.record(0, get_event(), "some_key");
      log.pump();
      fast_lines += lines_of(take_all(*fast)).size();
    }
    CHECK(fast_lines == kEvents);
    const std::size_t got = lines_of(take_all(*slow)).size();
    CHECK(got > 50);
    CHECK(got < 200);
    CHECK(log.figures().lines_skipped == kEvents - got);
    CHECK(log.figures().lines_sent == kEvents + got);
    // It has read everything: the next pump tells it, with or without another event.
    log.pump();
    CHECK(take_all(*slow) == "skipped=" + std::to_string(kEvents - got) + "\n");
    log.record(0, get_event(), "next");
    log.pump();
    CHECK(lines_of(take_all(*slow)).size() == 1);
  }

  TEST_CASE("a burst larger than the ring makes room itself; a burst of evictions cannot and is counted") {
    EventLog log(1, 4096, std::size_t{1} << 20);
    Watcher* watcher = joined(log, kFetchers | mask_of(EventStream::kEvictions));
    for (int i = 0; i < 1000; ++i) log.record(0, get_event(), "key");
    while (log.pump()) {
    }
    CHECK(lines_of(take_all(*watcher)).size() == 1000);
    CHECK(log.figures().rings_dropped == 0);
    CHECK(log.wants_evictions());
    for (int i = 0; i < 1000; ++i) log.on_eviction(0, {.key = "key"});
    while (log.pump()) {
    }
    const auto lines = lines_of(take_all(*watcher));
    const std::uint64_t dropped = log.figures().rings_dropped;
    CHECK(dropped > 500);
    REQUIRE(lines.size() == 1000 - dropped + 1);
    CHECK(lines.back() == "skipped=" + std::to_string(dropped));
    CHECK(lines.front().find(" type=eviction key=key fetch=no ttl=-1 la=0 clsid=0 size=0") !=
          std::string::npos);
  }

  TEST_CASE("memory goes with the last watcher") {
    EventLog log(1, 4096, 4096);
    Watcher* watcher = joined(log, kFetchers);
    log.record(0, get_event(), "a");
    log.leave(*watcher);
    log.tidy();
    log.record(0, get_event(), "b");  // still under way when the last watcher left: nowhere to go, no harm
    CHECK(log.figures().rings_written == 1);
    watcher = joined(log, kFetchers);
    log.pump();
    CHECK(take_all(*watcher).empty());
  }
}
