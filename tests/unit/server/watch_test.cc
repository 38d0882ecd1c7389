// What clients do, as watchers see it (spec 10), and the watch command itself.
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "server/watch_session.h"
#include "support/session_harness.h"

using namespace ringcached;
using namespace ringcached::server;
using ringcached::testing::SessionHarness;

namespace {

// Everything from `type=` on, a line each.
std::string take_lines(EventLog& log, Watcher& watcher) {
  while (log.pump()) {
  }
  std::string text;
  while (!watcher.waiting().empty()) {
    const std::string_view piece = watcher.waiting();
    text += piece;
    watcher.sent(piece.size());
  }
  std::string bodies;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = text.find('\n', start);
    const std::string line = text.substr(start, end - start);
    CHECK(line.starts_with("ts="));
    bodies += line.substr(line.find("type=")) + "\n";
    start = end + 1;
  }
  return bodies;
}

struct Told {
  const char* name;
  std::string sent;
  std::string lines;
};

constexpr StreamMask kItemStreams =
    mask_of(EventStream::kFetchers) | mask_of(EventStream::kMutations) | mask_of(EventStream::kDeletions);

std::string got(std::string_view key, std::string_view status, int slab_class, int size) {
  return "type=item_get key=" + std::string(key) + " status=" + std::string(status) +
         " clsid=" + std::to_string(slab_class) + " cfd=7 size=" + std::to_string(size) + "\n";
}
std::string stored(std::string_view key, std::string_view status, std::string_view command, int ttl,
                   int slab_class, int size) {
  return "type=item_store key=" + std::string(key) + " status=" + std::string(status) +
         " cmd=" + std::string(command) + " ttl=" + std::to_string(ttl) +
         " clsid=" + std::to_string(slab_class) + " cfd=7 size=" + std::to_string(size) + "\n";
}

const std::vector<Told>& told() {
  static const std::string kMiss = got("k", "not_found", 0, 0);
  static const std::string kSet = kMiss + stored("k", "stored", "set", 0, 1, 1);
  static const std::vector<Told> table = {
      {"get", "get k x\r\n", kMiss + got("x", "not_found", 0, 0)},
      {"set and set again", "set k 0 0 1\r\n1\r\nset k 0 100 2\r\n12\r\n",
       kSet + got("k", "found", 1, 1) + stored("k", "stored", "set", 100, 1, 2)},
      {"an expired item is none", "set k 0 -1 1\r\n1\r\nget k\r\n",
       kMiss + stored("k", "stored", "set", 0, 1, 1) + got("k", "expired", 0, 0)},
      {"add and replace that fail", "replace k 0 5 1\r\n1\r\nset k 0 0 1\r\n1\r\nadd k 0 0 3\r\nabc\r\n",
       kMiss + stored("k", "not_stored", "replace", 5, 0, 1) + kSet + got("k", "found", 1, 1) +
           stored("k", "not_stored", "add", 0, 1, 3)},
      {"append keeps the expiry", "append k 0 0 1\r\n1\r\nset k 0 50 1\r\n1\r\nappend k 0 0 2\r\n23\r\n",
       kMiss + stored("k", "not_stored", "append", 0, 0, 1) + kMiss + stored("k", "stored", "set", 50, 1, 1) +
           got("k", "found", 1, 1) + stored("k", "stored", "append", 50, 1, 3)},
      {"cas", "cas k 0 0 1 9\r\n1\r\nset k 0 0 1\r\n1\r\ncas k 0 0 1 9\r\n2\r\n",
       kMiss + stored("k", "not_found", "cas", 0, 0, 1) + kSet + got("k", "found", 1, 1) +
           stored("k", "exists", "cas", 0, 1, 1)},
      {"incr, touch, gat",
       "incr k 1\r\nset k 0 0 1\r\n1\r\nincr k 1\r\ntouch k 9\r\ntouch x 9\r\ngat 9 k\r\n",
       kMiss + kSet + got("k", "found", 1, 1) + got("k", "found", 1, 1) + got("x", "not_found", 0, 0) +
           got("k", "found", 1, 1)},
      {"delete", "delete k\r\nset k 0 0 1\r\n1\r\ndelete k noreply\r\n",
       kMiss + kSet + got("k", "found", 1, 1) + "type=deleted key=k cmd=delete clsid=1 size=1\n"},
      {"too large: the new one first, then the old one that goes",
       "set k 0 0 1\r\n1\r\nset k 0 0 2000\r\n" + std::string(2000, 'x') + "\r\nadd y 0 0 2000\r\n" +
           std::string(2000, 'x') + "\r\n",
       kSet + stored("k", "too_large", "set", 0, 0, 0) + got("k", "found", 1, 1) +
           stored("y", "too_large", "add", 0, 0, 0)},
      {"an invalid data block tells nothing", "set k 0 0 1\r\n123\r\n", ""},
      {"meta: get, arithmetic that creates, delete, stale",
       "mg k v N9\r\nma x N0 J5 q\r\nmd x I\r\nmd x\r\nme x\r\n",
       kMiss + got("x", "not_found", 0, 0) + got("x", "not_found", 0, 0) +
           stored("x", "stored", "add", 0, 1, 1) + got("x", "found", 1, 1) + got("x", "found", 1, 1) +
           "type=deleted key=x cmd=md clsid=1 size=1\n" + got("x", "not_found", 0, 0)},
      {"meta: a value cleared is also a store", "set k 0 0 1\r\n1\r\nmd k x\r\n",
       kSet + got("k", "found", 1, 1) + stored("k", "stored", "set", 0, 1, 0) + got("k", "found", 1, 1) +
           "type=deleted key=k cmd=md clsid=1 size=1\n"},
      {"keys are encoded", "get a%\xff\r\n", got("a%25%FF", "not_found", 0, 0)},
  };
  return table;
}

}  // namespace

TEST_SUITE("watch") {
  TEST_CASE("what each command tells, in any fragmentation") {
    for (const Told& row : told()) {
      INFO(row.name);
      for (const std::size_t piece : {row.sent.size(), std::size_t{1}, std::size_t{7}}) {
        store::Options options;
        options.item_bytes_max = 1024;
        SessionHarness client(options);
        EventLog& log = client.server().events;
        Watcher* watcher = nullptr;
        REQUIRE(log.join(kItemStreams, watcher) == EventLog::JoinResult::kJoined);
        client.feed(row.sent, piece);
        CHECK(take_lines(log, *watcher) == row.lines);
      }
    }
  }

  TEST_CASE("watching changes no figure") {
    const std::string commands =
        "set a 0 0 1\r\n1\r\nget a b\r\nincr a 1\r\ndelete a\r\nset b 0 -1 1\r\n1\r\nget b\r\n";
    SessionHarness quiet;
    SessionHarness watched;
    Watcher* watcher = nullptr;
    REQUIRE(watched.server().events.join(kItemStreams, watcher) == EventLog::JoinResult::kJoined);
    CHECK(quiet.feed(commands) == watched.feed(commands));
    for (std::size_t i = 0; i < kCounts; ++i) {
      const auto counter = static_cast<Count>(i);
      CHECK(quiet.worker().counters.get(counter) == watched.worker().counters.get(counter));
    }
    CHECK(quiet.store().stats().items == watched.store().stats().items);
  }

  TEST_CASE("evictions are told with what is known of the item") {
    store::Options options;
    options.memory_limit_bytes = std::size_t{2} << 20;
    SessionHarness client(options);
    EventLog& log = client.server().events;
    Watcher* watcher = nullptr;
    REQUIRE(log.join(mask_of(EventStream::kEvictions), watcher) == EventLog::JoinResult::kJoined);
    std::string lines;
    for (int i = 0; i < 500; ++i) {
      client.feed("set key" + std::to_string(i) + " 0 500 10000\r\n" + std::string(10000, 'x') + "\r\n");
      lines += take_lines(log, *watcher);
    }
    const std::uint64_t evictions = client.store().stats().evictions;
    REQUIRE(evictions > 0);
    CHECK(static_cast<std::uint64_t>(std::ranges::count(lines, '\n')) == evictions);
    CHECK(lines.starts_with("type=eviction key=key"));
    CHECK(lines.find(" fetch=no ttl=500 la=0 clsid=") != std::string::npos);
    CHECK(lines.find(" size=10000\n") != std::string::npos);
  }

  TEST_CASE("the command's answers") {
    config::Config off;
    off.commands.watch_enabled = false;
    SessionHarness disabled({}, off);
    CHECK(disabled.feed("watch\r\nversion\r\n") ==
          "CLIENT_ERROR watch commands not allowed\r\nVERSION 1.6.45-ringcached-0.1.0\r\n");

    SessionHarness client;
    CHECK(client.feed("watch nothing\r\n") == "ERROR\r\n");
    CHECK(client.feed("watch fetchers f\r\n") == "ERROR\r\n");
    CHECK(client.feed("get a\r\nwatch\r\nget a\r\n") ==
          "END\r\nERROR cannot pipeline other commands before watch\r\nEND\r\n");
    CHECK(client.server().events.figures().watchers == 0);
    // What comes after the command is ignored, in the same piece and later.
    CHECK(client.feed("watch rawcmds  proxyuser fetchers\r\nget a\r\n") == "OK\r\n");
    CHECK(client.connection().watcher_);
    CHECK(client.feed("get a\r\nquit\r\n" + std::string(100000, 'x')).empty());
    CHECK_FALSE(client.closed());
    CHECK(client.server().events.figures().watchers == 1);
    CHECK(client.server().events.wants(EventStream::kFetchers));
    client.reconnect();
    CHECK(client.server().events.figures().watchers == 0);
    CHECK_FALSE(client.server().events.wants(EventStream::kFetchers));
    CHECK(client.worker().watch_sessions.empty());
    for (const char byte : std::string("watch\r\n")) client.feed({&byte, 1});
    CHECK(client.server().events.wants(EventStream::kFetchers));
  }

  TEST_CASE("one watcher too many") {
    SessionHarness client;
    Watcher* watcher = nullptr;
    for (std::size_t i = 0; i < EventLog::kWatchersMax; ++i) {
      REQUIRE(client.server().events.join(0, watcher) == EventLog::JoinResult::kJoined);
    }
    CHECK(client.feed("watch\r\n") == "WATCHER_TOO_MANY log watcher limit reached\r\n");
    client.server().events.leave(*watcher);
    CHECK(client.feed("watch\r\n") == "OK\r\n");
  }

  TEST_CASE("lines go out while the client takes them, wait while it does not, and are lost in the end") {
    SessionHarness client;
    EventLog& log = client.server().events;
    CHECK(client.feed("watch\r\n") == "OK\r\n");
    log.record(0, {.stream = EventStream::kFetchers}, "a");
    CHECK_FALSE(serve_watchers(client.worker()));
    CHECK(client.connection().take_output().find("type=item_get key=a status=not_found") !=
          std::string::npos);
    constexpr std::size_t kEvents = 20'000;
    for (std::size_t i = 0; i < kEvents; ++i) {
      log.record(0, {.stream = EventStream::kFetchers}, "key");
      while (serve_watchers(client.worker())) {
      }
    }
    CHECK(client.connection().output().pending() <= std::size_t{64} << 10);
    std::string received;
    std::size_t before;
    do {
      before = received.size();
      received += client.connection().take_output();
      serve_watchers(client.worker());
    } while (received.size() > before);
    const auto lines = static_cast<std::uint64_t>(std::ranges::count(received, '\n'));
    const EventFigures figures = log.figures();
    CHECK(figures.lines_skipped > 0);
    CHECK(figures.lines_sent + figures.lines_skipped == kEvents + 1);
    CHECK(lines == figures.lines_sent);  // one is gone already, one is about those skipped
    CHECK(received.find("skipped=" + std::to_string(figures.lines_skipped) + "\n") != std::string::npos);
  }

  TEST_CASE("a client that breaks the protocol is not one that leaves") {
    SessionHarness client;
    client.feed("quit\r\n");
    CHECK(client.closed());
    CHECK_FALSE(client.rejected());
    client.reconnect();
    client.feed("GET / HTTP/1.1\r\n");
    CHECK(client.rejected());
  }
}
