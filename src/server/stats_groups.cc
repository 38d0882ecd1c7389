#include "server/stats_groups.h"

#include <charconv>
#include <string>

#include "config/settings.h"
#include "protocol/reply.h"

namespace ringcached::server {

void StatSink::stat(std::string_view name, std::uint64_t value) {
  char digits[protocol::kU64DigitsMax];
  const char* end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  stat(name, std::string_view(digits, static_cast<std::size_t>(end - digits)));
}

void settings_stats(ServerContext& server, StatSink& sink) {
  // What commands have changed since the start, and what was only known then.
  config::Config effective = server.config;
  effective.memory.limit_bytes = server.store.stats().limit_bytes;
  effective.process.verbosity = static_cast<unsigned>(server.log.verbosity());
  effective.threads.workers = server.network->workers();
  for (const ListenAddress& address : server.network->bound()) {
    if (address.kind == ListenAddress::Kind::kTcp) effective.network.port = address.port;
    if (address.kind == ListenAddress::Kind::kUdp) effective.network.udp_port = address.port;
  }
  const auto lines = config::settings_lines(effective, server.flushed_at.load(std::memory_order_relaxed));
  for (const auto& [name, value] : lines) sink.stat(name, value);
}

// Our queues in memcached's words: the small queue is where new items start (hot), the main queue is where
// those used again live (warm). There is no third one.
void items_stats(ServerContext& server, StatSink& sink) {
  for (unsigned slab_class = 1; slab_class <= server.store.class_count(); ++slab_class) {
    const auto stats = server.store.class_stats(slab_class);
    if (stats.items == 0) continue;
    const std::string prefix = "items:" + std::to_string(slab_class) + ":";
    const auto line = [&](std::string_view key, std::uint64_t value) {
      sink.stat(prefix + std::string(key), value);
    };
    line("number", stats.items);
    line("number_hot", stats.small_entries);
    line("number_warm", stats.main_entries);
    line("number_cold", 0);
    line("age_hot", 0);
    line("age_warm", 0);
    line("age", stats.last_eviction_age_seconds);
    line("mem_requested", stats.bytes_requested);
    line("evicted", stats.evicted);
    line("evicted_nonzero", stats.evicted_nonzero);
    line("evicted_time", stats.last_eviction_age_seconds);
    line("outofmemory", stats.out_of_memory);
    line("tailrepairs", 0);
    line("reclaimed", stats.reclaimed);
    line("expired_unfetched", 0);
    line("evicted_unfetched", stats.evicted_unfetched);
    line("evicted_active", stats.evicted_active);
    for (const std::string_view idle :
         {"crawler_reclaimed", "crawler_items_checked", "lrutail_reflocked", "moves_to_cold"}) {
      line(idle, 0);
    }
    line("moves_to_warm", stats.promoted);
    for (const std::string_view idle : {"moves_within_lru", "direct_reclaims", "hits_to_hot", "hits_to_warm",
                                        "hits_to_cold", "hits_to_temp"}) {
      line(idle, 0);
    }
  }
}

void slabs_stats(ServerContext& server, StatSink& sink) {
  std::uint64_t active = 0;
  std::uint64_t pages = 0;
  for (unsigned slab_class = 1; slab_class <= server.store.class_count(); ++slab_class) {
    const auto stats = server.store.class_stats(slab_class);
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
      std::uint64_t sum = 0;
      for (const auto& cells : server.counters) sum += cells->get(static_cast<ClassCount>(i), slab_class);
      line(kClassCountNames[i], sum);
    }
  }
  sink.stat("active_slabs", active);
  sink.stat("total_malloced", pages * store::kPageBytes);
}

void connections_stats(ServerContext& server, const Connection& asking, StatSink& sink) {
  for (const ConnectionInfo& info : server.network->connections()) {
    const std::string prefix = std::to_string(info.descriptor) + ":";
    if (info.is_datagram) sink.stat(prefix + "UDP", std::string_view("UDP"));
    sink.stat(prefix + "addr", info.peer);
    if (!info.is_listener && !info.is_datagram) sink.stat(prefix + "listen_addr", info.listener);
    sink.stat(prefix + "state", info.descriptor == asking.descriptor() ? std::string_view("conn_parse_cmd")
                                                                       : std::string_view(info.state));
    sink.stat(prefix + "secs_since_last_cmd", info.idle_seconds);
  }
}

void sizes_stats(ServerContext& /*server*/, StatSink& sink) {
  sink.stat("sizes_status", "disabled");
}

}  // namespace ringcached::server
