// `stats detail`: how often keys of each prefix are asked for, found, stored and deleted. A prefix is what
// precedes the first delimiter; keys without one are not counted (section 9.7).
//
// Each worker counts in a table of its own under a lock that only dump() and reset() ever contend for, and
// these hold it for a few entries at a time. While counting is off, callers pay for one load and branch.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/spin_lock.h"

namespace ringcached::server {

struct PrefixCounts {
  std::uint64_t gets = 0, hits = 0, sets = 0, deletes = 0;
};

class PrefixTable {
 public:
  static constexpr std::size_t kPrefixesMax = 65536;  // further ones are not counted

  explicit PrefixTable(char delimiter) : delimiter_(delimiter), entries_(std::make_unique<Entries>()) {}

  // The worker the table belongs to.
  void count_get(std::string_view key, bool hit);
  void count_set(std::string_view key);
  void count_delete(std::string_view key);

  // Any thread.
  using Sums = std::unordered_map<std::string, PrefixCounts>;
  void add_to(Sums& sums) const;
  void clear();

 private:
  struct Entry {
    std::string prefix;
    PrefixCounts counts;
  };
  struct Entries {
    std::deque<Entry> list;  // never moves an entry
    std::unordered_map<std::string_view, Entry*> by_prefix;
  };
  template <typename Change>
  void count(std::string_view key, Change&& change);
  bool copy_piece(std::size_t start, std::vector<Entry>& piece) const;

  const char delimiter_;
  mutable SpinLock lock_;
  std::unique_ptr<Entries> entries_;
};

class PrefixStats {
 public:
  PrefixStats(char delimiter, bool enabled) : delimiter_(delimiter), enabled_(enabled) {}

  // Whether to count; any thread, one relaxed load.
  bool enabled() const { return enabled_.load(std::memory_order_relaxed); }
  void set_enabled(bool enabled) { enabled_.store(enabled, std::memory_order_relaxed); }

  // One more worker's table; lives as long as this.
  PrefixTable& attach();

  // "PREFIX <prefix> get <n> hit <n> set <n> del <n>" lines, sorted, then END. Any thread.
  std::string dump();
  void reset();

 private:
  std::vector<PrefixTable*> tables();

  const char delimiter_;
  std::atomic<bool> enabled_;
  SpinLock lock_;  // of the list
  std::vector<std::unique_ptr<PrefixTable>> tables_;
};

}  // namespace ringcached::server
