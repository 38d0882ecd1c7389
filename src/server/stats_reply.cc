#include "server/stats_reply.h"

#include <string>

#include "config/settings.h"
#include "protocol/parser.h"
#include "protocol/reply.h"
#include "server/stats_table.h"

namespace ringcached::server {
namespace {

using protocol::append_stat;

std::string stats_settings(ServerContext& server) {
  // What commands have changed since the start, and what was only known then.
  config::Config effective = server.config;
  effective.memory.limit_bytes = server.store.stats().limit_bytes;
  effective.process.verbosity = static_cast<unsigned>(server.log.verbosity());
  effective.threads.workers = server.network->workers();
  for (const ListenAddress& address : server.network->bound()) {
    if (address.kind == ListenAddress::Kind::kTcp) effective.network.port = address.port;
  }
  const auto lines = config::settings_lines(effective, server.flushed_at.load(std::memory_order_relaxed));
  std::string text;
  for (const auto& [name, value] : lines) append_stat(text, name, value);
  return text;
}

// Our queues in memcached's words: the small queue is where new items start (hot), the main queue is where
// those used again live (warm). There is no third one.
std::string stats_items(ServerContext& server) {
  std::string text;
  for (unsigned slab_class = 1; slab_class <= server.store.class_count(); ++slab_class) {
    const auto stats = server.store.class_stats(slab_class);
    if (stats.items == 0) continue;
    const std::string prefix = "items:" + std::to_string(slab_class) + ":";
    const auto line = [&](std::string_view key, std::uint64_t value) {
      append_stat(text, prefix + std::string(key), value);
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
  return text;
}

std::string stats_slabs(ServerContext& server) {
  std::string text;
  std::uint64_t active = 0;
  std::uint64_t pages = 0;
  for (unsigned slab_class = 1; slab_class <= server.store.class_count(); ++slab_class) {
    const auto stats = server.store.class_stats(slab_class);
    if (stats.pages == 0) continue;
    ++active;
    pages += stats.pages;
    const std::string prefix = std::to_string(slab_class) + ":";
    const auto line = [&](std::string_view key, std::uint64_t value) {
      append_stat(text, prefix + std::string(key), value);
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
  append_stat(text, "active_slabs", active);
  append_stat(text, "total_malloced", pages * store::kPageBytes);
  return text;
}

std::string stats_connections(ServerContext& server, const Connection& asking) {
  std::string text;
  for (const ConnectionInfo& info : server.network->connections()) {
    const std::string prefix = std::to_string(info.descriptor) + ":";
    if (info.is_datagram) append_stat(text, prefix + "UDP", std::string_view("UDP"));
    append_stat(text, prefix + "addr", info.peer);
    if (!info.is_listener && !info.is_datagram) append_stat(text, prefix + "listen_addr", info.listener);
    append_stat(text, prefix + "state",
                info.descriptor == asking.descriptor() ? std::string_view("conn_parse_cmd")
                                                       : std::string_view(info.state));
    append_stat(text, prefix + "secs_since_last_cmd", info.idle_seconds);
  }
  return text;
}

void append_group(Output& output, const std::string& lines) {
  output.append(lines);
  output.append(protocol::reply::kEnd);
}

}  // namespace

void answer_stats(WorkerContext& worker, Connection& connection, std::string_view arguments, Output& output) {
  ServerContext& server = worker.server;
  const std::string_view group = protocol::next_word(arguments);
  if (group.empty()) return append_group(output, general_stats(server));
  if (group == "settings") return append_group(output, stats_settings(server));
  if (group == "items") return append_group(output, stats_items(server));
  if (group == "slabs") return append_group(output, stats_slabs(server));
  if (group == "conns") return append_group(output, stats_connections(server, connection));
  if (group == "sizes") return append_group(output, std::string(protocol::reply::kStatsSizesDisabled));
  if (group == "reset") {
    reset_stats(server);
    return output.append(protocol::reply::kReset);
  }
  output.append(protocol::reply::kError);
}

}  // namespace ringcached::server
