// The store: keys and values, expiry, CAS, eviction. Knows no protocol word and no socket. This is the
// internal interface, made for the server's hot path; include/ringcached/store.h is the public one on top of
// it.
//
// Threads: any number, each with its own StoreThread (an arena, counters, a CAS sequence). Reads take no
// lock: bucket version, copy, version again. Writes lock one bucket for nanoseconds. Time: every call takes
// `now`; the store never reads a clock.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/counter.h"
#include "base/prefetch.h"
#include "ringcached/status.h"
#include "store/arena.h"
#include "store/sighting.h"

namespace ringcached::store {

// Declared here because the friends below would else name the public class of the same name, where that is
// known.
class Pin;
class Store;
class StoreCore;
class StoreThread;
struct ThreadState;

struct Options {
  std::size_t memory_limit_bytes = std::size_t{64} << 20;
  // Address space to keep for set_memory_limit to grow into; 0: four times the limit.
  std::size_t memory_reserve_bytes = 0;
  std::size_t item_bytes_max = std::size_t{1} << 20;  // by memcached's arithmetic: item_bytes() below
  unsigned threads = 1;                               // StoreThreads that may be attached
  bool evict = true;                                  // false: stores fail when memory is used up (-M)
  bool cas = true;                                    // false: ids are 0 (-C)
  bool lru = false;
  unsigned index_power_initial = 16;  // as memcached's hash power: log2 of 8 times the buckets at start
  bool index_growth = true;
  LargePages large_pages = LargePages::kNone;
  // NUMA nodes that threads will attach from, by the kernel's numbers: item memory is divided among them and
  // the index interleaved over them. One or none: all is left to the kernel.
  std::vector<unsigned> nodes;
  bool slab_reassign = true;
  bool slab_automove = true;  // with slab_reassign: pages move by themselves; set_automove() changes it,
  double slab_automove_ratio = 0.8;    // and these two are BalanceSettings::ratio
  unsigned slab_automove_window = 10;  // and window_percent
  std::uint64_t hash_seed = 0;         // 0: random
  bool memory_ahead = false;           // a thread keeps memory ready for growth, see MemoryAhead
};

// memcached's size of an item (spec 2.3): 48 + 8 (with CAS) + key + 1 + (4 if flags) + value + 2. What
// `bytes`, `size=` and the size limit count; not what the item costs here.
inline constexpr std::size_t item_bytes(std::size_t key_bytes, std::size_t value_bytes,
                                        std::uint32_t client_flags, bool cas) {
  constexpr std::size_t kHeaderBytes = 48, kCasBytes = 8, kKeyEndBytes = 1, kFlagsBytes = 4,
                        kValueEndBytes = 2;
  return kHeaderBytes + (cas ? kCasBytes : 0) + key_bytes + kKeyEndBytes +
         (client_flags != 0 ? kFlagsBytes : 0) + value_bytes + kValueEndBytes;
}

// A key with its hash, computed once per request.
struct Key {
  std::string_view bytes;
  std::uint64_t hash = 0;
  Sighting seen{};  // what prefetching has found out
};

// What a lookup tells about an item, as it was before this access.
struct ItemInfo {
  std::uint64_t cas = 0;
  std::uint32_t client_flags = 0;
  std::uint32_t value_bytes = 0;
  CacheTime expiry = 0;       // 0: never
  CacheTime last_access = 0;  // before this access
  bool fetched = false;       // before this access
  bool stale = false, token_sent = false, binary_key = false;
  bool won = false;  // this access got the right to recache (ReadOptions::claim)
  unsigned slab_class = 0;
};

enum class Lookup : std::uint8_t { kHit, kMiss, kExpired, kFlushed };

// A value held in place for a reader (large values): stays as it is until released, whatever happens to the
// key. Move-only; release on any thread.
class Pin {
 public:
  Pin() = default;
  Pin(Pin&& other) noexcept;
  Pin& operator=(Pin&& other) noexcept;
  ~Pin() { release(); }
  void release();
  explicit operator bool() const { return head_ != kNoChunk; }
  // Hands the pin to C-style ownership (OutputPin): give both back to Pin::release_raw.
  ChunkAddress detach();
  static void release_raw(void* store, void* head);

 private:
  friend class Store;
  Store* store_ = nullptr;
  ChunkAddress head_ = kNoChunk;
};

enum class StoreMode : std::uint8_t { kSet, kAdd, kReplace, kAppend, kPrepend, kCas };

enum class StoreResult : std::uint8_t {
  kStored,
  kNotStored,
  kExists,
  kNotFound,
  kTooLarge,  // by item_bytes_max; for kSet the old item is removed
  kNoMemory,  // nothing evictable, or evict == false; for kSet the old item is removed
};

struct StoreRequest {
  StoreMode mode = StoreMode::kSet;
  Key key;
  std::uint32_t client_flags = 0;
  CacheTime expiry = 0;           // absolute in cache time (expiry.h converts); 0 never; 1 = already dead
  std::uint64_t cas_compare = 0;  // kCas: 0 never equals; kAppend, kPrepend: 0 is no compare
  // For the meta commands (spec 6.5, 6.6):
  std::uint64_t cas_explicit = 0;  // the id the item gets; 0: a new one
  bool invalidate = false;  // kCas: a lower id than the item's stores too, as stale, keeping expiry and token
  bool binary_key = false;  // the mark of a base64 key
  bool token_sent = false;  // the item is created with its recache token handed out (mg N)
  bool fetched = false;     // a missing item is created as read already (mg N)
  bool create = false;      // kAppend, kPrepend: a missing item is created with `expiry`
  // kTooLarge and kNoMemory remove the old item whatever the mode, as they do with kSet.
  bool remove_when_refused = false;
};

// A storage command whose value is still arriving: memory is reserved as it comes (a chain grows chunk by
// chunk), then commit() makes it visible, or discard() (also the destructor) gives it back.
class PendingStore {
 public:
  PendingStore() = default;
  PendingStore(PendingStore&&) noexcept;
  PendingStore& operator=(PendingStore&&) noexcept;
  ~PendingStore();
  // Copies value bytes in, in order; together at most the announced length. False: memory ran out now (the
  // caller swallows the rest and answers "Out of memory during read"); the pending store is discarded.
  bool write(std::span<const char> bytes);
  // The other way: memory where the next bytes of the value are to be written by somebody else, in order.
  // Fills `pieces` as far as there is room that may be reserved now, and returns how many. Zero if nothing
  // remains, or for want of memory. What is written there counts once placed() was called; until then the
  // memory stays where it is, unless this is discarded.
  std::size_t room(std::span<std::span<char>> pieces);
  // Precondition: at most as many bytes as the pieces of the last room() hold.
  void placed(std::size_t bytes);
  std::size_t remaining() const { return remaining_; }
  explicit operator bool() const { return thread_ != nullptr; }
  void discard();

 private:
  friend class StoreCore;
  // Where the value is written: a chunk and the part of it that holds value bytes.
  struct Cursor {
    ChunkAddress chunk = kNoChunk;
    std::uint32_t offset = 0, limit = 0;
  };
  bool add_part();
  bool advance(Cursor& cursor);
  std::span<char> memory_at(const Cursor& cursor) const;
  ThreadState* thread_ = nullptr;
  Chunk head_{};
  unsigned slab_class_ = 0;  // of the head
  bool chained_ = false;
  std::uint32_t client_flags_ = 0, value_bytes_ = 0;
  Cursor write_;
  ChunkAddress last_ = kNoChunk;          // of the chain; behind write_'s if there is room reserved ahead
  std::array<ChunkAddress, 4> latest_{};  // parts, in a circle
  unsigned parts_ = 0;
  std::size_t remaining_ = 0;      // bytes not yet written
  std::size_t without_chunk_ = 0;  // of those, bytes no chunk was reserved for
};

enum class ArithmeticResult : std::uint8_t { kDone, kNotFound, kNonNumeric, kNoMemory, kExists };
enum class DeleteResult : std::uint8_t { kDeleted, kNotFound, kExists };

// Counters of one thread's calls. What evictions did is accounted to the arena it happened in: Store::stats()
// has the sums of both.
struct StoreCounters {
  Counter items_linked, items_unlinked;  // current = difference of the sums
  Counter bytes_linked, bytes_unlinked;  // by item_bytes()
  Counter total_items;
  Counter evictions, evicted_unfetched, evicted_active, expired_unfetched, reclaimed;
  Counter reaper_checked, reaper_reclaimed;  // the crawler's figures
  Counter found_expired, found_flushed;      // by whatever writes or removes; Store::read() tells its caller
  Counter read_retries, read_locked;         // optimistic reads that had to start again, or took the lock
  Counter in_place_overwrites, pages_moved, page_steals, out_of_memory;
};

struct StoreStats {
  std::uint64_t items = 0, bytes = 0, total_items = 0;
  std::uint64_t evictions = 0, evicted_unfetched = 0, evicted_active = 0, expired_unfetched = 0,
                reclaimed = 0;
  std::uint64_t reaper_checked = 0, reaper_reclaimed = 0, found_expired = 0, found_flushed = 0;
  std::uint64_t read_retries = 0, read_locked = 0;
  std::uint64_t in_place_overwrites = 0, pages_moved = 0, page_steals = 0, out_of_memory = 0;
  // In pages that were emptied to be moved: items dropped dead, and alive; pages that were in use instead.
  std::uint64_t moved_reclaimed = 0, moved_evicted = 0, moved_busy = 0;
  std::size_t limit_bytes = 0, page_bytes_used = 0;
  std::size_t page_bytes_resident = 0;  // those used, and those that were and are kept for the next use
  std::size_t queue_bytes = 0;          // eviction queues, ghosts and marks
  std::uint64_t pages_free = 0;
  unsigned index_power = 0;  // log2 of buckets * 8, for hash_power_level
  std::size_t index_bytes = 0;
  bool index_growing = false;
};

struct WriteInfo {
  std::uint64_t cas = 0;
  std::uint32_t client_flags = 0;
  std::uint32_t value_bytes = 0;
  CacheTime expiry = 0;
  CacheTime expiry_before = 0;  // arithmetic: before its own `touch`
};

// What an operation found under its key before it changed anything.
struct ItemSeen {
  Lookup lookup = Lookup::kMiss;
  // Of a hit, else 0.
  std::uint32_t value_bytes = 0;
  unsigned slab_class = 0;
};

// An item that was alive and had to make room. The key is valid during the call.
struct Eviction {
  std::string_view key;
  std::uint32_t value_bytes = 0;
  CacheTime expiry = 0;  // 0: never
  CacheTime now = 0;     // the store's latest
  std::uint32_t idle_seconds = 0;
  bool fetched = false;
  unsigned slab_class = 0;
};

// Is told about evictions while it wants to be.
class EvictionObserver {
 public:
  // Any thread.
  bool wants_evictions() const { return wants_evictions_.load(std::memory_order_relaxed); }
  // On whatever thread needed the memory, under the lock of arena `arena` (StoreThread::id), one call at a
  // time per arena: be short, do not wait, do not call the store.
  virtual void on_eviction(unsigned arena, const Eviction& eviction) noexcept = 0;

 protected:
  ~EvictionObserver() = default;
  std::atomic<bool> wants_evictions_{false};
};

// The parts of StoreThread::maintain().
enum class Maintenance : std::uint8_t { kPages, kIndex, kReaper };

// Told where the time of maintain() goes.
class MaintenanceObserver {
 public:
  // A part is about to begin, or to go on; or has ended.
  virtual void on_begin() = 0;
  virtual void on_end(Maintenance part) = 0;

 protected:
  ~MaintenanceObserver() = default;
};

// One thread's access. Made by Store::attach; used by one thread at a time.
class StoreThread {
 public:
  ~StoreThread();
  unsigned id() const;
  const StoreCounters& counters() const;
  // The slab class of the item the last successful (or cas-refused) operation of this thread dealt with, for
  // the per-class counters of `stats slabs`; 0 when there was none.
  unsigned last_class() const;
  // The item as the last successful put, commit, arithmetic or invalidation of this thread left it.
  const WriteInfo& last_write() const;
  // What the last put, commit, remove, touch or arithmetic of this thread found under its key; of a put or
  // begin refused for want of room: what it removed.
  ItemSeen last_seen() const;
  // Classes between which the last page moved by maintain() or Store::move_page() went; 0: the pool.
  struct PageMove {
    unsigned from = 0, to = 0;
  };
  PageMove last_page_move() const;
  // Of the moves that allocating memory made in this thread's arena: how many so far, and the last.
  struct PageMoves {
    std::uint64_t count = 0;
    PageMove last;
  };
  PageMoves own_page_moves() const;
  // Bounded background work (reaping expired and flushed items, index growth, page balance, shrinking to a
  // lowered limit): at most about `chunks_max` chunks looked at. True if more is waiting. Without `reap` the
  // memory of expired and flushed items is left to eviction. `observer` may be null.
  bool maintain(CacheTime now, std::size_t chunks_max, bool reap = true,
                MaintenanceObserver* observer = nullptr);
  // The part of maintain() that should not wait, for every turn without maintain(): lets allocations do a
  // turn's worth of work in passing again, and empties the page that they want, if any, by
  // Arena::kEmptyingStep chunks. Cheap when there is nothing to do. True if more is waiting.
  bool end_turn(MaintenanceObserver* observer = nullptr);
  // The reaping of the next calls of maintain() looks at every item of these classes in this thread's memory,
  // whether something there is known to have expired or not. crawling() until that is done.
  void crawl(const SlabClassSet& classes);
  bool crawling() const;

 private:
  friend class Store;
  friend class PendingStore;
  friend class Pin;
  StoreThread();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct ReadOptions {
  bool touch = false;  // gat: set the expiry to `expiry` on a hit (locks the bucket)
  CacheTime expiry = 0;
  bool quiet = false;  // leave the frequency, the fetched mark and the access time alone
  // mg: whoever hits a stale item first gets the token to recache it (ItemInfo::won), and so does who hits an
  // item without token whose expiry is before `recache_before` (0: no). `recache_after_touch`: the expiry
  // just set counts.
  bool claim = false;
  CacheTime recache_before = 0;
  bool recache_after_touch = false;
};

// Hits of fewer value bytes are copied, others may be pinned.
inline constexpr std::size_t kPinBytesMin = 4096;

// Where a hit's value goes: copied to `copy_to` (room for value_bytes), or pinned in place (only values of at
// least kPinBytesMin), or neither.
struct ReadTarget {
  char* copy_to = nullptr;
  bool pin = false;
};

struct Arithmetic {
  bool decrement = false;
  std::uint64_t delta = 1;
  std::uint64_t cas_compare = 0;   // 0: no compare
  std::uint64_t cas_explicit = 0;  // 0: a new id
  bool touch = false;              // set `expiry` as well
  CacheTime expiry = 0;
};

struct Removal {
  std::uint64_t cas_compare = 0;   // 0: no compare
  bool compare = false;            // cas_compare is to be compared with even if it is 0, which no item has
  std::uint64_t cas_explicit = 0;  // with `invalidate` or `clear`: the id the item gets
  bool invalidate = false;         // md I: mark stale and take the token back instead of removing
  bool clear = false;  // md x: replace the value by an empty one instead, with the two below; the id stays
  bool set_expiry = false;  // with `invalidate`
  CacheTime expiry = 0;
  std::uint32_t client_flags = 0;
};

// An item met by Store::scan; the key is valid during the call.
struct ScannedItem {
  std::string_view key;
  ItemInfo info;
};

class Store {
 public:
  static Result<std::unique_ptr<Store>> create(const Options& options);
  ~Store();

  // What was asked for and the kernel refused (nodes, explicit huge pages); the store works all the same.
  std::vector<Status> refusals() const;

  // One more thread's access; at most Options::threads. Its memory is taken from `node` (by the kernel's
  // number), if that is one of Options::nodes. Any thread; the result belongs to the store.
  StoreThread& attach(unsigned node = 0);

  Key key(std::string_view bytes) const;
  // As key(), and asks for the cache line where the access will start; worth it when several keys are known.
  void prefetch(std::string_view bytes, Key& key, Access access = Access::kRead) const;
  // The steps after that for keys that were all prefetched, at most 64 (key_of(0 .. count) -> Key&): asks for
  // their items and notes where they are, which saves whatever is done for them next the search.
  template <typename KeyOf>
  void prefetch_items(std::size_t count, KeyOf&& key_of) const;

  // Looks a key up. On a hit calls place(const ItemInfo&) -> ReadTarget, then copies or pins; `place` may be
  // called again when a writer interfered, so it must not have effects that cannot be repeated, and copied
  // bytes are only valid once read() has returned kHit. It must not call the store: a bucket may be locked.
  // An expired or flushed item is removed on the way. (Defined in store/store_read.h, as are prefetch,
  // prefetch_items and for_each_piece.)
  template <typename Place>
  Lookup read(StoreThread& thread, const Key& key, CacheTime now, const ReadOptions& options, Place&& place,
              Pin* pin);
  // The usual case of read() without options, in as few steps as it can be had: a living item of one chunk,
  // with fewer than kPinBytesMin value bytes, found at the first look. place(const ItemInfo&) -> char* says
  // where they go, under the same conditions, or null to decline. False: nothing has happened, ask read().
  template <typename Place>
  bool read_plain(StoreThread& thread, const Key& key, CacheTime now, Place&& place);

  // The pieces of a pinned value, in order: visit(std::span<const char>).
  template <typename Visit>
  void for_each_piece(const Pin& pin, Visit&& visit) const;

  // Whole value at hand (the common case). Overwrites in place when the item stays in its class.
  StoreResult put(StoreThread& thread, const StoreRequest& request, std::string_view value, CacheTime now);
  // Value arriving in pieces. kStored means `pending` is ready for write(); kTooLarge and kNoMemory leave it
  // empty (and have removed the old item where the mode says so).
  StoreResult begin(StoreThread& thread, const StoreRequest& request, std::size_t value_bytes, CacheTime now,
                    PendingStore& pending);
  // After all bytes were written. `request` is the one given to begin (its key bytes may have moved).
  StoreResult commit(StoreThread& thread, const StoreRequest& request, PendingStore&& pending, CacheTime now);

  DeleteResult remove(StoreThread& thread, const Key& key, CacheTime now) {
    return remove(thread, key, {}, now);
  }
  DeleteResult remove(StoreThread& thread, const Key& key, const Removal& removal, CacheTime now);
  // TOUCHED or not: true on a hit.
  bool touch(StoreThread& thread, const Key& key, CacheTime expiry, CacheTime now);
  // On kDone `value` is the new number. Padding rules of spec 5.4.
  ArithmeticResult arithmetic(StoreThread& thread, const Key& key, const Arithmetic& arithmetic,
                              CacheTime now, std::uint64_t& value);

  // Everything stored before this call is invalid; O(1), memory comes back through maintain(). Only 64
  // flushes with stores between them can be told apart: when memory was not gone over since the oldest of
  // these, this does so first.
  void flush(StoreThread& thread);
  // Does a bounded piece of that ahead, once per turn of the thread (maintain(), end_turn()). False: flush()
  // would take long now, or the piece that each of the next flushes has to do ahead is not done yet; ask
  // again in the next turn.
  bool prepare_flush(StoreThread& thread);

  // Calls visit(context, item) for every live item of the next `buckets` buckets, starting at `cursor` (0 at
  // first), and returns the next cursor; 0 when through. An item that is there all the time is met at least
  // once, and more often only while the index grows. The visitor gets copies and may do what it likes.
  using ScanVisitor = void (*)(void* context, const ScannedItem& item);
  std::size_t scan(std::size_t cursor, std::size_t buckets, CacheTime now, ScanVisitor visit, void* context);

  // Before any item is stored; null: nobody. It must outlive the use of the store.
  void observe_evictions(EvictionObserver* observer);
  unsigned threads_max() const;  // Options::threads

  bool set_memory_limit(std::size_t bytes);  // false: out of the reserved range

  // Takes a page from one class, evicting what is in it, and gives it to another, in the same arena.
  // kFreePages for either means the pages that belong to no class; kAnyClass as `from` means the class that
  // can spare one most easily. A class keeps its last page. kNoSpare also when no page of the class can be
  // emptied now, or ever (evict == false). A page of more than Arena::kEmptyingStep chunks is emptied in
  // steps by maintain() of the arena's thread; until it has gone there is no other move in that arena
  // (kBusy).
  static constexpr int kAnyClass = -1, kFreePages = 0;
  enum class PageMove : std::uint8_t { kMoved, kSame, kBadClass, kNoSpare, kBusy };
  PageMove move_page(StoreThread& thread, int from, int to);
  // Whether pages move between classes by themselves (with Options::slab_reassign). Any thread.
  void set_automove(bool on);
  void set_automove_ratio(double ratio);
  void set_automove_window(unsigned percent);

  std::size_t item_bytes_max() const;

  StoreStats stats() const;  // any thread
  struct ClassStats : ArenaClassStats {
    std::size_t chunk_bytes = 0;
    unsigned chunks_per_page = 0;
    std::uint64_t items = 0, bytes_requested = 0;
    std::uint64_t expired_unfetched = 0, reaper_checked = 0, reaper_reclaimed = 0;
    // Seconds since the last use of the item that is next in each eviction queue; 0 when there is none.
    std::uint32_t small_age_seconds = 0, main_age_seconds = 0;
  };
  // A NUMA node's share: its pages, and what the threads attached there did. One share without
  // Options::nodes.
  struct NodeStats : PoolNodeStats {
    unsigned threads = 0;
    std::size_t pages_used_here = 0;  // of the node's pages: by threads of the node,
    std::size_t pages_used_away = 0;  // by threads of other nodes
    std::uint64_t chunks_used = 0;    // of its threads, wherever
    std::uint64_t total_items = 0, evictions = 0, page_steals = 0;
  };
  std::vector<NodeStats> node_stats() const;  // any thread; looks at every page
  unsigned class_count() const;
  ClassStats class_stats(unsigned slab_class) const;  // summed over arenas; any thread

 private:
  friend struct StoreInside;  // the tests of interleavings
  friend class StoreThread;
  friend class PendingStore;
  friend class Pin;
  Store();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringcached::store
