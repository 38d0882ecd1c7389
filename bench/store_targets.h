// What the store benchmark drives, all in the same way: batches of requests, of which the keys are known
// before the first is executed. A target has
//
//   Lane           what one thread uses; made by lane(thread)
//   prepare(lane, place, key, access)  a request of the batch is known
//   prepared(lane, size)               all are
//   get(lane, place, char* to)         copies the value out; its length, or 0 when the key is missing
//   set(lane, place, value)            true when stored
//
// Map targets are the floor: what a hash table asks for that can do nothing but hold the same items. They
// hash with the same function, once per request, and give the hash to find(); where an element lies they do
// not tell, so there is nothing to prefetch, but the lookups of a batch stand side by side for the processor
// to overlap.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/prefetch.h"
#include "bench/store_load.h"
#include "store/store.h"
#include "store/store_read.h"

#if __has_include(<tsl/robin_map.h>)
#define RC_BENCH_ROBIN_MAP 1
#include <tsl/robin_map.h>
#else
#define RC_BENCH_ROBIN_MAP 0
#endif

namespace ringcached::bench {

// The store, by the calls of the sessions: key, prefetch, prefetch_item, then read or put.
class StoreTarget {
 public:
  struct Lane {
    store::StoreThread* thread = nullptr;
    std::array<store::Key, kBatch> keys;
  };

  explicit StoreTarget(store::Store& items) : items_(items) {}
  Lane lane(store::StoreThread& thread) { return {&thread, {}}; }

  void prepare(Lane& lane, std::size_t place, std::string_view key, Access access) {
    items_.prefetch(key, lane.keys[place], access);
  }
  void prepared(Lane& lane, std::size_t size) {
    items_.prefetch_items(size, [&](std::size_t i) -> store::Key& { return lane.keys[i]; });
  }
  std::size_t get(Lane& lane, std::size_t place, char* to) {
    std::size_t bytes = 0;
    const auto copy = [&](const store::ItemInfo& info) -> store::ReadTarget {
      bytes = info.value_bytes;
      return {to, false};
    };
    const store::Lookup found = items_.read(*lane.thread, lane.keys[place], kNow, {}, copy, nullptr);
    return found == store::Lookup::kHit ? bytes : 0;
  }
  bool set(Lane& lane, std::size_t place, std::string_view value) {
    return items_.put(*lane.thread, {.key = lane.keys[place]}, value, kNow) == store::StoreResult::kStored;
  }

 private:
  static constexpr CacheTime kNow = 10;
  store::Store& items_;
};

// The same records in one plain array for all threads: how two threads scale on this machine when they share
// lines and nothing else. A request touches the lines that one of the store does, a bucket and those of the
// item, asked for as far ahead; an item's place is its number, there is nothing to find. A get loads, a set
// stores. With kLocks a set takes a lock in its bucket and gives it back, the least that two writers need.
template <bool kLocks>
class SharedArrayTarget {
  static constexpr double kItemsPerBucket = 7.5;  // as in the store's index
  static constexpr std::uint64_t kNoVersion = ~std::uint64_t{0};
  struct alignas(64) Bucket {
    std::atomic<std::uint64_t> version{0};
  };
  struct Place {
    Bucket* bucket = nullptr;
    std::byte* item = nullptr;
    Access access = Access::kRead;
  };

 public:
  struct Lane {
    std::array<Place, kBatch> places;
  };

  explicit SharedArrayTarget(const ItemShape& shape)
      : value_offset_(store::kItemHeaderBytes + shape.key_bytes),
        item_bytes_(round_up(value_offset_ + shape.value_bytes)),
        buckets_(static_cast<std::size_t>(shape.items / kItemsPerBucket) + 1),
        items_(item_bytes_ * shape.items) {}

  void prepare(Lane& lane, std::size_t place, std::string_view key, Access access) {
    Bucket* const bucket = &buckets_[hash_key(key, 0) % buckets_.size()];
    prefetch_for(access, bucket);
    lane.places[place] = {bucket, &items_[KeyWriter::number_of(key.data()) * item_bytes_], access};
  }
  void prepared(Lane& lane, std::size_t size) {
    for (const Place& place : std::span(lane.places).first(size)) {
      prefetch_for(place.access, place.item);
      prefetch_for(place.access, place.item + sizeof(Bucket));
    }
  }
  std::size_t get(Lane& lane, std::size_t place, char* to) {
    const auto [bucket, item, access] = lane.places[place];
    // Looked at twice, as a reader of the store does; what it says nobody waits for.
    const bool valid = bucket->version.load(std::memory_order_acquire) != kNoVersion;
    const std::size_t bytes = store::shared_load32(item);
    store::copy_from_shared(to, item + value_offset_, bytes);
    return valid && bucket->version.load(std::memory_order_acquire) != kNoVersion ? bytes : 0;
  }
  bool set(Lane& lane, std::size_t place, std::string_view value) {
    const auto [bucket, item, access] = lane.places[place];
    const std::uint64_t version = lock(*bucket);
    store::shared_store32(item, static_cast<std::uint32_t>(value.size()));
    store::copy_to_shared(item + value_offset_, value.data(), value.size());
    bucket->version.store(version + 2, std::memory_order_release);
    return true;
  }

 private:
  static std::size_t round_up(std::size_t bytes) {
    return (bytes + store::kGranuleBytes - 1) / store::kGranuleBytes * store::kGranuleBytes;
  }
  // The version, even.
  static std::uint64_t lock(Bucket& bucket) {
    std::uint64_t version = bucket.version.load(std::memory_order_relaxed);
    if constexpr (kLocks) {
      while ((version & 1) != 0 ||
             !bucket.version.compare_exchange_weak(version, version | 1, std::memory_order_acquire,
                                                   std::memory_order_relaxed)) {
        version = bucket.version.load(std::memory_order_relaxed);
      }
    }
    return version;
  }

  std::size_t value_offset_, item_bytes_;
  std::vector<Bucket> buckets_;
  std::vector<std::byte> items_;
};

#if RC_BENCH_ROBIN_MAP

// What the tables below share: a batch's keys are hashed before any is looked up.
class HashingTarget {
 public:
  struct HashedKeys {
    std::array<std::string_view, kBatch> keys;
    std::array<std::size_t, kBatch> hashes;
  };
  static void prepare(HashedKeys& lane, std::size_t place, std::string_view key, Access) {
    lane.keys[place] = key;
    lane.hashes[place] = hash_key(key, 0);
  }
  static void prepared(HashedKeys&, std::size_t) {}
};

// Keys and values of any length up to those of the template, inside the table: one cache miss per lookup and
// nothing to allocate, at the price of a table that is at most half full.
template <std::size_t kKeyBytes, std::size_t kValueBytes>
class InlineMapTarget : public HashingTarget {
  struct FixedKey {
    std::uint32_t bytes = 0;
    char text[kKeyBytes];
  };
  struct FixedValue {
    std::uint32_t bytes = 0;
    char text[kValueBytes];
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const { return hash_key(key, 0); }
    std::size_t operator()(const FixedKey& key) const { return hash_key({key.text, key.bytes}, 0); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const FixedKey& a, std::string_view b) const {
      return a.bytes == b.size() &&
             store::equal_to_shared(reinterpret_cast<const std::byte*>(a.text), b.data(), b.size());
    }
    bool operator()(std::string_view a, const FixedKey& b) const { return (*this)(b, a); }
    bool operator()(const FixedKey& a, const FixedKey& b) const { return (*this)(a, {b.text, b.bytes}); }
  };
  using Map = tsl::robin_map<FixedKey, FixedValue, Hash, Equal>;

 public:
  struct Lane : HashedKeys {
    Map map;
  };

  std::size_t get(Lane& lane, std::size_t place, char* to) {
    const auto found = lane.map.find(lane.keys[place], lane.hashes[place]);
    if (found == lane.map.end()) return 0;
    std::memcpy(to, found->second.text, found->second.bytes);
    return found->second.bytes;
  }
  bool set(Lane& lane, std::size_t place, std::string_view value) {
    auto found = lane.map.find(lane.keys[place], lane.hashes[place]);
    if (found == lane.map.end()) {
      FixedKey key;
      key.bytes = static_cast<std::uint32_t>(lane.keys[place].size());
      std::memcpy(key.text, lane.keys[place].data(), key.bytes);
      found = lane.map.try_emplace(key).first;
    }
    found.value().bytes = static_cast<std::uint32_t>(value.size());
    std::memcpy(found.value().text, value.data(), value.size());
    return true;
  }
};

// Keys and values of any length in an allocation of their own, as the store's items are; the table holds the
// address and, where it costs no memory, a part of the hash.
class RecordMapTarget : public HashingTarget {
  struct Record {
    std::uint32_t key_bytes, value_bytes;
    char* text() { return reinterpret_cast<char*>(this + 1); }
    const char* text() const { return reinterpret_cast<const char*>(this + 1); }
    std::string_view key() const { return {text(), key_bytes}; }
  };
  struct Free {
    void operator()(Record* record) const { ::operator delete(record); }
  };
  using Owner = std::unique_ptr<Record, Free>;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const { return hash_key(key, 0); }
    std::size_t operator()(const Record* record) const { return hash_key(record->key(), 0); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Record* a, std::string_view b) const {
      return a->key_bytes == b.size() &&
             store::equal_to_shared(reinterpret_cast<const std::byte*>(a->text()), b.data(), b.size());
    }
    bool operator()(std::string_view a, const Record* b) const { return (*this)(b, a); }
    bool operator()(const Record* a, const Record* b) const { return (*this)(a, b->key()); }
  };
  using Map = tsl::robin_map<Record*, char, Hash, Equal, std::allocator<std::pair<Record*, char>>, true>;

 public:
  struct Lane : HashedKeys {
    Map map;
    std::vector<Owner> records;
  };

  std::size_t get(Lane& lane, std::size_t place, char* to) {
    const auto found = lane.map.find(lane.keys[place], lane.hashes[place]);
    if (found == lane.map.end()) return 0;
    const Record& record = *found->first;
    std::memcpy(to, record.text() + record.key_bytes, record.value_bytes);
    return record.value_bytes;
  }
  // Values of a key have one length in this benchmark: an overwritten value stays where it is.
  bool set(Lane& lane, std::size_t place, std::string_view value) {
    const std::string_view key = lane.keys[place];
    const auto found = lane.map.find(key, lane.hashes[place]);
    Record* record = found == lane.map.end() ? nullptr : found->first;
    if (record == nullptr) {
      record = static_cast<Record*>(::operator new(sizeof(Record) + key.size() + value.size()));
      record->key_bytes = static_cast<std::uint32_t>(key.size());
      std::memcpy(record->text(), key.data(), key.size());
      lane.records.emplace_back(record);
      lane.map.try_emplace(record, '\0');
    }
    record->value_bytes = static_cast<std::uint32_t>(value.size());
    std::memcpy(record->text() + key.size(), value.data(), value.size());
    return true;
  }
};

#endif

}  // namespace ringcached::bench
