#include <doctest/doctest.h>

#include <algorithm>
#include <initializer_list>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "unit/store/store_fixture.h"

using namespace ringcached;
using namespace ringcached::store;
using ringcached::testing::StoreFixture;

namespace {

std::uint64_t used_chunks(const StoreFixture& s) {
  std::uint64_t sum = 0;
  for (unsigned i = 1; i <= s.store->class_count(); ++i) sum += s.store->class_stats(i).chunks_used;
  return sum;
}

}  // namespace

TEST_SUITE("store") {
  TEST_CASE("what was set is got, with its flags, until it is removed") {
    StoreFixture s;
    CHECK(s.set("key", "value", 7) == StoreResult::kStored);
    CHECK(s.get("key") == "value");
    CHECK(s.info.client_flags == 7);
    CHECK(s.info.value_bytes == 5);
    CHECK(s.info.expiry == kNeverExpires);
    CHECK(s.get("other") == "(miss)");
    CHECK(s.remove("key") == DeleteResult::kDeleted);
    CHECK(s.get("key") == "(miss)");
    CHECK(s.remove("key") == DeleteResult::kNotFound);
    CHECK(s.store->stats().items == 0);
    CHECK(s.store->stats().bytes == 0);
  }

  TEST_CASE("the plain way to read finds living values of one chunk, and nothing else") {
    StoreFixture s;
    std::string value;
    ItemInfo info;
    const auto finds = [&](std::string_view key) {
      value = "(untouched)";
      return s.store->read_plain(*s.thread, s.store->key(key), s.now, [&](const ItemInfo& seen) {
        info = seen;
        value.resize(seen.value_bytes);
        return value.data();
      });
    };
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{33}, kPinBytesMin - 1}) {
      for (const std::uint32_t flags : {0U, 9U}) {
        const std::string written = StoreFixture::pattern(bytes, flags);
        s.set("key", written, flags);
        CAPTURE(bytes);
        REQUIRE(finds("key"));
        CHECK(value == written);
        CHECK(info.client_flags == flags);
        const std::uint64_t cas = info.cas;
        CHECK(s.get("key") == written);
        CHECK(s.info.cas == cas);
        CHECK(s.thread->last_class() == info.slab_class);
      }
    }
    CHECK_FALSE(finds("other"));
    CHECK(value == "(untouched)");
    s.set("large", StoreFixture::pattern(kPinBytesMin, 1));
    CHECK_FALSE(finds("large"));
    s.set("chained", StoreFixture::pattern(100000, 1));
    CHECK_FALSE(finds("chained"));
    s.set("mortal", "value", 0, s.now + 5);
    CHECK(finds("mortal"));
    s.now += 6;
    CHECK_FALSE(finds("mortal"));
    CHECK(s.get("mortal") == "(expired)");
    s.store->flush(*s.thread);
    CHECK_FALSE(finds("key"));
  }

  TEST_CASE("keys of every length and values from nothing to a chain of chunks") {
    StoreFixture s;
    for (const std::size_t key_bytes : std::initializer_list<std::size_t>{1, 7, 8, 9, 16, 249, 250}) {
      for (const std::size_t value_bytes : std::initializer_list<std::size_t>{
               0, 1, 32, 4095, 4096, 32000, 32700, 32768, 33000, 70000, 1000000}) {
        const std::string key(key_bytes, static_cast<char>('a' + value_bytes % 7));
        const std::string value = StoreFixture::pattern(value_bytes, key_bytes);
        for (const std::uint32_t flags : {0U, 0xffffffffU}) {
          CAPTURE(key_bytes);
          CAPTURE(value_bytes);
          CHECK(s.set(key, value, flags) == StoreResult::kStored);
          CHECK(s.get(key) == value);
          CHECK(s.info.client_flags == flags);
          CHECK(s.get_pinned(key) == value);
        }
      }
    }
  }

  TEST_CASE("the modes do what the specification says") {
    StoreFixture s;
    CHECK(s.put(StoreMode::kReplace, "k", "1") == StoreResult::kNotStored);
    CHECK(s.put(StoreMode::kCas, "k", "1", 5) == StoreResult::kNotFound);
    CHECK(s.put(StoreMode::kAppend, "k", "1") == StoreResult::kNotStored);
    CHECK(s.put(StoreMode::kAdd, "k", "1") == StoreResult::kStored);
    CHECK(s.put(StoreMode::kAdd, "k", "2") == StoreResult::kNotStored);
    CHECK(s.get("k") == "1");
    const std::uint64_t first = s.info.cas;
    CHECK(first != 0);
    CHECK(s.put(StoreMode::kReplace, "k", "3") == StoreResult::kStored);
    CHECK(s.put(StoreMode::kCas, "k", "4", first) == StoreResult::kExists);
    CHECK(s.put(StoreMode::kCas, "k", "4", 0) == StoreResult::kExists);
    CHECK(s.get("k") == "3");
    CHECK(s.info.cas > first);
    CHECK(s.put(StoreMode::kCas, "k", "4", s.info.cas) == StoreResult::kStored);
    CHECK(s.get("k") == "4");
  }

  TEST_CASE("append and prepend keep flags and expiry and renew the id, at every size") {
    StoreFixture s;
    for (const std::size_t start :
         std::initializer_list<std::size_t>{0, 10, 4000, 4090, 5000, 32600, 40000}) {
      for (const std::size_t added : std::initializer_list<std::size_t>{0, 1, 3, 100, 5000, 40000}) {
        CAPTURE(start);
        CAPTURE(added);
        const std::string old = StoreFixture::pattern(start, 1), more = StoreFixture::pattern(added, 2);
        CHECK(s.set("k", old, 9, s.now + 100) == StoreResult::kStored);
        s.get("k");
        const std::uint64_t cas = s.info.cas;
        CHECK(s.put(StoreMode::kAppend, "k", more) == StoreResult::kStored);
        CHECK(s.get("k") == old + more);
        CHECK(s.info.cas > cas);
        CHECK(s.put(StoreMode::kPrepend, "k", more) == StoreResult::kStored);
        CHECK(s.get("k") == more + old + more);
        CHECK(s.info.client_flags == 9);
        CHECK(s.info.expiry == s.now + 100);
      }
    }
    CHECK(s.store->stats().items == 1);
  }

  TEST_CASE("incr and decr: wrap, stop, pad, grow, and what is no number") {
    StoreFixture s;
    CHECK(s.count("n", false, 1) == "(miss)");
    s.set("n", "10", 5, s.now + 100);
    s.get("n");
    const std::uint64_t cas = s.info.cas;
    CHECK(s.count("n", true, 1) == "9");
    CHECK(s.get("n") == "9 ");
    CHECK(s.info.cas > cas);
    CHECK(s.info.client_flags == 5);
    CHECK(s.info.expiry == s.now + 100);
    CHECK(s.count("n", false, 1) == "10");
    CHECK(s.count("n", true, 11) == "0");
    s.set("n", "99");
    CHECK(s.count("n", false, 1) == "100");
    CHECK(s.get("n") == "100");
    CHECK(s.count("n", false, 18446744073709551615ULL - 100) == "18446744073709551615");
    CHECK(s.get("n") == "18446744073709551615");
    CHECK(s.count("n", false, 2) == "1");
    CHECK(s.get("n") == "1                   ");
    s.set("n", "007");
    CHECK(s.count("n", false, 2) == "9");
    CHECK(s.get("n") == "9  ");
    for (const char* number : {"  12", "12  ", "12 abc", "00000000000000000012"}) {
      s.set("n", number);
      CHECK(s.count("n", false, 1) == "13");
    }
    for (const char* text :
         {"", " ", "x", "-5", "12abc", "+1", "18446744073709551616", "000000000000000000012", "1\n"}) {
      s.set("n", text);
      CHECK(s.count("n", false, 1) == "(text)");
    }
    s.set("n", "5" + std::string(40000, ' '));
    CHECK(s.count("n", false, 1) == "(text)");  // chained
    s.set("n", "5" + std::string(5000, ' '));
    CHECK(s.count("n", false, 1) == "6");  // could be pinned: replaced by one of exact length
    CHECK(s.get("n") == "6");
  }

  TEST_CASE("with ids switched off they are 0 and never equal") {
    Options options = StoreFixture::default_options();
    options.cas = false;
    StoreFixture s(options);
    s.set("k", "v");
    CHECK(s.get("k") == "v");
    CHECK(s.info.cas == 0);
    CHECK(s.put(StoreMode::kCas, "k", "x", 1) == StoreResult::kExists);
    CHECK(s.put(StoreMode::kAppend, "k", "w") == StoreResult::kStored);
    CHECK(s.get("k") == "vw");
    CHECK(s.thread->last_write().cas == 0);
  }

  TEST_CASE("ids are unique over threads and grow per key") {
    Options options = StoreFixture::default_options();
    options.threads = 3;
    StoreFixture s(options);
    StoreThread* const threads[] = {s.thread, &s.store->attach(), &s.store->attach()};
    std::set<std::uint64_t> seen;
    std::map<std::string, std::uint64_t> last;
    for (unsigned i = 0; i < 300; ++i) {
      s.thread = threads[i * 7 % 3];
      const std::string key = "k" + std::to_string(i % 5);
      s.set(key, "v");
      const std::uint64_t id = s.thread->last_write().cas;
      CHECK(seen.insert(id).second);
      CHECK(id > last[key]);
      last[key] = id;
      s.get(key);
      CHECK(s.info.cas == id);
    }
  }

  TEST_CASE("the size limit counts as memcached does, and a set that is too large removes the old value") {
    StoreFixture s;
    CHECK(s.set("k", std::string(1048516, 'x')) == StoreResult::kStored);
    CHECK(s.put(StoreMode::kAppend, "k", "x") == StoreResult::kNotStored);
    CHECK(s.put(StoreMode::kAdd, "k", std::string(1048517, 'x')) == StoreResult::kTooLarge);
    CHECK(s.get("k").size() == 1048516);
    CHECK(s.set("k", std::string(1048517, 'x')) == StoreResult::kTooLarge);
    CHECK(s.get("k") == "(miss)");
    PendingStore pending;
    s.set("k", "v");
    CHECK(s.store->begin(*s.thread, s.request(StoreMode::kSet, "k"), 2000000000, s.now, pending) ==
          StoreResult::kTooLarge);
    CHECK_FALSE(pending);
    CHECK(s.get("k") == "(miss)");
  }

  TEST_CASE("a pending store is invisible until committed and leaves nothing when discarded") {
    StoreFixture s;
    s.set("k", "old");
    const std::string value = StoreFixture::pattern(200000, 3);
    const StoreRequest request = s.request(StoreMode::kSet, "k");
    {
      PendingStore pending;
      REQUIRE(s.store->begin(*s.thread, request, value.size(), s.now, pending) == StoreResult::kStored);
      CHECK(pending.write({value.data(), 100000}));
      CHECK(pending.remaining() == 100000);
      CHECK(s.get("k") == "old");
    }
    CHECK(s.get("k") == "old");
    PendingStore pending;
    REQUIRE(s.store->begin(*s.thread, request, value.size(), s.now, pending) == StoreResult::kStored);
    for (std::size_t at = 0; at < value.size(); at += 777) {
      CHECK(pending.write(std::span(value).subspan(at, std::min<std::size_t>(777, value.size() - at))));
    }
    PendingStore moved = std::move(pending);
    CHECK_FALSE(pending);
    CHECK(s.store->commit(*s.thread, request, std::move(moved), s.now) == StoreResult::kStored);
    CHECK(s.get("k") == value);
    s.remove("k");
    CHECK(used_chunks(s) == 0);
  }

  TEST_CASE("a pending store lends room for bytes that others write, 128 KiB or twice what has come") {
    for (const std::size_t bytes :
         {std::size_t{100}, std::size_t{32'000}, std::size_t{33'000}, std::size_t{700'001}}) {
      StoreFixture s;
      const std::string value = StoreFixture::pattern(bytes, 3);
      const StoreRequest request = s.request(StoreMode::kSet, "k");
      PendingStore pending;
      REQUIRE(s.store->begin(*s.thread, request, value.size(), s.now, pending) == StoreResult::kStored);
      std::size_t at = 0;
      for (unsigned round = 0; at < bytes; ++round) {
        std::array<std::span<char>, 8> pieces;
        const std::size_t count = pending.room(std::span(pieces).first(round % 2 == 0 ? 8 : 1));
        REQUIRE(count > 0);
        std::size_t room = 0;
        // Room that is offered again is the same room.
        std::array<std::span<char>, 8> again;
        REQUIRE(pending.room(std::span(again).first(round % 2 == 0 ? 8 : 1)) == count);
        for (std::size_t i = 0; i < count; ++i) {
          CHECK(pieces[i].data() == again[i].data());
          CHECK_FALSE(pieces[i].empty());
          room += pieces[i].size();
        }
        CHECK(room <= bytes - at);
        CHECK(room <= std::max(at, std::size_t{128} << 10) + (std::size_t{32} << 10));
        // All of the room, a part of it, or the other way of writing in between.
        const std::size_t used = round % 3 == 0 ? room : (room + 1) / 2;
        std::size_t left = used;
        if (round % 5 == 4) {
          CHECK(pending.write({value.data() + at, used}));
        } else {
          std::size_t from = at;
          for (std::size_t i = 0; i < count && left > 0; ++i) {
            const std::size_t part = std::min(left, pieces[i].size());
            std::copy_n(value.data() + from, part, pieces[i].data());
            from += part;
            left -= part;
          }
          pending.placed(used);
        }
        at += used;
        CHECK(pending.remaining() == bytes - at);
      }
      std::array<std::span<char>, 2> none;
      CHECK(pending.room(none) == 0);
      CHECK(s.store->commit(*s.thread, request, std::move(pending), s.now) == StoreResult::kStored);
      CHECK(s.get("k") == value);
      s.remove("k");
      CHECK(used_chunks(s) == 0);
      // Reserved and not written: given back all the same.
      REQUIRE(s.store->begin(*s.thread, request, value.size(), s.now, pending) == StoreResult::kStored);
      CHECK(pending.room(none) > 0);
      pending.discard();
      CHECK(used_chunks(s) == 0);
    }
  }

  TEST_CASE("a value larger than anything stored succeeds while memory is full of small items") {
    Options options = StoreFixture::default_options();
    options.memory_limit_bytes = std::size_t{32} << 20;
    options.item_bytes_max = std::size_t{64} << 20;
    options.threads = 2;
    StoreFixture s(options);
    StoreThread& other = s.store->attach();
    StoreThread* const first = s.thread;
    const std::string small(200, 's');
    for (unsigned i = 0; i < 200000; ++i) {
      s.thread = i % 2 == 0 ? first : &other;
      s.set("small" + std::to_string(i), small);
    }
    REQUIRE(s.store->stats().evictions > 0);
    s.thread = first;
    const std::string large = StoreFixture::pattern(std::size_t{28} << 20, 5);
    CHECK(s.set("large", large) == StoreResult::kStored);
    CHECK(s.get_pinned("large") == large);
    CHECK(s.set("hopeless", std::string(std::size_t{40} << 20, 'x')) == StoreResult::kNoMemory);
    CHECK(s.get_pinned("large") == large);
  }

  TEST_CASE("a pin outlives the item, whatever happens to the key") {
    for (const std::size_t bytes : {std::size_t{5000}, std::size_t{100000}}) {
      StoreFixture s;
      const std::string value = StoreFixture::pattern(bytes, 1);
      s.set("k", value);
      Pin first = s.pin("k");
      Pin second = s.pin("k");
      REQUIRE(first);
      s.remove("k");
      for (unsigned i = 0; i < 20; ++i) s.set("k" + std::to_string(i), StoreFixture::pattern(bytes, i));
      CHECK(s.pieces(first) == value);
      first.release();
      s.maintain_all();
      for (unsigned i = 20; i < 40; ++i) s.set("k" + std::to_string(i), StoreFixture::pattern(bytes, i));
      CHECK(s.pieces(second) == value);
      Pin::release_raw(s.store.get(), reinterpret_cast<void*>(static_cast<std::uintptr_t>(second.detach())));
      CHECK_FALSE(second);
      for (unsigned i = 0; i < 40; ++i) s.remove("k" + std::to_string(i));
      s.set("k", value);  // allocating looks at what was in limbo
      s.maintain_all();
      s.remove("k");
      CHECK(used_chunks(s) == 0);
    }
  }

  TEST_CASE("small values are not pinned") {
    StoreFixture s;
    s.set("k", std::string(kPinBytesMin - 1, 'x'));
    CHECK_FALSE(s.pin("k"));
    s.set("k", std::string(kPinBytesMin, 'x'));
    CHECK(s.pin("k"));
  }

  TEST_CASE("hits are remembered: fetched, then the access time from a minute on, unless quiet") {
    StoreFixture s;
    s.set("k", "v");
    s.get("k", {.quiet = true});
    CHECK_FALSE(s.info.fetched);
    s.get("k");
    CHECK_FALSE(s.info.fetched);
    s.now += 100;
    s.get("k", {.quiet = true});
    CHECK(s.info.fetched);
    CHECK(s.info.last_access == 1000);
    s.get("k");
    s.get("k");
    CHECK(s.info.last_access == 1100);
    s.set("k", "v");
    s.get("k");
    CHECK_FALSE(s.info.fetched);
  }

  TEST_CASE("stale and token marks follow the table of the specification") {
    StoreFixture s;
    const ReadOptions claim{.claim = true};
    const Removal invalidate{.invalidate = true};
    const auto marks = [&](const ReadOptions& options) {
      s.get("k", options);
      return std::string(s.info.stale ? "X" : "") + (s.info.token_sent ? "Z" : "") + (s.info.won ? "W" : "");
    };
    s.set("k", "v");
    CHECK(marks(claim).empty());
    const std::uint64_t fresh = s.info.cas;
    CHECK(s.store->remove(*s.thread, s.store->key("k"), invalidate, s.now) == DeleteResult::kDeleted);
    CHECK(marks({}) == "X");
    CHECK(marks(claim) == "XW");
    CHECK(s.info.cas > fresh);
    CHECK(marks(claim) == "XZ");
    s.store->remove(*s.thread, s.store->key("k"), invalidate, s.now);
    CHECK(marks(claim) == "XW");
    StoreRequest older = s.request(StoreMode::kCas, "k");
    older.cas_compare = fresh;
    CHECK(s.store->put(*s.thread, older, "w", s.now) == StoreResult::kExists);
    older.invalidate = true;
    CHECK(s.store->put(*s.thread, older, "w", s.now) == StoreResult::kStored);
    CHECK(marks(claim) == "XZ");
    s.put(StoreMode::kAppend, "k", "x");
    CHECK(marks(claim).empty());
    s.set("k", "10", 0, s.now + 20);
    s.store->remove(*s.thread, s.store->key("k"), invalidate, s.now);
    s.count("k", true, 1);
    CHECK(marks({}) == "X");  // in place
    s.count("k", false, 1000);
    CHECK(marks({}).empty());  // longer
    const ReadOptions soon{.claim = true, .recache_before = s.now + 30};
    CHECK(marks(soon) == "W");
    CHECK(marks(soon) == "Z");
    s.set("k", "v", 0, s.now + 20);
    CHECK(marks({.touch = true,
                 .expiry = s.now + 100,
                 .claim = true,
                 .recache_before = s.now + 30,
                 .recache_after_touch = true})
              .empty());
    CHECK(marks({.touch = true, .expiry = s.now + 10, .claim = true, .recache_before = s.now + 30}).empty());
    CHECK(marks(soon) == "W");
  }

  TEST_CASE("meta variants of store, delete and arithmetic") {
    StoreFixture s;
    StoreRequest request = s.request(StoreMode::kAppend, "k");
    request.create = true;
    request.expiry = s.now + 9;
    CHECK(s.store->put(*s.thread, request, "ab", s.now) == StoreResult::kStored);
    CHECK(s.store->put(*s.thread, request, "cd", s.now) == StoreResult::kStored);
    CHECK(s.get("k") == "abcd");
    CHECK(s.info.expiry == s.now + 9);
    CHECK(s.thread->last_write().value_bytes == 4);
    request.cas_compare = 1;
    CHECK(s.store->put(*s.thread, request, "e", s.now) == StoreResult::kExists);
    StoreRequest with_id = s.request(StoreMode::kSet, "k");
    with_id.cas_explicit = 777;
    with_id.binary_key = true;
    s.store->put(*s.thread, with_id, "v", s.now);
    s.get("k");
    CHECK(s.info.cas == 777);
    CHECK(s.info.binary_key);
    CHECK(s.store->remove(*s.thread, s.store->key("k"), {.cas_compare = 5}, s.now) == DeleteResult::kExists);
    CHECK(s.store->remove(*s.thread, s.store->key("k"), {.clear = true, .client_flags = 3}, s.now) ==
          DeleteResult::kDeleted);
    CHECK(s.get("k").empty());
    CHECK(s.lookup == Lookup::kHit);
    CHECK(s.info.cas == 777);
    CHECK(s.info.client_flags == 3);
    CHECK(s.store->remove(*s.thread, s.store->key("k"), {.cas_compare = 777}, s.now) ==
          DeleteResult::kDeleted);
    s.set("n", "1");
    std::uint64_t value = 0;
    CHECK(s.store->arithmetic(*s.thread, s.store->key("n"), {.cas_compare = 5}, s.now, value) ==
          ArithmeticResult::kExists);
    CHECK(s.store->arithmetic(*s.thread, s.store->key("n"),
                              {.cas_explicit = 9, .touch = true, .expiry = s.now + 4}, s.now,
                              value) == ArithmeticResult::kDone);
    s.get("n");
    CHECK(s.info.cas == 9);
    CHECK(s.info.expiry == s.now + 4);
  }

  TEST_CASE("what a refused store does to the old item is the request's choice, the same for joining") {
    Options options = StoreFixture::default_options();
    options.item_bytes_max = 1024;
    const std::string large(2000, 'x');
    for (const StoreMode mode :
         {StoreMode::kAdd, StoreMode::kReplace, StoreMode::kAppend, StoreMode::kPrepend, StoreMode::kCas}) {
      for (const bool remove : {false, true}) {
        StoreFixture store(options);
        store.set("k", "v");
        StoreRequest wanted = store.request(mode, "k");
        wanted.remove_when_refused = remove;
        CHECK(store.store->put(*store.thread, wanted, large, store.now) == StoreResult::kTooLarge);
        CHECK(store.get("k") == (remove ? "(miss)" : "v"));
      }
    }
  }

  TEST_CASE("the id 0 compares where it is asked to, an item may be made as read, times before are told") {
    StoreFixture store;
    store.set("k", "1", 0, store.now + 50);
    CHECK(store.store->remove(*store.thread, store.store->key("k"), {.compare = true}, store.now) ==
          DeleteResult::kExists);
    std::uint64_t number = 0;
    CHECK(store.store->arithmetic(*store.thread, store.store->key("k"),
                                  {.touch = true, .expiry = store.now + 90}, store.now,
                                  number) == ArithmeticResult::kDone);
    CHECK(store.thread->last_write().expiry_before == store.now + 50);
    CHECK(store.thread->last_write().expiry == store.now + 90);
    CHECK(store.store->remove(*store.thread, store.store->key("k"), {.compare = false}, store.now) ==
          DeleteResult::kDeleted);

    for (const bool fetched : {false, true}) {
      StoreRequest created = store.request(StoreMode::kAdd, fetched ? "read" : "unread");
      created.token_sent = true;
      created.fetched = fetched;
      CHECK(store.store->put(*store.thread, created, "", store.now) == StoreResult::kStored);
      store.get(created.key.bytes, {.quiet = true});
      CHECK(store.info.fetched == fetched);
    }
  }

  TEST_CASE("an emptied item keeps its id, unless it goes stale with it") {
    StoreFixture store;
    store.set("k", "value");
    const std::uint64_t id = store.thread->last_write().cas;
    CHECK(store.store->remove(*store.thread, store.store->key("k"), {.clear = true}, store.now) ==
          DeleteResult::kDeleted);
    CHECK(store.get("k").empty());
    CHECK(store.info.cas == id);
    store.store->remove(*store.thread, store.store->key("k"), {.invalidate = true, .clear = true}, store.now);
    CHECK(store.get("k").empty());
    CHECK(store.info.stale);
    CHECK(store.info.cas > id);
  }

  TEST_CASE("eviction takes what was not used again") {
    Options options = StoreFixture::default_options();
    options.memory_limit_bytes = std::size_t{2} << 20;
    StoreFixture s(options);
    for (unsigned i = 0; i < 100; ++i) s.set("hot" + std::to_string(i), "value of thirty-two bytes, always");
    for (unsigned round = 0; round < 40; ++round) {
      for (unsigned i = 0; i < 100; ++i) s.get("hot" + std::to_string(i));
      for (unsigned i = 0; i < 2000; ++i) {
        s.set("scan" + std::to_string(round * 2000 + i), "value of thirty-two bytes, always");
      }
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < 100; ++i) kept += s.get("hot" + std::to_string(i)).size() == 33 ? 1 : 0;
    CHECK(kept >= 98);
    const StoreStats stats = s.store->stats();
    CHECK(stats.evictions > 40000);
    CHECK(stats.evicted_unfetched >= stats.evictions - 2);
    CHECK(stats.page_bytes_used <= stats.limit_bytes);
  }

  TEST_CASE("a lowered limit is reached by upkeep, a raised one is used") {
    Options options = StoreFixture::default_options();
    options.memory_limit_bytes = std::size_t{8} << 20;
    StoreFixture s(options);
    const auto fill = [&] {
      for (unsigned i = 0; i < 40000; ++i) s.set("k" + std::to_string(i), std::string(300, 'v'));
    };
    fill();
    CHECK(s.store->stats().page_bytes_used == std::size_t{8} << 20);
    CHECK(s.store->set_memory_limit(std::size_t{3} << 20));
    for (unsigned i = 0; i < 100 && s.thread->maintain(s.now, 100); ++i) {
    }
    CHECK(s.store->stats().page_bytes_used <= std::size_t{3} << 20);
    CHECK(s.store->set_memory_limit(std::size_t{16} << 20));
    fill();
    CHECK(s.store->stats().page_bytes_used > std::size_t{10} << 20);
    CHECK_FALSE(s.store->set_memory_limit(std::size_t{1} << 50));
    CHECK_FALSE(s.store->set_memory_limit(1000));
  }

  TEST_CASE("pages follow the load from one size of items to another") {
    Options options = StoreFixture::default_options();
    options.memory_limit_bytes = std::size_t{8} << 20;
    StoreFixture s(options);
    for (unsigned i = 0; i < 100000; ++i) s.set("small" + std::to_string(i), std::string(50, 'v'));
    const auto pages_for = [&](std::size_t bytes) {
      std::uint64_t pages = 0;
      for (unsigned i = 1; i <= s.store->class_count(); ++i) {
        const Store::ClassStats stats = s.store->class_stats(i);
        if (stats.chunk_bytes >= bytes) pages += stats.pages;
      }
      return pages;
    };
    const std::uint64_t before = pages_for(1000);
    for (unsigned second = 0; second < 40; ++second) {
      ++s.now;
      for (unsigned i = 0; i < 300; ++i)
        s.set("large" + std::to_string(second * 300 + i), std::string(2000, 'v'));
      for (int step = 0; step < 64 && s.thread->maintain(s.now, 1000); ++step) {
      }
    }
    CHECK(pages_for(1000) >= before + 10);
    CHECK(s.store->stats().pages_moved > 5);
  }

  TEST_CASE("a scan meets every live item once while nothing grows") {
    StoreFixture s;
    for (unsigned i = 0; i < 3000; ++i) s.set("k" + std::to_string(i), std::to_string(i));
    s.set("dead", "x", 0, kAlreadyExpired);
    std::map<std::string, unsigned> met;
    std::size_t cursor = 0;
    do {
      cursor = s.store->scan(
          cursor, 64, s.now,
          [](void* context, const ScannedItem& item) {
            ++(*static_cast<std::map<std::string, unsigned>*>(context))[std::string(item.key)];
          },
          &met);
    } while (cursor != 0);
    CHECK(met.size() == 3000);
    for (const auto& [key, times] : met) CHECK(times == 1);
  }

  TEST_CASE("statistics add up, per class and in all") {
    StoreFixture s;
    for (unsigned i = 0; i < 500; ++i)
      s.set("k" + std::to_string(i), StoreFixture::pattern(i * 20, i), i % 2);
    std::uint64_t items = 0, bytes = 0;
    for (unsigned i = 1; i <= s.store->class_count(); ++i) {
      const Store::ClassStats stats = s.store->class_stats(i);
      items += stats.items;
      bytes += stats.bytes_requested;
      CHECK(stats.chunks_used == stats.items);
      CHECK(stats.chunk_bytes > 0);
    }
    CHECK(items == 500);
    CHECK(bytes == s.store->stats().bytes);
    CHECK(s.store->class_stats(0).chunk_bytes == 0);
    CHECK(s.store->class_stats(1000).chunk_bytes == 0);
    CHECK(s.store->stats().index_power >= 16);
  }

  TEST_CASE("options out of range are refused with a reason") {
    for (const auto& change : std::vector<void (*)(Options&)>{
             [](Options& o) { o.threads = 0; }, [](Options& o) { o.threads = 1025; },
             [](Options& o) { o.item_bytes_max = 10; },
             [](Options& o) { o.item_bytes_max = std::size_t{2} << 30; },
             [](Options& o) { o.index_power_initial = 1; }, [](Options& o) { o.index_power_initial = 60; }}) {
      Options options;
      change(options);
      const auto created = Store::create(options);
      REQUIRE_FALSE(created.is_ok());
      CHECK(created.status().code() == StatusCode::kInvalidArgument);
      CHECK_FALSE(created.status().message().empty());
    }
  }

  TEST_CASE("threads take the memory of their node, and each node's share is told") {
    Options options = StoreFixture::default_options();
    options.threads = 3;
    options.memory_limit_bytes = 16 * kPageBytes;
    options.memory_reserve_bytes = 16 * kPageBytes;
    options.nodes = {1000, 1001};  // not there: what the kernel refuses changes nothing else
    StoreFixture s(options);
    CHECK(s.store->refusals().size() == 3);  // two parts, and the index
    StoreThread* const first = s.thread;  // attached from a node that is none of them: takes the first one's
    StoreThread* const second = &s.store->attach(1001);
    s.store->attach(1001);
    s.set("a", "1");
    s.thread = second;
    const std::string value(30000, 'x');
    for (int i = 0; i < 70; ++i) s.set("b" + std::to_string(i), value);
    s.thread = first;
    s.set("c", value);
    const auto shares = s.store->node_stats();
    REQUIRE(shares.size() == 2);
    CHECK(shares[0].node == 1000);
    CHECK(shares[0].threads == 1);
    CHECK(shares[1].threads == 2);
    CHECK(shares[0].total_items == 2);
    CHECK(shares[1].total_items == 70);
    // The second node's pages are used up before the other's are borrowed.
    CHECK(shares[1].pages_used == 8);
    CHECK(shares[1].pages_used_here == 8);
    CHECK(shares[1].pages_used_away == 0);
    CHECK(shares[0].pages_used_away == shares[0].pages_used - shares[0].pages_used_here);
    CHECK(shares[0].pages_used_away > 0);
    CHECK(shares[0].chunks_used >= 1);
  }

  TEST_CASE("a thread that begins when memory is used up gets its share of pages within seconds") {
    Options options = StoreFixture::default_options();
    options.threads = 2;
    options.memory_limit_bytes = 64 * kPageBytes;
    options.nodes = {1000, 1001};
    StoreFixture s(options);
    StoreThread* const late = &s.store->attach(1001);
    const std::string value(2000, 'x');
    for (int i = 0; i < 64 * 130; ++i) s.set("a" + std::to_string(i), value);
    CHECK(s.store->class_stats(s.thread->last_class()).evicted > 0);
    s.thread = late;
    int stored = 0;
    for (int second = 0; second < 6; ++second, ++s.now) {
      for (int i = 0; i < 16 * 130; ++i) s.set("b" + std::to_string(stored++), value);
      for (int turn = 0; turn < 100 && late->maintain(s.now, 64); ++turn) {
      }
    }
    // At first it stored in the other's memory; now it has half as much, and evicts there.
    CHECK(late->counters().page_steals.get() > 0);
    CHECK(late->counters().page_steals.get() <= 2 * 16 * 130);
    const auto shares = s.store->node_stats();
    CHECK(shares[1].pages_used_here >= 20);
    CHECK(shares[0].pages_used_away == 0);  // and that is of its own node
    CHECK(shares[0].pages_used + shares[1].pages_used <= 64);
  }
}
