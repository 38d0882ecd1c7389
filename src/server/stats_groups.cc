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
  server.live.write_to(effective);
  effective.stats.detail_enabled = server.prefixes.enabled();
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

void workers_stats(ServerContext& server, StatSink& sink) {
  unsigned worker = 0;
  for (const WorkerStats& share : server.network->stats().workers) {
    const std::string prefix = std::to_string(worker++) + ":";
    sink.stat(prefix + "curr_connections", share.current_connections);
    sink.stat(prefix + "total_connections", share.total_connections);
    sink.stat(prefix + "bytes_read", share.bytes_read);
    sink.stat(prefix + "bytes_written", share.bytes_written);
  }
}

void sizes_untracked_stats(StatSink& sink) {
  sink.stat("sizes_status", std::string_view("disabled"));
}

}  // namespace ringcached::server
