#include "store/expiry.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "base/hash.h"
#include "unit/store/store_fixture.h"

using namespace ringcached;
using namespace ringcached::store;
using ringcached::testing::StoreFixture;

namespace {

std::string key(unsigned i) {
  return "key" + std::to_string(i);
}

std::uint64_t chunks_used(const Store& store) {
  std::uint64_t sum = 0;
  for (unsigned i = 1; i <= store.class_count(); ++i) sum += store.class_stats(i).chunks_used;
  return sum;
}

// A store with two threads, both driven by the test; one may be stopped where no call of Store returns.
class TwoThreads {
 public:
  static constexpr CacheTime kNow = 1000;

  TwoThreads() : core(options()) {
    REQUIRE(core.open().is_ok());
    for (unsigned id = 0; id < 2; ++id) {
      ThreadState& thread = threads[id];
      thread.core = &core;
      thread.id = id;
      thread.balancer.open(2);
      core.open_arena(id, 0);
      thread.arena = core.arenas[id].get();
      core.states[id] = &thread;
      core.attached.store(id + 1);
    }
  }
  Key key(std::string_view bytes) const { return {bytes, hash_key(bytes, core.seed)}; }
  void set(unsigned thread, std::string_view name) {
    StoreRequest request;
    request.key = key(name);
    REQUIRE(core.put_new(threads[thread], request, core.classes.class_for(64), "v", kNow) ==
            StoreResult::kStored);
  }
  // A flush that something was stored for.
  void flush(unsigned thread) {
    set(thread, "other");
    core.flush(threads[thread]);
  }
  bool reap(unsigned thread) { return threads[thread].reaper.step(threads[thread], kNow, 100'000); }
  bool alive(std::string_view name) {
    LockedBucket bucket(*core.index, key(name).hash);
    return core.examine(bucket, name, kNow).alive();
  }

 private:
  static Options options() {
    Options options = StoreFixture::default_options();
    options.threads = 2;
    return options;
  }

 public:
  StoreCore core;
  std::array<ThreadState, 2> threads;
};

}  // namespace

TEST_SUITE("expiry") {
  TEST_CASE("exptimes become cache times") {
    constexpr CacheTime kNow = 500;
    constexpr std::int64_t kBase = 1'700'000'000;
    CHECK(expiry_from_exptime(0, kNow, kBase) == kNeverExpires);
    CHECK(expiry_from_exptime(-1, kNow, kBase) == kAlreadyExpired);
    CHECK(expiry_from_exptime(1, kNow, kBase) == kNow + 1);
    CHECK(expiry_from_exptime(2592000, kNow, kBase) == kNow + 2592000);
    CHECK(expiry_from_exptime(2592001, kNow, kBase) == kAlreadyExpired);
    CHECK(expiry_from_exptime(kBase, kNow, kBase) == kAlreadyExpired);
    CHECK(expiry_from_exptime(kBase + 900, kNow, kBase) == 900);
    CHECK_FALSE(is_expired(kNeverExpires, kNow));
    CHECK(is_expired(kNow, kNow));
    CHECK_FALSE(is_expired(kNow + 1, kNow));
  }

  TEST_CASE("an item lives until its second, and a store that is dead already hides the old value") {
    StoreFixture s;
    s.set("k", "v", 0, s.now + 10);
    s.now += 9;
    CHECK(s.get("k") == "v");
    s.now += 1;
    CHECK(s.get("k") == "(expired)");
    CHECK(s.get("k") == "(miss)");
    CHECK(s.store->stats().items == 0);
    s.set("k", "old");
    CHECK(s.set("k", "new", 0, kAlreadyExpired) == StoreResult::kStored);
    CHECK(s.get("k") == "(expired)");
    CHECK(s.put(StoreMode::kAdd, "k", "again") == StoreResult::kStored);
    CHECK(s.get("k") == "again");
  }

  TEST_CASE("dead items count as missing for every command") {
    StoreFixture s;
    const auto dead = [&] { s.set("k", "5", 0, kAlreadyExpired); };
    dead();
    CHECK(s.put(StoreMode::kReplace, "k", "x") == StoreResult::kNotStored);
    dead();
    CHECK(s.put(StoreMode::kAppend, "k", "x") == StoreResult::kNotStored);
    dead();
    CHECK(s.put(StoreMode::kCas, "k", "x", 1024) == StoreResult::kNotFound);
    dead();
    CHECK(s.count("k", false, 1) == "(miss)");
    dead();
    CHECK(s.remove("k") == DeleteResult::kNotFound);
    dead();
    CHECK_FALSE(s.store->touch(*s.thread, s.store->key("k"), kNeverExpires, s.now));
    CHECK(s.store->stats().items == 0);
  }

  TEST_CASE("touch and get-and-touch move the expiry and keep the id") {
    StoreFixture s;
    s.set("k", "v", 0, s.now + 5);
    s.get("k");
    const std::uint64_t cas = s.info.cas;
    CHECK(s.store->touch(*s.thread, s.store->key("k"), s.now + 50, s.now));
    s.now += 20;
    CHECK(s.get("k", {.touch = true, .expiry = kAlreadyExpired}) == "v");
    CHECK(s.info.cas == cas);
    CHECK(s.get("k") == "(expired)");
  }

  TEST_CASE("upkeep frees expired items that nobody asks for, within its budget") {
    StoreFixture s;
    constexpr unsigned kItems = 20000;
    for (unsigned i = 0; i < kItems; ++i) s.set(key(i), "value", 0, i % 2 == 0 ? s.now + 5 : kNeverExpires);
    s.maintain_all();
    CHECK(s.store->stats().items == kItems);
    s.now += 5;
    unsigned calls = 0;
    std::uint64_t left = s.store->stats().items;
    while (s.thread->maintain(s.now, 1000)) {
      const std::uint64_t items = s.store->stats().items;
      CHECK(left - items <= 1000);
      left = items;
      REQUIRE(++calls < 200);
    }
    CHECK(calls >= 9);
    CHECK(s.store->stats().items == kItems / 2);
    CHECK(s.store->stats().reaper_reclaimed == kItems / 2);
    CHECK(s.store->stats().expired_unfetched == kItems / 2);
    CHECK(chunks_used(*s.store) == kItems / 2);
    for (unsigned i = 1; i < kItems; i += 2) CHECK(s.get(key(i)) == "value");
  }

  TEST_CASE("upkeep knows of expiries that came by touch") {
    StoreFixture s;
    s.set("touched", "v");
    s.set("got", "v");
    s.maintain_all();
    s.store->touch(*s.thread, s.store->key("touched"), s.now + 3, s.now);
    s.get("got", {.touch = true, .expiry = s.now + 4});
    s.maintain_all();
    s.now += 3;
    s.maintain_all();
    CHECK(s.store->stats().items == 1);
    s.now += 1;
    s.maintain_all();
    CHECK(s.store->stats().items == 0);
  }

  TEST_CASE("a flush hides everything stored before and nothing stored after") {
    StoreFixture s;
    s.set("a", "1");
    s.set("large", StoreFixture::pattern(100000, 1));
    s.store->flush(*s.thread);
    s.set("b", "2");
    CHECK(s.get("a") == "(flushed)");
    CHECK(s.get("b") == "2");
    s.store->flush(*s.thread);
    CHECK(s.get("b") == "(flushed)");
    s.set("b", "3");
    CHECK(s.get("b") == "3");
    s.maintain_all();
    CHECK(s.store->stats().items == 1);
    CHECK(chunks_used(*s.store) == 1);
  }

  TEST_CASE("items do not come back to life when flush epochs wrap") {
    for (const bool with_upkeep : {false, true}) {
      StoreFixture s;
      s.set("old", "v");
      for (unsigned i = 0; i < 200; ++i) {
        s.store->flush(*s.thread);
        CHECK(s.get("recent" + std::to_string(i % 3)) != "v");
        s.set("recent" + std::to_string(i % 3), "v");
        if (with_upkeep) s.thread->maintain(s.now, 2);
      }
      s.store->flush(*s.thread);
      CHECK(s.get("old") != "v");
      s.maintain_all();
      CHECK(s.store->stats().items == 0);
    }
  }

  TEST_CASE("an item whose writer slept while its memory was gone over does not come back when epochs wrap") {
    constexpr unsigned kWriter = 0, kOther = 1;
    for (const bool other_reaps : {false, true}) {
      CAPTURE(other_reaps);
      TwoThreads s;
      s.set(kWriter, "k");
      // The other's memory, as a thread takes it that has none left.
      Draft draft{{}, s.core.classes.class_for(64), 0, 1, false};
      draft.chunk = s.core.arenas[kOther]->allocate(draft.slab_class, Arena::Effort::kFull);
      REQUIRE(draft.chunk);
      s.core.write_head(draft, "k");
      const bool linked = s.core.succeed(s.threads[kWriter], s.key("k"), draft, {}, Inherit::kNothing, s.kNow,
                                         [&](const Existing&) {
                                           // Between the look at the item, and the epoch, and the link.
                                           s.flush(kOther);
                                           for (unsigned i = 0; i < 10; ++i) s.reap(kOther);
                                           return true;
                                         });
      REQUIRE(linked);
      CHECK_FALSE(s.alive("k"));
      for (unsigned i = 0; i < 10; ++i) s.reap(kWriter);
      for (unsigned i = 0; i < 200; ++i) {
        CAPTURE(i);
        s.flush(kOther);
        if (other_reaps) s.reap(kOther);
        REQUIRE_FALSE(s.alive("k"));
      }
    }
  }

  TEST_CASE(
      "whoever goes over the memory of others waits for a writer, and not for a draft that was given up") {
    TwoThreads s;
    const Draft draft{s.core.arenas[1]->allocate(s.core.classes.class_for(64), Arena::Effort::kFull),
                      s.core.classes.class_for(64), 0, 1, false};
    REQUIRE(draft.chunk);
    s.core.write_head(draft, "k");
    s.core.announce(draft);
    // As many as there is room for without going over anything.
    while (s.core.epochs_in_use() <= StoreCore::kEpochs / 2) s.flush(0);
    for (unsigned turn = 0; turn < 100; ++turn) {
      s.core.prepare_flush(s.threads[0]);
      s.threads[0].purged_in_turn = false;
    }
    CHECK(s.core.epochs_in_use() > StoreCore::kEpochs / 2);
    // Its owner sleeps: what it was given back lies with it.
    s.core.discard(s.threads[0], draft);
    for (unsigned turn = 0; turn < 100; ++turn) {
      s.core.prepare_flush(s.threads[0]);
      s.threads[0].purged_in_turn = false;
    }
    CHECK(s.core.epochs_in_use() < StoreCore::kEpochs / 2);
  }

  TEST_CASE("flushes free epochs ahead, a bounded piece in each turn") {
    StoreFixture s;
    constexpr unsigned kItems = 30'000;
    for (unsigned i = 0; i < kItems; ++i) s.set("old" + std::to_string(i), "v");
    unsigned turns_waited = 0, turns_waited_most = 0, removed_most = 0;
    std::uint64_t items = s.store->stats().items;
    for (unsigned i = 0; i < 200; ++i) {
      CAPTURE(i);
      const unsigned waited_before = turns_waited;
      bool prepared = false;
      do {
        prepared = s.store->prepare_flush(*s.thread);
        // Not twice in a turn, whoever asks.
        CHECK(s.store->prepare_flush(*s.thread) == prepared);
        const std::uint64_t now = s.store->stats().items;
        removed_most = std::max(removed_most, static_cast<unsigned>(items - now));
        items = now;
        if (!prepared) ++turns_waited;
        s.thread->end_turn();
      } while (!prepared);
      turns_waited_most = std::max(turns_waited_most, turns_waited - waited_before);
      s.store->flush(*s.thread);
      CHECK(s.store->stats().items == items);
      s.set("recent", "v");
      CHECK(s.get("old" + std::to_string(i)) != "v");
      items = s.store->stats().items;
    }
    CHECK(items <= 65);
    CHECK(removed_most > 250);
    CHECK(removed_most <= 512);
    CHECK(turns_waited > 0);
    CHECK(turns_waited < 2 * kItems / 512);
    // A page for each of some: 8192 items and a look at those that are new.
    CHECK(turns_waited_most <= 8192 / 512 + 2);
  }

  TEST_CASE("many flushes share what has to be gone over: none waits for all of it") {
    store::Options options = StoreFixture::default_options();
    options.threads = 2;
    StoreFixture s(options);
    store::StoreThread* other = &s.store->attach();  // sleeps
    constexpr unsigned kItems = 400'000;             // some 50 pages of 8192, of two arenas
    for (unsigned i = 0; i < kItems; ++i) {
      if (i == kItems / 2) std::swap(s.thread, other);
      s.set(std::to_string(i), "v");
    }
    unsigned waited = 0, waited_most = 0;
    for (unsigned i = 0; i < 100; ++i) {
      CAPTURE(i);
      unsigned turns = 0;
      for (; !s.store->prepare_flush(*s.thread); ++turns) s.thread->end_turn();
      s.thread->end_turn();
      waited += turns;
      waited_most = std::max(waited_most, turns);
      s.store->flush(*s.thread);
      s.set("recent", "v");
    }
    CHECK(waited > kItems / 512 / 2);
    CHECK(waited_most < kItems / 512 / 8);
  }

  TEST_CASE("what a flush looks at counts, not what it finds there") {
    StoreFixture s;
    constexpr unsigned kItems = 64 * 1024, kKept = 512;  // eight pages or more, a few items left in each
    for (unsigned i = 0; i < kItems; ++i) s.set(std::to_string(i), "v");
    for (unsigned i = 0; i < kItems; ++i) {
      if (i % kKept != 0) s.remove(std::to_string(i));
    }
    unsigned steps = 0;
    for (unsigned i = 0; i < 64; ++i) {
      bool prepared = false;
      do {
        const std::uint64_t before = s.store->stats().items;
        prepared = s.store->prepare_flush(*s.thread);
        // Two pages at most, of 8192 chunks each.
        CHECK(before - s.store->stats().items <= 2 * 8192 / kKept + 1);
        steps += before != s.store->stats().items;
        s.thread->end_turn();
      } while (!prepared);
      s.store->flush(*s.thread);
      s.set("recent", "v");
    }
    CHECK(steps > 3);
  }

  TEST_CASE("many flushes of an unchanged store use up no epochs") {
    StoreFixture s;
    s.set("a", "1");
    for (unsigned i = 0; i < 1000; ++i) s.store->flush(*s.thread);
    CHECK(s.get("a") == "(flushed)");
    s.set("a", "2");
    CHECK(s.get("a") == "2");
  }
}
