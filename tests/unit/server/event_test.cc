#include "server/event.h"

#include <doctest/doctest.h>

#include <array>
#include <string>

#include "protocol/uri.h"

using namespace ringcached;
using namespace ringcached::server;

namespace {

std::string line_of(const Event& event, std::string_view text) {
  std::array<char, kEventLineBytesMax> line;
  return {line.data(), write_event_line(line.data(), event, text)};
}

Event event_at(EventStream stream) {
  Event event{.stream = stream};
  event.number = 17;
  event.wall_us = 1'700'000'000'000'042;
  return event;
}

}  // namespace

TEST_SUITE("event") {
  TEST_CASE("every byte of a key is encoded as in a URI, upper case") {
    const std::string literal = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      std::array<char, protocol::kUriBytesPerByteMax> out;
      const std::string written(out.data(), protocol::write_uri_encoded(out.data(), {&c, 1}));
      if (literal.find(c) != std::string::npos) {
        CHECK(written == std::string(1, c));
      } else {
        const std::string digits = "0123456789ABCDEF";
        CHECK(written == std::string("%") + digits[static_cast<unsigned>(byte) / 16] +
                             digits[static_cast<unsigned>(byte) % 16]);
      }
    }
  }

  TEST_CASE("the line of each stream") {
    Event event = event_at(EventStream::kFetchers);
    event.status = EventStatus::kFound;
    event.slab_class = 3;
    event.descriptor = 19;
    event.value_bytes = 5;
    // The fraction of the second is not padded (spec 10.1).
    CHECK(line_of(event, "a b") ==
          "ts=1700000000.42 gid=17 type=item_get key=a%20b status=found clsid=3 cfd=19 size=5\n");

    event = event_at(EventStream::kMutations);
    event.status = EventStatus::kNotStored;
    event.verb = EventVerb::kAdd;
    event.ttl_seconds = 100;
    event.descriptor = -1;
    CHECK(line_of(event, "k") ==
          "ts=1700000000.42 gid=17 type=item_store key=k status=not_stored cmd=add ttl=100 "
          "clsid=0 cfd=-1 size=0\n");

    event = event_at(EventStream::kDeletions);
    event.verb = EventVerb::kMetaDelete;
    event.slab_class = 1;
    event.value_bytes = 7;
    CHECK(line_of(event, "k") == "ts=1700000000.42 gid=17 type=deleted key=k cmd=md clsid=1 size=7\n");

    event = event_at(EventStream::kEvictions);
    event.fetched = true;
    event.ttl_seconds = -1;
    event.idle_seconds = 9;
    CHECK(line_of(event, "k") ==
          "ts=1700000000.42 gid=17 type=eviction key=k fetch=yes ttl=-1 la=9 clsid=0 size=0\n");

    event = event_at(EventStream::kSystem);
    CHECK(line_of(event, "type=slab_move src=1") == "ts=1700000000.42 gid=17 type=slab_move src=1\n");
  }

  TEST_CASE("the longest line fits") {
    Event event = event_at(EventStream::kMutations);
    event.number = event.wall_us = ~std::uint64_t{0};
    event.value_bytes = event.slab_class = ~std::uint32_t{0};
    event.ttl_seconds = event.descriptor = -2147483647;
    event.status = EventStatus::kNotStored;
    event.verb = EventVerb::kPrepend;
    const std::string key(250, '\xff');
    CHECK(line_of(event, key).size() <= kEventLineBytesMax);
    CHECK(line_of(event_at(EventStream::kSystem), std::string(kEventTextBytesMax, 'x')).size() <=
          kEventLineBytesMax);
  }

  TEST_CASE("names of streams, exactly") {
    CHECK(stream_named("fetchers").mask == mask_of(EventStream::kFetchers));
    CHECK(stream_named("deletions").mask == mask_of(EventStream::kDeletions));
    for (const char* silent : {"rawcmds", "proxyreqs", "proxyevents", "proxyuser"}) {
      CHECK(stream_named(silent).known);
      CHECK(stream_named(silent).mask == 0);
    }
    for (const char* wrong : {"", "f", "fetcher", "Fetchers", "fetchers2", "proxycmds"}) {
      CHECK_FALSE(stream_named(wrong).known);
    }
  }
}
