#include "store/hash_index.h"

#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "base/hash.h"

using namespace ringcached;
using namespace ringcached::store;

namespace {

constexpr std::uint64_t kSeed = 99;
constexpr std::size_t kItemBytes = 64;  // pages are filled exactly, as with real chunks

// Items of 64 bytes whose keys are their numbers, and an index over them.
struct IndexFixture {
  explicit IndexFixture(std::size_t items_max, std::size_t buckets = 4, bool growth = true,
                        std::span<const unsigned> nodes = {})
      : memory(new (std::align_val_t{8}) std::byte[(items_max + 1) * kItemBytes]()) {
    HashIndexOptions options;
    options.seed = kSeed;
    options.items_max = items_max;
    options.buckets_initial = buckets;
    options.growth = growth;
    options.nodes = nodes;
    index = std::move(HashIndex::create(options, memory.get()).value());
  }

  struct Free {
    void operator()(std::byte* bytes) const { ::operator delete[](bytes, std::align_val_t{8}); }
  };

  static std::string key(std::size_t number) { return "key-" + std::to_string(number); }
  static std::uint64_t hash(std::size_t number) { return hash_key(key(number), kSeed); }
  static ChunkAddress address(std::size_t number) { return (number + 1) * kItemBytes / kGranuleBytes; }

  void insert(std::size_t number) {
    std::byte* item = memory.get() + address(number) * kGranuleBytes;
    const std::string name = key(number);
    shared_store32(item + kAccessOffset, access_word(1, name.size()));
    copy_to_shared(item + kItemHeaderBytes, name.data(), name.size());
    LockedBucket bucket(*index, hash(number));
    bucket.insert(make_slot(hash(number), address(number)), share);
    bucket.unlock();
    if (index->count(1, share)) index->grow(64);
  }
  void erase(std::size_t number) {
    LockedBucket bucket(*index, hash(number));
    std::atomic<std::uint64_t>* slot = bucket.find(key(number));
    REQUIRE(slot != nullptr);
    CHECK(slot == bucket.find_address(address(number)));
    bucket.erase(*slot, share);
    bucket.unlock();
    index->count(-1, share);
  }
  bool has(std::size_t number) const {
    HashIndex::Ticket ticket;
    REQUIRE(index->ticket(hash(number), ticket));
    const HashIndex::Match match = index->probe(ticket, hash(number), key(number));
    CHECK(match.probe != HashIndex::Probe::kInterfered);
    if (match.probe != HashIndex::Probe::kFound) return false;
    CHECK(match.address == address(number));
    CHECK(index->still_valid(ticket));
    return true;
  }

  std::unique_ptr<std::byte[], Free> memory;
  std::unique_ptr<HashIndex> index;
  HashIndex::Share share;
};

}  // namespace

TEST_SUITE("hash index") {
  TEST_CASE("tags are matched in every slot, and the bucket's word never is") {
    Bucket bucket;
    bucket.word.store(0xabcd000000000000);
    for (unsigned i = 0; i < kSlotsPerBucket; ++i)
      bucket.slots[i].store(std::uint64_t{0x1000 + i} << kSlotTagShift | 5);
    CHECK_FALSE(match_tags(bucket, 0xabcd).any());
    for (unsigned i = 0; i < kSlotsPerBucket; ++i) {
      SlotMatches matches = match_tags(bucket, 0x1000 + i);
      REQUIRE(matches.any());
      CHECK(matches.first() == i);
      matches.drop_first();
      CHECK_FALSE(matches.any());
    }
    for (auto& slot : bucket.slots) slot.store(std::uint64_t{0xffff} << kSlotTagShift);
    SlotMatches all = match_tags(bucket, 0xffff);
    for (unsigned i = 0; i < kSlotsPerBucket; ++i, all.drop_first()) CHECK(all.first() == i);
    CHECK_FALSE(all.any());
  }

  TEST_CASE("tags are matched in every slot of an overflow bucket, and its word never is") {
    OverflowBucket bucket;
    bucket.word.store(0xabcd000000000000);
    for (unsigned i = 0; i < kSlotsPerOverflow; ++i)
      bucket.slots[i].store(std::uint64_t{0x1000 + i} << kSlotTagShift | 5);
    CHECK_FALSE(match_tags(bucket, 0xabcd).any());
    for (unsigned i = 0; i < kSlotsPerOverflow; ++i) {
      SlotMatches matches = match_tags(bucket, 0x1000 + i);
      REQUIRE(matches.any());
      CHECK(matches.first() == i);
      matches.drop_first();
      CHECK_FALSE(matches.any());
    }
  }

  TEST_CASE("asking for memory ahead ends at the home bucket, or says that the chain goes on") {
    constexpr std::size_t kItems = 64;
    IndexFixture fixture(kItems, 1, false);
    const auto first_step = [&](std::size_t number, Sighting& seen) {
      fixture.index->prefetch(fixture.hash(number), seen, Access::kWrite);
      return fixture.index->prefetch_item(fixture.hash(number), seen);
    };
    Sighting seen;
    for (std::size_t number = 0; number < kSlotsPerBucket; ++number) {
      fixture.insert(number);
      CHECK_FALSE(first_step(number, seen));
      CHECK(seen.slot != nullptr);
      CHECK_FALSE(first_step(kItems, seen));
      CHECK(seen.slot == nullptr);
    }
    for (std::size_t number = kSlotsPerBucket; number < kItems; ++number) {
      fixture.insert(number);
      CHECK(first_step(number, seen));
      CHECK(seen.slot == nullptr);
    }
    for (std::size_t number = 0; number <= kItems; ++number) {
      bool goes_on = first_step(number, seen);
      std::size_t links = 0;
      for (; goes_on; ++links) goes_on = fixture.index->prefetch_chained_item(fixture.hash(number), seen);
      CHECK((seen.slot != nullptr) == (number < kItems));
      if (number < kItems) {
        CHECK(seen.to_write == fixture.memory.get() + fixture.address(number) * kGranuleBytes);
      }
      const std::size_t behind_home = number < kSlotsPerBucket ? 0 : number - kSlotsPerBucket;
      CHECK(links == (number < kSlotsPerBucket
                          ? 0
                          : std::min(behind_home, kItems - 1 - kSlotsPerBucket) / kSlotsPerOverflow + 1));
      CHECK(fixture.has(number) == (number < kItems));
    }
  }

  TEST_CASE("frequencies stop at their largest value") {
    CHECK(slot_frequency(with_frequency(make_slot(~0ULL, 7), 2)) == 2);
    CHECK(slot_frequency(with_frequency(make_slot(~0ULL, 7), 9)) == 3);
    CHECK(slot_address(with_frequency(make_slot(~0ULL, kSlotAddressMask), 3)) == kSlotAddressMask);
  }

  TEST_CASE("items are found while the index grows from four buckets, and are gone when erased") {
    constexpr std::size_t kItems = 20000;
    IndexFixture fixture(kItems);
    for (std::size_t i = 0; i < kItems; ++i) {
      fixture.insert(i);
      if (i % 97 == 0) {
        for (std::size_t back = 0; back <= i; back += 1 + i / 50) CHECK(fixture.has(back));
        CHECK_FALSE(fixture.has(i + 1));
      }
    }
    for (std::size_t i = 0; i < kItems; ++i) CHECK(fixture.has(i));
    const double load = static_cast<double>(kItems) / static_cast<double>(fixture.index->bucket_count());
    CHECK(load > 7.4);
    CHECK(load < 7.6);
    for (std::size_t i = 0; i < kItems; i += 2) fixture.erase(i);
    for (std::size_t i = 0; i < kItems; ++i) CHECK(fixture.has(i) == (i % 2 == 1));
    for (std::size_t i = 1; i < kItems; i += 2) fixture.erase(i);
    fixture.index->give_back(fixture.share);
    CHECK(fixture.index->overflow_buckets() == 0);
  }

  TEST_CASE("bytes per item stay within the budget at every fill") {
    constexpr std::size_t kItems = 60000;
    IndexFixture fixture(kItems);
    for (std::size_t i = 0; i < kItems; ++i) {
      fixture.insert(i);
      if (i < 20000 || i % 5000 != 0) continue;
      const std::size_t bytes = fixture.index->bucket_count() * sizeof(Bucket) +
                                fixture.index->overflow_buckets() * sizeof(OverflowBucket);
      CHECK(static_cast<double>(bytes) / static_cast<double>(i + 1) < 11.9);
    }
  }

  TEST_CASE("a visitor that throws leaves its bucket unlocked and as it was") {
    IndexFixture fixture(100);
    fixture.insert(1);
    HashIndex::Ticket before;
    REQUIRE(fixture.index->ticket(fixture.hash(1), before));
    const auto visit_all = [&] {
      for (std::size_t i = 0; i < fixture.index->bucket_count(); ++i) {
        fixture.index->visit_bucket(i, [](std::atomic<std::uint64_t>&) { throw std::bad_alloc(); });
      }
    };
    CHECK_THROWS_AS(visit_all(), std::bad_alloc);
    HashIndex::Ticket after;
    CHECK(fixture.index->ticket(fixture.hash(1), after));
    CHECK(fixture.index->still_valid(before));
  }

  TEST_CASE("without growth chains take what comes") {
    constexpr std::size_t kItems = 3000;
    IndexFixture fixture(kItems, 2, false);
    for (std::size_t i = 0; i < kItems; ++i) fixture.insert(i);
    CHECK(fixture.index->bucket_count() == 2);
    for (std::size_t i = 0; i < kItems; i += 7) CHECK(fixture.has(i));
    for (std::size_t i = 0; i < kItems; ++i) fixture.erase(i);
    fixture.index->give_back(fixture.share);
    CHECK(fixture.index->overflow_buckets() == 0);
    fixture.insert(1);
    CHECK(fixture.has(1));
  }

  TEST_CASE("an index that cannot be spread over nodes works, and says so") {
    const unsigned missing[] = {1000, 1001};
    IndexFixture fixture(1000, 4, true, missing);
    CHECK(fixture.index->spread().code() == StatusCode::kUnavailable);
    for (std::size_t i = 0; i < 1000; ++i) fixture.insert(i);
    CHECK(fixture.has(999));
    CHECK(IndexFixture(10, 4, true, {missing, 1}).index->spread().is_ok());  // one node: nothing to spread
  }

  TEST_CASE("a reader notices a writer, and an unchanged bucket stays valid") {
    IndexFixture fixture(100);
    fixture.insert(1);
    HashIndex::Ticket ticket;
    REQUIRE(fixture.index->ticket(fixture.hash(1), ticket));
    { LockedBucket bucket(*fixture.index, fixture.hash(1)); }
    CHECK(fixture.index->still_valid(ticket));
    {
      LockedBucket bucket(*fixture.index, fixture.hash(1));
      CHECK_FALSE(fixture.index->still_valid(ticket));
      HashIndex::Ticket other;
      CHECK_FALSE(fixture.index->ticket(fixture.hash(1), other));
      bucket.will_change();
    }
    CHECK_FALSE(fixture.index->still_valid(ticket));
    CHECK(fixture.has(1));
  }
}
