#include "server/stats_table.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <span>

#include "ringcached/version.h"
#include "server/stats_classes.h"

namespace ringcached::server {
namespace {

using Snapshot = StatsSnapshot;

// One line. Either a number, which `stats reset` may zero, or a text.
struct Row {
  std::string_view name;
  bool resettable = false;
  std::uint64_t (*number)(const Snapshot&) = nullptr;
  std::string (*text)(const Snapshot&) = nullptr;
  bool (*shown)(const Snapshot&) = nullptr;  // null: always
};

template <Count kCounter>
constexpr Row command() {
  return {kCountNames[static_cast<std::size_t>(kCounter)], true,
          [](const Snapshot& s) { return s.commands[static_cast<std::size_t>(kCounter)]; }};
}

// A figure of the engine or the store, zeroed by reset.
template <auto kMember>
constexpr Row network(std::string_view name) {
  return {name, true, [](const Snapshot& s) -> std::uint64_t { return s.network.*kMember; }};
}
template <auto kMember>
constexpr Row items(std::string_view name) {
  return {name, true, [](const Snapshot& s) -> std::uint64_t { return s.store.*kMember; }};
}
template <auto kMember>
constexpr Row events(std::string_view name) {
  return {name, true, [](const Snapshot& s) -> std::uint64_t { return s.events.*kMember; }};
}
// A state: not zeroed.
constexpr Row state(std::string_view name, std::uint64_t (*number)(const Snapshot&)) {
  return {name, false, number};
}
// Something of memcached that has no counterpart here; the line is kept because tools expect it.
constexpr Row constant_zero(std::string_view name) {
  return {name, false, [](const Snapshot&) -> std::uint64_t { return 0; }};
}
constexpr Row text(std::string_view name, std::string (*value)(const Snapshot&)) {
  return {name, false, nullptr, value};
}

bool crawler_on(const Snapshot& s) {
  return s.crawler_on;
}
bool reassign_on(const Snapshot& s) {
  return s.config->store.slab_reassign;
}
bool maintainer_on(const Snapshot& s) {
  return s.config->compat.lru_maintainer;
}
bool udp_on(const Snapshot& s) {
  return s.config->network.udp_port != 0;
}
bool min_wait_on(const Snapshot& s) {
  return s.config->io.min_wait_us != 0;
}
bool spin_on(const Snapshot& s) {
  return s.config->io.spin_us != 0;
}
std::string gathers_by(const Snapshot& s) {
  if (s.network.io_backend == IoBackend::kEpoll) return "sleep";
  return s.network.kernel_gathers ? "minimum_wait" : "time_limit";
}
std::uint64_t worker_connections_min(const Snapshot& s) {
  const auto least = std::ranges::min_element(s.network.workers, {}, &WorkerStats::current_connections);
  return least == s.network.workers.end() ? 0 : least->current_connections;
}
std::uint64_t worker_connections_max(const Snapshot& s) {
  const auto most = std::ranges::max_element(s.network.workers, {}, &WorkerStats::current_connections);
  return most == s.network.workers.end() ? 0 : most->current_connections;
}
constexpr Row only(bool (*shown)(const Snapshot&), Row row) {
  row.shown = shown;
  return row;
}

std::string cpu_time(const timeval& time) {
  char line[48];
  std::snprintf(line, sizeof line, "%lld.%06lld", static_cast<long long>(time.tv_sec),
                static_cast<long long>(time.tv_usec));
  return line;
}
rusage resources() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage;
}

constexpr Row kProcessRows[] = {
    state("pid", [](const Snapshot&) -> std::uint64_t { return static_cast<std::uint64_t>(getpid()); }),
    state("uptime", [](const Snapshot& s) -> std::uint64_t { return s.now - kCacheTimeStart; }),
    state("time", [](const Snapshot& s) { return static_cast<std::uint64_t>(s.wall_seconds); }),
    text("version", [](const Snapshot&) { return std::string(kProtocolVersion); }),
    text("libevent",
         [](const Snapshot& s) {
           return std::string(s.network.io_backend == IoBackend::kEpoll ? "epoll" : "io_uring");
         }),
    state("pointer_size", [](const Snapshot&) -> std::uint64_t { return 8 * sizeof(void*); }),
    text("rusage_user", [](const Snapshot&) { return cpu_time(resources().ru_utime); }),
    text("rusage_system", [](const Snapshot&) { return cpu_time(resources().ru_stime); }),
};

constexpr Row kConnectionRows[] = {
    state("max_connections",
          [](const Snapshot& s) { return static_cast<std::uint64_t>(s.config->network.connections_max); }),
    state("curr_connections", [](const Snapshot& s) { return s.network.current_connections; }),
    network<&NetworkStats::total_connections>("total_connections"),
    only([](const Snapshot& s) { return s.config->network.refuse_fast; },
         network<&NetworkStats::rejected_connections>("rejected_connections")),
    state("connection_structures", [](const Snapshot& s) { return s.network.connection_structures; }),
    network<&NetworkStats::connections_out_of_memory>("response_obj_oom"),
    state("response_obj_count", [](const Snapshot& s) { return s.network.output_blocks; }),
    state("response_obj_bytes", [](const Snapshot& s) { return s.network.output_block_bytes; }),
    state("read_buf_count", [](const Snapshot& s) { return s.network.receive_buffers; }),
    state("read_buf_bytes", [](const Snapshot& s) { return s.network.receive_buffer_bytes; }),
    state("read_buf_bytes_free",
          [](const Snapshot& s) {
            const std::uint64_t each = s.config->io.receive_buffer_bytes;
            return s.network.receive_buffers_free * each;
          }),
    constant_zero("read_buf_oom"),
    // Descriptors of the server itself: standard streams, one ring and one eventfd per thread, the signal
    // descriptor.
    state("reserved_fds",
          [](const Snapshot& s) -> std::uint64_t { return 4 + 2 * (std::uint64_t{s.threads} + 1); }),
};

constexpr Row kCommandRows[] = {
#define RINGCACHED_X(name, text) command<Count::k##name>(),
    RINGCACHED_COMMAND_COUNTERS(RINGCACHED_X)
#undef RINGCACHED_X
};

constexpr Row kServerRows[] = {
    only([](const Snapshot& s) { return s.config->network.idle_timeout_s != 0; },
         network<&NetworkStats::idle_kicks>("idle_kicks")),
    network<&NetworkStats::bytes_read>("bytes_read"),
    network<&NetworkStats::bytes_written>("bytes_written"),
    state("limit_maxbytes",
          [](const Snapshot& s) { return static_cast<std::uint64_t>(s.store.limit_bytes); }),
    state("accepting_conns", [](const Snapshot& s) -> std::uint64_t { return s.network.accepting ? 1 : 0; }),
    network<&NetworkStats::listen_disabled>("listen_disabled_num"),
    network<&NetworkStats::time_in_listen_disabled_us>("time_in_listen_disabled_us"),
    state("threads", [](const Snapshot& s) -> std::uint64_t { return s.threads; }),
    network<&NetworkStats::yields>("conn_yields"),
    state("hash_power_level", [](const Snapshot& s) -> std::uint64_t { return s.store.index_power; }),
    state("hash_bytes", [](const Snapshot& s) -> std::uint64_t { return s.store.index_bytes; }),
    state("hash_is_expanding",
          [](const Snapshot& s) -> std::uint64_t { return s.store.index_growing ? 1 : 0; }),
};

constexpr Row kBackgroundRows[] = {
    only(reassign_on, constant_zero("slab_reassign_rescues")),
    only(reassign_on, constant_zero("slab_reassign_chunk_rescues")),
    only(reassign_on, items<&store::StoreStats::moved_reclaimed>("slab_reassign_inline_reclaim")),
    only(reassign_on, items<&store::StoreStats::moved_busy>("slab_reassign_busy_items")),
    only(reassign_on, constant_zero("slab_reassign_busy_deletes")),
    only(reassign_on, constant_zero("slab_reassign_busy_nomem")),
    only(reassign_on,
         text("slab_reassign_last_busy_status", [](const Snapshot&) { return std::string("none"); })),
    only(reassign_on, constant_zero("slab_reassign_running")),
    only(reassign_on, items<&store::StoreStats::pages_moved>("slabs_moved")),
    only(crawler_on, state("lru_crawler_running",
                           [](const Snapshot& s) -> std::uint64_t { return s.crawler_running ? 1 : 0; })),
    only(crawler_on, {"lru_crawler_starts", true, [](const Snapshot& s) { return s.crawler_starts; }}),
    only(maintainer_on, constant_zero("lru_maintainer_juggles")),
    items<&store::StoreStats::out_of_memory>("malloc_fails"),
    events<&EventFigures::rings_dropped>("log_worker_dropped"),
    events<&EventFigures::rings_written>("log_worker_written"),
    events<&EventFigures::lines_skipped>("log_watcher_skipped"),
    events<&EventFigures::lines_sent>("log_watcher_sent"),
    state("log_watchers", [](const Snapshot& s) { return s.events.watchers; }),
    constant_zero("unexpected_napi_ids"),
    constant_zero("round_robin_fallback"),
};

constexpr Row kItemRows[] = {
    state("bytes", [](const Snapshot& s) { return s.store.bytes; }),
    state("curr_items", [](const Snapshot& s) { return s.store.items; }),
    items<&store::StoreStats::total_items>("total_items"),
    state("slab_global_page_pool", [](const Snapshot& s) { return s.store.pages_free; }),
    items<&store::StoreStats::expired_unfetched>("expired_unfetched"),
    items<&store::StoreStats::evicted_unfetched>("evicted_unfetched"),
    only(maintainer_on, items<&store::StoreStats::evicted_active>("evicted_active")),
    items<&store::StoreStats::evictions>("evictions"),
    items<&store::StoreStats::reclaimed>("reclaimed"),
    items<&store::StoreStats::reaper_reclaimed>("crawler_reclaimed"),
    items<&store::StoreStats::reaper_checked>("crawler_items_checked"),
    constant_zero("lrutail_reflocked"),
    only(maintainer_on, constant_zero("moves_to_cold")),
    only(maintainer_on, constant_zero("moves_to_warm")),
    only(maintainer_on, constant_zero("moves_within_lru")),
    only(maintainer_on, constant_zero("direct_reclaims")),
    only(maintainer_on, constant_zero("lru_bumps_dropped")),
};

// What only ringcached can tell; behind memcached's lines, so that position-minded tools are not disturbed.
constexpr Row kOwnRows[] = {
    state("page_bytes", [](const Snapshot& s) -> std::uint64_t { return s.store.page_bytes_used; }),
    state("page_bytes_resident",
          [](const Snapshot& s) -> std::uint64_t { return s.store.page_bytes_resident; }),
    state("queue_bytes", [](const Snapshot& s) -> std::uint64_t { return s.store.queue_bytes; }),
    items<&store::StoreStats::moved_evicted>("page_move_evictions"),
    items<&store::StoreStats::in_place_overwrites>("in_place_overwrites"),
    items<&store::StoreStats::read_retries>("read_retries"),
    items<&store::StoreStats::read_locked>("read_locked"),
    items<&store::StoreStats::page_steals>("page_steals"),
    network<&NetworkStats::receive_buffers_exhausted>("receive_buffers_exhausted"),
    network<&NetworkStats::receives_paused>("receives_paused"),
    network<&NetworkStats::receives_renewed>("receives_renewed"),
    network<&NetworkStats::sends_short>("sends_short"),
    network<&NetworkStats::stale_completions>("stale_completions"),
    network<&NetworkStats::accept_errors>("accept_errors"),
    network<&NetworkStats::handoff_retries>("handoff_retries"),
    {"log_lines_dropped", true, [](const Snapshot& s) { return s.log_lines_dropped; }},
    only([](const Snapshot& s) { return min_wait_on(s) || spin_on(s); },
         network<&NetworkStats::waits>("waits")),
    only(min_wait_on, text("waits_gather_by", gathers_by)),
    only(min_wait_on, network<&NetworkStats::waits_gathering>("waits_gathering")),
    only(min_wait_on, network<&NetworkStats::completions_gathered>("completions_gathered")),
    only(spin_on, network<&NetworkStats::waits_spinning>("waits_spinning")),
    only(spin_on, network<&NetworkStats::spins_successful>("spins_successful")),
    state("worker_connections_min", worker_connections_min),
    state("worker_connections_max", worker_connections_max),
    only(udp_on, network<&NetworkStats::datagrams_received>("udp_datagrams_received")),
    only(udp_on, network<&NetworkStats::datagrams_sent>("udp_datagrams_sent")),
    only(udp_on, network<&NetworkStats::datagrams_malformed>("udp_datagrams_malformed")),
    only(udp_on, network<&NetworkStats::datagram_replies_dropped>("udp_replies_dropped")),
    only(udp_on, network<&NetworkStats::datagram_send_errors>("udp_send_errors")),
};

constexpr std::span<const Row> kGroups[] = {kProcessRows,    kConnectionRows, kCommandRows, kServerRows,
                                            kBackgroundRows, kItemRows,       kOwnRows};

}  // namespace

StatsSnapshot take_snapshot(ServerContext& server) {
  StatsSnapshot snapshot;
  for (const auto& cells : server.counters) {
    for (std::size_t i = 0; i < kCounts; ++i) snapshot.commands[i] += cells->get(static_cast<Count>(i));
  }
  snapshot.network = server.network->stats();
  snapshot.store = server.store.stats();
  snapshot.commands[static_cast<std::size_t>(Count::kGetExpired)] += snapshot.store.found_expired;
  snapshot.commands[static_cast<std::size_t>(Count::kGetFlushed)] += snapshot.store.found_flushed;
  snapshot.events = server.events.figures();
  snapshot.log_lines_dropped = server.log.lines_dropped();
  snapshot.now = server.clock.now();
  snapshot.wall_seconds = std::time(nullptr);
  snapshot.threads = server.network->workers();
  snapshot.config = &server.config;
  snapshot.crawler_on = server.live.crawler.load(std::memory_order_relaxed);
  snapshot.crawler_running = server.crawler.running();
  snapshot.crawler_starts = server.crawler.starts();
  return snapshot;
}

void general_stats(ServerContext& server, StatSink& sink) {
  const StatsSnapshot snapshot = take_snapshot(server);
  const std::vector<std::uint64_t> baseline = server.baseline.values();
  std::size_t resettable = 0;
  for (const auto group : kGroups) {
    for (const Row& row : group) {
      std::uint64_t before = 0;
      if (row.resettable && resettable < baseline.size()) before = baseline[resettable];
      if (row.resettable) ++resettable;
      if (row.shown != nullptr && !row.shown(snapshot)) continue;
      if (row.text != nullptr) {
        sink.stat(row.name, row.text(snapshot));
      } else {
        sink.stat(row.name, row.number(snapshot) - before);
      }
    }
  }
}

void reset_stats(ServerContext& server) {
  const StatsSnapshot snapshot = take_snapshot(server);
  std::vector<std::uint64_t> values;
  for (const auto group : kGroups) {
    for (const Row& row : group) {
      if (row.resettable) values.push_back(row.number(snapshot));
    }
  }
  server.baseline.set(std::move(values));
  reset_class_stats(server);
  server.prefixes.reset();
  server.latency.reset();
}

}  // namespace ringcached::server
