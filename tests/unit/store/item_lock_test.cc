// Overwrites in place under the lock of the item alone (store/item_lock.h), stopped in the middle: what
// everybody else does then.
#include "store/item_lock.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "unit/store/store_fixture.h"

using namespace ringcached;
using namespace ringcached::store;
using ringcached::testing::StoreFixture;

namespace ringcached::store {
struct StoreInside {
  static StoreCore& core(Store& store) { return *store.impl_; }
};
}  // namespace ringcached::store

namespace {

constexpr unsigned kWriter = 3;  // number of a thread that has no calls of its own
constexpr std::string_view kKey = "key", kOld = "1000", kNew = "2000";

Options options_with_threads() {
  Options options = StoreFixture::default_options();
  options.threads = kWriter + 1;
  options.memory_limit_bytes = std::size_t{2} << 20;
  options.index_power_initial = 4;
  return options;
}

struct Scene {
  Scene() : s(options_with_threads()), core(StoreInside::core(*s.store)), other(s.store->attach()) {
    REQUIRE(s.set(kKey, kOld) == StoreResult::kStored);
  }

  std::byte* chunk() const {
    const LockedBucket bucket(*core.index, s.store->key(kKey).hash);
    const std::atomic<std::uint64_t>* const slot = bucket.find(kKey);
    return slot == nullptr ? nullptr : core.item(slot_address(slot->load()));
  }
  static std::uint32_t state(std::byte* chunk) { return chunk_state(chunk).load(); }
  HashIndex::Ticket ticket() const {
    HashIndex::Ticket taken;
    REQUIRE(core.index->ticket(s.store->key(kKey).hash, taken));
    return taken;
  }
  StoreResult put(StoreThread& thread, std::string_view value, StoreMode mode = StoreMode::kSet,
                  std::uint64_t cas_explicit = 0) const {
    return s.store->put(thread, {.mode = mode, .key = s.store->key(kKey), .cas_explicit = cas_explicit},
                        value, s.now);
  }

  StoreFixture s;
  StoreCore& core;
  StoreThread& other;
};

// What overwrite_item() does to the item, with a pause wherever the test wants one.
class StoppedWriter {
 public:
  explicit StoppedWriter(std::byte* chunk)
      : chunk_(chunk), state_(Scene::state(chunk)), lock_(chunk, state_, kWriter) {
    REQUIRE(lock_);
    cas_ = shared_load64(chunk_ + kCasOffset) + kThreadsMax;
    shared_store64(chunk_ + kCasOffset, cas_);
    shared_store8(chunk_ + value_offset(), kNew[0]);
  }
  void finish() {
    copy_to_shared(chunk_ + value_offset(), kNew.data(), kNew.size());
    chunk_state(chunk_).store(state_, std::memory_order_release);
    lock_.passed_on();
  }
  std::uint64_t cas() const { return cas_; }

 private:
  std::size_t value_offset() const { return key_offset(state_) + kKey.size(); }
  std::byte* chunk_;
  std::uint32_t state_;
  ItemLock lock_;
  std::uint64_t cas_ = 0;
};

struct Meanwhile {
  const char* what;
  // On another thread, with the calls of `other`. True: it went as it should.
  std::function<bool(Scene&)> act;
  std::string after;  // what a get finds at the end
  bool waits = true;
};

// The plain get of a server does not get an answer, so the other one follows.
bool reads_new(Scene& scene) {
  const Key key = scene.s.store->key(kKey);
  std::string value;
  const auto place = [&](const ItemInfo& info) {
    value.resize(info.value_bytes);
    return ReadTarget{value.data(), false};
  };
  const auto place_plainly = [&](const ItemInfo& info) { return place(info).copy_to; };
  if (scene.s.store->read_plain(scene.other, key, scene.s.now, place_plainly)) return false;
  scene.s.store->read(scene.other, key, scene.s.now, {}, place, nullptr);
  return value == kNew;
}

bool increments(Scene& scene) {
  std::uint64_t value = 0;
  scene.s.store->arithmetic(scene.other, scene.s.store->key(kKey), {}, scene.s.now, value);
  return value == 2001;
}

bool flushes(Scene& scene) {
  scene.s.store->flush(scene.other);
  scene.s.maintain_all();
  return scene.s.store->stats().items == 0;
}

// By the thread in whose arena the item is.
bool evicts(Scene& scene) {
  for (unsigned i = 0; i < 100000; ++i) {
    const std::string name = "e" + std::to_string(i);
    scene.s.store->put(*scene.s.thread, {.key = scene.s.store->key(name)}, "evicts", scene.s.now);
  }
  return scene.s.store->stats().evictions > 20000;
}

bool moves_page(Scene& scene) {
  while (scene.s.store->stats().items > 0) {
    if (scene.core.arenas[0]->give_page(Arena::kAnyClass) == Arena::PageStep::kNone) return false;
  }
  return true;
}

bool dumps(Scene& scene) {
  std::size_t cursor = 0, found = 0;
  const auto count = [](void* context, const ScannedItem&) { ++*static_cast<std::size_t*>(context); };
  do {
    cursor = scene.s.store->scan(cursor, 100, scene.s.now, count, &found);
  } while (cursor != 0);
  return found == 1;
}

bool grows(Scene& scene) {
  const std::size_t before = scene.core.index->bucket_count();
  for (unsigned i = 0; i < 2000; ++i) {
    const std::string name = "g" + std::to_string(i);
    scene.s.store->put(scene.other, {.key = scene.s.store->key(name)}, "grows", scene.s.now);
  }
  return scene.core.index->bucket_count() > 8 * before;
}

const std::vector<Meanwhile>& all_meanwhile() {
  constexpr StoreResult kStored = StoreResult::kStored;
  static const std::string large(500, 'x');
  static const std::vector<Meanwhile> all = {
      {"a get", reads_new, "2000"},
      {"a set in place", [](Scene& scene) { return scene.put(scene.other, "3000") == kStored; }, "3000"},
      {"a draft is linked", [](Scene& scene) { return scene.put(scene.other, large) == kStored; }, large},
      {"an id of the client's choice",
       [](Scene& scene) { return scene.put(scene.other, "4", StoreMode::kSet, 77) == kStored; }, "4"},
      {"an add",
       [](Scene& scene) { return scene.put(scene.other, "5", StoreMode::kAdd) == StoreResult::kNotStored; },
       "2000"},
      {"an append", [](Scene& scene) { return scene.put(scene.other, "+", StoreMode::kAppend) == kStored; },
       "2000+"},
      {"an increment", increments, "2001"},
      {"a touch",
       [](Scene& scene) {
         return scene.s.store->touch(scene.other, scene.s.store->key(kKey), scene.s.now + 100, scene.s.now);
       },
       "2000"},
      {"a delete",
       [](Scene& scene) {
         return scene.s.store->remove(scene.other, scene.s.store->key(kKey), scene.s.now) ==
                DeleteResult::kDeleted;
       },
       "(miss)"},
      {"a flush, and the upkeep after it", flushes, "(miss)"},
      {"evictions", evicts, "(miss)"},
      {"its page leaves the class", moves_page, "(miss)"},
      {"a dump", dumps, "2000"},
      {"the index grows", grows, "2000", false},
  };
  return all;
}

}  // namespace

TEST_SUITE("item lock") {
  TEST_CASE("whoever comes while an item is overwritten in place waits for the end, or does without") {
    for (const Meanwhile& meanwhile : all_meanwhile()) {
      CAPTURE(std::string(meanwhile.what));
      Scene scene;
      std::optional<StoppedWriter> writer(scene.chunk());
      std::atomic<bool> done{false}, as_it_should{false};
      std::thread thread([&] {
        as_it_should = meanwhile.act(scene);
        done = true;
      });
      const auto limit = std::chrono::milliseconds(meanwhile.waits ? 20 : 20000);
      const auto begin = std::chrono::steady_clock::now();
      while (!done && std::chrono::steady_clock::now() - begin < limit) std::this_thread::yield();
      CHECK(done != meanwhile.waits);
      writer->finish();
      thread.join();
      CHECK(as_it_should);
      CHECK(scene.s.get(kKey) == meanwhile.after);
    }
  }

  TEST_CASE("a lock that came too late leaves what the holder of the bucket has made of the item") {
    Scene scene;
    std::byte* const chunk = scene.chunk();
    const std::uint32_t state = Scene::state(chunk);
    SUBCASE("unlinked") {
      LockedBucket bucket(*scene.core.index, scene.s.store->key(kKey).hash);
      const Existing existing = scene.core.examine(bucket, kKey, scene.s.now);
      {
        const ItemLock late(chunk, state, kWriter);
        REQUIRE(late);
        HashIndex::Share share;
        Ledger ledger;
        scene.core.unlink(ledger, bucket, existing);
      }
      CHECK(chunk_kind(Scene::state(chunk)) == ChunkKind::kFilling);
    }
    SUBCASE("the same word again, and locked by another") {
      std::optional<ItemLock> late(std::in_place, chunk, state, kWriter);
      REQUIRE(*late);
      chunk_state(chunk).store(state);
      const ItemLock another(chunk, state, kWriter - 1);
      REQUIRE(another);
      late.reset();
      CHECK(Scene::state(chunk) == writing_word(state, kWriter - 1));
    }
    SUBCASE("nothing: as it was") {
      { const ItemLock late(chunk, state, kWriter); }
      CHECK(Scene::state(chunk) == state);
    }
  }

  TEST_CASE("while somebody has the bucket no item of it is overwritten") {
    Scene scene;
    std::atomic<bool> done{false};
    std::thread thread;
    {
      const LockedBucket bucket(*scene.core.index, scene.s.store->key(kKey).hash);
      const std::uint64_t cas = scene.core.examine(bucket, kKey, scene.s.now).header.cas;
      thread = std::thread([&] {
        scene.put(scene.other, kNew);
        done = true;
      });
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      CHECK_FALSE(done);
      CHECK(scene.core.examine(bucket, kKey, scene.s.now).header.cas == cas);
    }
    thread.join();
    CHECK(scene.s.get(kKey) == kNew);
  }

  TEST_CASE("an overwrite leaves the bucket as it is, unless the id is the client's") {
    Scene scene;
    for (int i = 0; i < 4; ++i) scene.put(scene.other, kNew);  // until the frequency is full
    const HashIndex::Ticket ticket = scene.ticket();
    for (int i = 0; i < 10; ++i) CHECK(scene.put(scene.other, kOld) == StoreResult::kStored);
    CHECK(scene.core.index->still_valid(ticket));
    CHECK(scene.put(scene.other, kNew, StoreMode::kSet, 4711) == StoreResult::kStored);
    CHECK_FALSE(scene.core.index->still_valid(ticket));
    CHECK(scene.s.get(kKey) == kNew);
    CHECK(scene.s.info.cas == 4711);
  }

  TEST_CASE("a reader that was overtaken by an overwrite starts again, and sees the bits of the new value") {
    Scene scene;
    scene.s.get(kKey);
    scene.s.get(kKey);
    REQUIRE(scene.s.info.fetched);
    std::string value;
    unsigned placed = 0;
    ItemInfo info;
    const auto overtaken = [&](const ItemInfo& seen) {
      if (placed++ == 0) scene.put(scene.other, kNew);
      info = seen;
      value.resize(seen.value_bytes);
      return value.data();
    };
    const Key key = scene.s.store->key(kKey);
    CHECK_FALSE(scene.s.store->read_plain(*scene.s.thread, key, scene.s.now, overtaken));
    CHECK(placed == 1);
    placed = 0;
    scene.s.get(kKey);
    const auto place = [&](const ItemInfo& seen) { return ReadTarget{overtaken(seen), false}; };
    CHECK(scene.s.store->read(*scene.s.thread, key, scene.s.now, {}, place, nullptr) == Lookup::kHit);
    CHECK(placed == 2);
    CHECK(value == kNew);
    CHECK_FALSE(info.fetched);
  }

  TEST_CASE("before a page is cut anew, whoever is in one of its chunks is waited for") {
    for (const bool asymmetric : {true, false}) {
      CAPTURE(asymmetric);
      const PageGuard guard(2, asymmetric);
      if (!asymmetric) CHECK_FALSE(guard.asymmetric());
      constexpr ChunkAddress kPage = kPageBytes / kGranuleBytes;
      guard.await_none_in(0, kPageBytes);
      std::atomic<bool> done{false};
      std::thread owner;
      {
        const PageGuard::Inside inside = guard.enter(1, 2 * kPage - 1);
        guard.await_none_in(0, kPageBytes);
        guard.await_none_in(2 * kPage, kPageBytes);
        owner = std::thread([&] {
          guard.await_none_in(kPage, kPageBytes);
          done = true;
        });
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        CHECK_FALSE(done);
      }
      owner.join();
      CHECK(done);
    }
  }
}
