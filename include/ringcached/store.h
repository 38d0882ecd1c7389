// ringcached's store as a library: keys and values in memory with expiry, compare-and-swap and eviction,
// shared by many threads. It knows no protocol and no socket.
//
//   auto opened = ringcached::Store::open({.memory_limit_bytes = 256u << 20, .threads = 4});
//   if (!opened) return report(opened.status());
//   ringcached::StoreHandle handle = opened.value()->attach().value();   // one per thread
//   handle.set("greeting", "hello", {.time_to_live = std::chrono::minutes(5)});
//   std::string value;
//   if (handle.get("greeting", value)) ...
//
// Threads: Store's own calls may come from any thread; a StoreHandle is used by one thread at a time. Reads
// take no lock. Memory: items live in pages reserved and limited by StoreOptions, never on the general heap.
// When the limit is reached the items least worth keeping make room (S3-FIFO), unless `evict` is off. Errors:
// what can go wrong in normal operation is a return value; no call throws but for std::bad_alloc of the
// strings given to it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ringcached/status.h"

namespace ringcached {

struct StoreOptions {
  std::size_t memory_limit_bytes = std::size_t{64}
                                   << 20;  // of items; the index comes on top (about 12 bytes per item)
  std::size_t item_bytes_max = std::size_t{1}
                               << 20;  // key, value and about 60 bytes of overhead; at most 1 GiB
  unsigned threads = 1;                // handles at a time, at most 1024
  bool evict = true;                   // false: stores fail when memory is used up
  bool large_pages = false;            // ask the kernel for huge pages
};

// Keys are 1 to this many bytes of anything.
inline constexpr std::size_t kStoreKeyBytesMax = 250;

enum class StoreOutcome : std::uint8_t {
  kStored,
  kNotStored,  // add: the key exists; replace, append, prepend: it does not, or the result would not fit
  kExists,     // compare-and-swap: somebody else has changed the item
  kNotFound,   // compare-and-swap: no such key
  kTooLarge,   // beyond item_bytes_max; after a set the old value is gone, too
  kNoMemory,   // nothing could be evicted; after a set the old value is gone, too
  kBadKey,     // empty or longer than kStoreKeyBytesMax
};

struct ItemOptions {
  std::uint32_t flags = 0;               // the caller's own, given back by get
  std::chrono::seconds time_to_live{0};  // 0: for ever; negative: already over, the key is gone
};

struct ItemDetails {
  std::uint64_t version = 0;  // changes with every store; what compare_and_swap compares
  std::uint32_t flags = 0;
  std::chrono::seconds time_left{0};  // 0: for ever
  std::chrono::seconds idle{0};       // since the last access, to about a minute
};

struct StoreNumber {
  enum class Outcome : std::uint8_t { kDone, kNotFound, kNotANumber, kNoMemory } outcome = Outcome::kNotFound;
  std::uint64_t value = 0;  // after the change
  explicit operator bool() const { return outcome == Outcome::kDone; }
};

// Sums at the time of the call.
struct StoreStatistics {
  std::uint64_t items = 0;
  std::uint64_t item_bytes = 0;  // keys, values and a notional overhead
  std::uint64_t stores = 0;
  std::uint64_t evictions = 0;
  std::uint64_t expired = 0;  // given back by upkeep without having been asked for
  std::size_t memory_limit_bytes = 0;
  std::size_t memory_used_bytes = 0;  // pages handed out
  std::size_t index_bytes = 0;
};

class Store;

// One thread's access to a store. Move-only; gives its place back when it ends, and must not outlive the
// store.
class StoreHandle {
 public:
  StoreHandle(StoreHandle&& other) noexcept;
  StoreHandle& operator=(StoreHandle&& other) noexcept;
  ~StoreHandle();

  // The value replaces what is in `value`, whose memory is used again. False: no such key.
  bool get(std::string_view key, std::string& value, ItemDetails* details = nullptr);

  StoreOutcome set(std::string_view key, std::string_view value, const ItemOptions& options = {});
  StoreOutcome add(std::string_view key, std::string_view value, const ItemOptions& options = {});
  StoreOutcome replace(std::string_view key, std::string_view value, const ItemOptions& options = {});
  // Flags and time to live stay.
  StoreOutcome append(std::string_view key, std::string_view value);
  StoreOutcome prepend(std::string_view key, std::string_view value);
  // Stores if the item still is the version that a get has told.
  StoreOutcome compare_and_swap(std::string_view key, std::string_view value, std::uint64_t version,
                                const ItemOptions& options = {});

  // False: no such key.
  bool remove(std::string_view key);
  bool touch(std::string_view key, std::chrono::seconds time_to_live);

  // On the decimal number that is the value. Increments wrap at 2^64, decrements stop at 0; a number that
  // gets shorter is padded with spaces to its old length.
  StoreNumber increment(std::string_view key, std::uint64_t by = 1);
  StoreNumber decrement(std::string_view key, std::uint64_t by = 1);

  // Everything stored before is gone; at once, whatever the number of items.
  void flush();

  // Background work in a bounded step (about `items_max` items looked at): expired items give their memory
  // back, the index grows, pages move to where they are needed. True if more is waiting. The other calls do a
  // little of it now and then; a program that leaves a handle idle for long may call this by a timer.
  bool upkeep(std::size_t items_max = 1024);

 private:
  friend class Store;
  struct Impl;
  explicit StoreHandle(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class Store {
 public:
  static Result<std::unique_ptr<Store>> open(const StoreOptions& options);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Fails (kUnavailable) when StoreOptions::threads handles are in use.
  Result<StoreHandle> attach();

  // False: outside of what was reserved at open (four times the first limit). Lowering takes effect by
  // upkeep.
  bool set_memory_limit(std::size_t bytes);
  StoreStatistics statistics() const;

 private:
  friend class StoreHandle;
  Store();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringcached
