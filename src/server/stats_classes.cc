#include "server/stats_classes.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ringcached::server {
namespace {

using Stats = store::Store::ClassStats;

// One line of `stats items`. Our queues in memcached's words: the small queue is where new items start (hot),
// the main queue is where those used again live (warm). There is no third one.
struct Row {
  std::string_view name;
  std::uint64_t (*number)(const Stats&) = nullptr;
  bool resettable = false;
  bool (*shown)(const ServerContext&) = nullptr;  // null: always
};

bool maintainer(const ServerContext& server) {
  return server.config.compat.lru_maintainer;
}
bool temp_lru(const ServerContext& server) {
  return server.live.temp_lru.load(std::memory_order_relaxed);
}
// Something of memcached that has no counterpart here; the line is kept because tools expect it.
std::uint64_t none(const Stats&) {
  return 0;
}
// Queues hold entries of items that are gone for a while; what is shown adds up.
std::uint64_t warm_items(const Stats& stats) {
  return std::min(stats.main_entries, stats.items);
}

template <auto kMember>
constexpr Row counted(std::string_view name, bool (*shown)(const ServerContext&) = nullptr) {
  return {name, [](const Stats& stats) -> std::uint64_t { return stats.*kMember; }, true, shown};
}
template <auto kMember>
constexpr Row state(std::string_view name, bool (*shown)(const ServerContext&) = nullptr) {
  return {name, [](const Stats& stats) -> std::uint64_t { return stats.*kMember; }, false, shown};
}
constexpr Row zero(std::string_view name, bool (*shown)(const ServerContext&) = nullptr) {
  return {name, none, false, shown};
}

constexpr Row kItemRows[] = {
    state<&Stats::items>("number"),
    {"number_hot", [](const Stats& stats) { return stats.items - warm_items(stats); }, false, maintainer},
    {"number_warm", warm_items, false, maintainer},
    zero("number_cold", maintainer),
    zero("number_temp", temp_lru),
    state<&Stats::small_age_seconds>("age_hot", maintainer),
    state<&Stats::main_age_seconds>("age_warm", maintainer),
    {"age",
     [](const Stats& stats) -> std::uint64_t {
       return std::max(stats.small_age_seconds, stats.main_age_seconds);
     }},
    state<&Stats::bytes_requested>("mem_requested"),
    counted<&Stats::evicted>("evicted"),
    counted<&Stats::evicted_nonzero>("evicted_nonzero"),
    state<&Stats::last_eviction_age_seconds>("evicted_time"),
    counted<&Stats::out_of_memory>("outofmemory"),
    zero("tailrepairs"),
    counted<&Stats::reclaimed>("reclaimed"),
    counted<&Stats::expired_unfetched>("expired_unfetched"),
    counted<&Stats::evicted_unfetched>("evicted_unfetched"),
    counted<&Stats::evicted_active>("evicted_active", maintainer),
    counted<&Stats::reaper_reclaimed>("crawler_reclaimed"),
    counted<&Stats::reaper_checked>("crawler_items_checked"),
    zero("lrutail_reflocked"),
    zero("moves_to_cold", maintainer),
    counted<&Stats::promoted>("moves_to_warm", maintainer),
    zero("moves_within_lru", maintainer),
    zero("direct_reclaims", maintainer),
    zero("hits_to_hot", maintainer),
    zero("hits_to_warm", maintainer),
    zero("hits_to_cold", maintainer),
    zero("hits_to_temp", maintainer),
};

constexpr std::size_t kResettableRows =
    static_cast<std::size_t>(std::ranges::count(kItemRows, true, &Row::resettable));

std::uint64_t commands_of(const ServerContext& server, std::size_t counter, unsigned slab_class) {
  std::uint64_t sum = 0;
  for (const auto& cells : server.counters) sum += cells->get(static_cast<ClassCount>(counter), slab_class);
  return sum;
}

// What the resettable figures were at the last reset, class by class: item rows, then commands.
class ClassBaseline {
 public:
  static constexpr std::size_t kFigures = kResettableRows + kClassCounts;

  explicit ClassBaseline(ServerContext& server) : values_(server.class_baseline.values()) {}
  std::uint64_t item_row(unsigned slab_class, std::size_t row) const { return at(slab_class, row); }
  std::uint64_t command(unsigned slab_class, std::size_t counter) const {
    return at(slab_class, kResettableRows + counter);
  }

 private:
  std::uint64_t at(unsigned slab_class, std::size_t figure) const {
    const std::size_t index = (slab_class - 1) * kFigures + figure;
    return index < values_.size() ? values_[index] : 0;
  }
  std::vector<std::uint64_t> values_;
};

}  // namespace

void items_stats(ServerContext& server, StatSink& sink) {
  const ClassBaseline baseline(server);
  for (unsigned slab_class = 1; slab_class <= server.store.class_count(); ++slab_class) {
    const Stats stats = server.store.class_stats(slab_class);
    if (stats.items == 0) continue;
    const std::string prefix = "items:" + std::to_string(slab_class) + ":";
    std::size_t resettable = 0;
    for (const Row& row : kItemRows) {
      const std::uint64_t before = row.resettable ? baseline.item_row(slab_class, resettable++) : 0;
      if (row.shown != nullptr && !row.shown(server)) continue;
      sink.stat(prefix + std::string(row.name), row.number(stats) - before);
    }
  }
}

void slabs_stats(ServerContext& server, StatSink& sink) {
  const ClassBaseline baseline(server);
  std::uint64_t active = 0;
  std::uint64_t pages = 0;
  for (unsigned slab_class = 1; slab_class <= server.store.class_count(); ++slab_class) {
    const Stats stats = server.store.class_stats(slab_class);
    if (stats.pages == 0) continue;
    ++active;
    pages += stats.pages;
    const std::string prefix = std::to_string(slab_class) + ":";
    const auto line = [&](std::string_view key, std::uint64_t value) {
      sink.stat(prefix + std::string(key), value);
    };
    line("chunk_size", stats.chunk_bytes);
    line("chunks_per_page", stats.chunks_per_page);
    line("total_pages", stats.pages);
    line("total_chunks", stats.pages * stats.chunks_per_page);
    line("used_chunks", stats.chunks_used);
    line("free_chunks", stats.chunks_free);
    line("free_chunks_end", 0);
    for (std::size_t i = 0; i < kClassCounts; ++i) {
      line(kClassCountNames[i], commands_of(server, i, slab_class) - baseline.command(slab_class, i));
    }
  }
  sink.stat("active_slabs", active);
  sink.stat("total_malloced", pages * store::kPageBytes);
}

void reset_class_stats(ServerContext& server) {
  std::vector<std::uint64_t> values;
  for (unsigned slab_class = 1; slab_class <= server.store.class_count(); ++slab_class) {
    const Stats stats = server.store.class_stats(slab_class);
    for (const Row& row : kItemRows) {
      if (row.resettable) values.push_back(row.number(stats));
    }
    for (std::size_t i = 0; i < kClassCounts; ++i) values.push_back(commands_of(server, i, slab_class));
  }
  server.class_baseline.set(std::move(values));
}

}  // namespace ringcached::server
