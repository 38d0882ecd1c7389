// The length rules of specification section 1.3, and the linear cost of a line that arrives in small pieces.
#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "protocol/limits.h"
#include "protocol/parser.h"
#include "protocol/reply.h"
#include "support/fragment.h"
#include "support/text_oracle.h"
#include "unit/protocol/parser_rows.h"

namespace ringcached::protocol {
namespace {

ParseResult parse_once(std::string_view input) {
  LineScan scan;
  Request request;
  MetaRequest meta;
  return parse_text(input, scan, request, meta);
}

std::string padded(std::string text, std::size_t bytes) {
  text.resize(bytes, ' ');
  return text;
}

std::string multiget(std::string_view command, std::size_t keys) {
  std::string line(command);
  for (std::size_t i = 0; i < keys; ++i) line += " key" + std::to_string(i);
  return line;
}

}  // namespace

TEST_SUITE("protocol line length") {
  TEST_CASE("an unterminated line may have 2048 bytes") {
    for (const char* start : {"incr", "x", "set a 0 0 1", "mg a", "getx ", "ge", "get\t"}) {
      CAPTURE(start);
      CHECK(parse_once(padded(start, kLineBytesMax)).kind == ParseKind::kNeedMore);
      const ParseResult beyond = parse_once(padded(start, kLineBytesMax + 1));
      CHECK(beyond.kind == ParseKind::kClose);
      CHECK(beyond.reply.empty());
      CHECK(beyond.consumed == 0);
    }
    CHECK(parse_once(std::string(kLineBytesMax, '\0')).kind == ParseKind::kNeedMore);
    CHECK(parse_once(std::string(kLineBytesMax + 1, '\0')).kind == ParseKind::kClose);
  }

  TEST_CASE("incr and 2048 blanks is closed, get and 2048 blanks stays open and works") {
    CHECK(parse_once("incr" + std::string(2048, ' ')).kind == ParseKind::kClose);
    const std::string blanks = "get" + std::string(2048, ' ');
    CHECK(parse_once(blanks).kind == ParseKind::kNeedMore);
    check_events(blanks + "foo\r\nversion\r\n", {"get foo", "version"});
    check_events(blanks + "\r\nversion\r\n", {kBadFormatText, "version"});
  }

  TEST_CASE("retrievals of any length, with up to 100 leading spaces") {
    for (const char* start : {"get ", "gets ", "gat 0 ", "gats 0 "}) {
      CAPTURE(start);
      CHECK(parse_once(padded(start, 10'000)).kind == ParseKind::kNeedMore);
      CHECK(parse_once(std::string(100, ' ') + padded(start, 10'000)).kind == ParseKind::kNeedMore);
      CHECK(parse_once(std::string(101, ' ') + padded(start, 10'000)).kind == ParseKind::kClose);
    }
  }

  TEST_CASE("a line that came complete may have 16 KiB") {
    CHECK(parse_once(padded("foo", kCompleteLineBytesMax - 1) + "\n").kind == ParseKind::kError);
    CHECK(parse_once(padded("foo", kCompleteLineBytesMax) + "\n").kind == ParseKind::kClose);
    CHECK(parse_once(padded("incr k 1", 3000) + "\r\n").kind == ParseKind::kRequest);
    CHECK(parse_once(multiget("mg", 300) + "\r\n").reply == reply::kMetaTooManyFlags);
  }

  TEST_CASE("a touching retrieval may have 16 KiB however it comes") {
    CHECK(parse_once(padded("gat 0 k", kCompleteLineBytesMax - 1)).kind == ParseKind::kNeedMore);
    CHECK(parse_once(padded("gat 0 k", kCompleteLineBytesMax)).kind == ParseKind::kClose);
    CHECK(parse_once(padded("gat 0 k", kCompleteLineBytesMax - 1) + "\n").kind == ParseKind::kRequest);
    CHECK(parse_once(padded("gat 0 k", kCompleteLineBytesMax) + "\n").kind == ParseKind::kClose);
    CHECK(testing::check_text_input(multiget("gat 0", 1000) + "\r\nversion\r\n") == "");
  }

  TEST_CASE("a multiget beyond 8 MiB is refused aloud, then closed") {
    const std::string longest = padded("get k", kMultigetLineBytesMax - 1);
    CHECK(parse_once(longest).kind == ParseKind::kNeedMore);
    CHECK(parse_once(longest + "\n").kind == ParseKind::kRequest);
    for (const std::string& line : {longest + " ", longest + " \n"}) {
      const ParseResult beyond = parse_once(line);
      CHECK(beyond.kind == ParseKind::kClose);
      CHECK(beyond.reply == reply::kNoMemoryRequest);
    }
  }

  TEST_CASE("20000 keys") {
    const std::string line = multiget("get", 20'000);
    testing::TextStream stream;
    stream.feed(testing::cut_every(line + "\r\nversion\r\n", 1448));
    REQUIRE(stream.events().size() == 2);
    CHECK(stream.fault() == "");
    CHECK(stream.events()[0].text == "get key0 [" + line.substr(std::string("get key0 ").size()) + "]");
  }

  TEST_CASE("an overlong key at every place of a long line") {
    const std::string good = multiget("get", 100);
    for (std::size_t at = 4; at < good.size(); at += 7) {
      std::string line = good;
      line.insert(at, std::string(kKeyBytesMax + 1, 'x'));
      CHECK(parse_once(line + "\r\n").reply == reply::kBadFormat);
      line = good;
      line.insert(at, " " + std::string(kKeyBytesMax, 'x') + " ");
      CHECK(parse_once(line + "\r\n").kind == ParseKind::kRequest);
    }
  }

  TEST_CASE("a megabyte byte by byte costs linear time") {
    const std::string line = multiget("get", 100'000) + "\r\n";
    LineScan scan;
    Request request;
    MetaRequest meta;
    std::size_t results = 0;
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t bytes = 1; bytes <= line.size(); ++bytes) {
      const ParseResult result = parse_text(std::string_view(line).substr(0, bytes), scan, request, meta);
      if (result.kind != ParseKind::kNeedMore) ++results;
    }
    const auto elapsed = std::chrono::steady_clock::now() - start;
    CHECK(results == 1);
    CHECK(request.key == "key0");
    // A quadratic search would look at 5 * 10^11 bytes, some minutes even at memchr's speed.
    CHECK(elapsed < std::chrono::seconds(10));
  }
}

}  // namespace ringcached::protocol
