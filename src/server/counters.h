// Every counter of the commands, declared once. Each worker owns a set of cells; `stats` sums them over
// workers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/counter.h"
#include "store/slab_classes.h"

namespace ringcached::server {

// name as `stats` prints it; the enumerator is k + the name in the table below
#define RINGCACHED_COMMAND_COUNTERS(X) \
  X(CmdGet, "cmd_get")                 \
  X(CmdSet, "cmd_set")                 \
  X(CmdFlush, "cmd_flush")             \
  X(CmdTouch, "cmd_touch")             \
  X(CmdMeta, "cmd_meta")               \
  X(GetHits, "get_hits")               \
  X(GetMisses, "get_misses")           \
  X(GetExpired, "get_expired")         \
  X(GetFlushed, "get_flushed")         \
  X(DeleteMisses, "delete_misses")     \
  X(DeleteHits, "delete_hits")         \
  X(IncrMisses, "incr_misses")         \
  X(IncrHits, "incr_hits")             \
  X(DecrMisses, "decr_misses")         \
  X(DecrHits, "decr_hits")             \
  X(CasMisses, "cas_misses")           \
  X(CasHits, "cas_hits")               \
  X(CasBadval, "cas_badval")           \
  X(TouchHits, "touch_hits")           \
  X(TouchMisses, "touch_misses")       \
  X(StoreTooLarge, "store_too_large")  \
  X(StoreNoMemory, "store_no_memory")  \
  X(AuthCmds, "auth_cmds")             \
  X(AuthErrors, "auth_errors")

enum class Count : std::uint8_t {
#define RINGCACHED_X(name, text) k##name,
  RINGCACHED_COMMAND_COUNTERS(RINGCACHED_X)
#undef RINGCACHED_X
};

inline constexpr std::array kCountNames = {
#define RINGCACHED_X(name, text) text,
    RINGCACHED_COMMAND_COUNTERS(RINGCACHED_X)
#undef RINGCACHED_X
};
inline constexpr std::size_t kCounts = kCountNames.size();

// Per slab class, in the order `stats slabs` prints them.
enum class ClassCount : std::uint8_t {
  kGetHits,
  kCmdSet,
  kDeleteHits,
  kIncrHits,
  kDecrHits,
  kCasHits,
  kCasBadval,
  kTouchHits,
};
inline constexpr std::array kClassCountNames = {"get_hits",  "cmd_set",  "delete_hits", "incr_hits",
                                                "decr_hits", "cas_hits", "cas_badval",  "touch_hits"};
inline constexpr std::size_t kClassCounts = kClassCountNames.size();

// One worker's cells. Written by the worker, read by any thread.
class alignas(64) WorkerCounters {
 public:
  void add(Count counter, std::uint64_t n = 1) { commands_[static_cast<std::size_t>(counter)].add(n); }
  void add(ClassCount counter, unsigned slab_class) {
    classes_[slab_class][static_cast<std::size_t>(counter)].add();
  }
  std::uint64_t get(Count counter) const { return commands_[static_cast<std::size_t>(counter)].get(); }
  std::uint64_t get(ClassCount counter, unsigned slab_class) const {
    return classes_[slab_class][static_cast<std::size_t>(counter)].get();
  }

 private:
  alignas(64) std::array<Counter, kCounts> commands_{};
  std::array<std::array<Counter, kClassCounts>, store::SlabClasses::kClassesMax + 1> classes_{};
};

}  // namespace ringcached::server
