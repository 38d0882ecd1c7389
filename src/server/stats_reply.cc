#include "server/stats_reply.h"

#include <string>

#include "config/settings.h"
#include "protocol/admin.h"
#include "protocol/parser.h"
#include "protocol/reply.h"
#include "server/item_dump.h"
#include "server/lru_admin.h"
#include "server/stats_classes.h"
#include "server/stats_table.h"

namespace ringcached::server {
namespace {

using protocol::append_stat;

std::string stats_settings(ServerContext& server) {
  // What commands have changed since the start, and what was only known then.
  config::Config effective = server.config;
  server.live.write_to(effective);
  effective.stats.detail_enabled = server.prefixes.enabled();
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

std::string stats_connections(ServerContext& server, const Connection& asking) {
  std::string text;
  for (const ConnectionInfo& info : server.network->connections()) {
    const std::string prefix = std::to_string(info.descriptor) + ":";
    append_stat(text, prefix + "addr", info.peer);
    if (!info.is_listener) append_stat(text, prefix + "listen_addr", info.listener);
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

void answer_detail(WorkerContext& worker, std::string_view arguments, Output& output) {
  if (!worker.server.config.commands.dump_enabled) {
    return output.append(protocol::reply::kStatsDetailNotAllowed);
  }
  const auto action = protocol::parse_stats_detail(arguments);
  if (!action.is_ok()) return output.append(action.reply);
  if (action.value == protocol::DetailAction::kDump) return output.append(worker.server.prefixes.dump());
  worker.server.prefixes.set_enabled(action.value == protocol::DetailAction::kOn);
  output.append(protocol::reply::kOk);
}

void answer_cachedump(WorkerContext& worker, std::string_view arguments, Output& output,
                      std::unique_ptr<ConnectionHandler>& successor) {
  if (!worker.server.config.commands.dump_enabled)
    return output.append(protocol::reply::kCachedumpNotAllowed);
  const auto asked = protocol::parse_cachedump(arguments, class_ids_max(worker));
  if (!asked.is_ok()) return output.append(asked.reply);
  successor = std::make_unique<DumpSession>(
      worker, make_cachedump(worker, asked.value.slab_class, asked.value.items_max));
}

// A short answer; nullopt for other groups.
std::optional<std::string> group_lines(WorkerContext& worker, const Connection& connection,
                                       std::string_view group) {
  if (group == "conns") return stats_connections(worker.server, connection);
  if (group == "extstore") return std::string();
  return stats_lines(worker.server, group);
}

}  // namespace

std::optional<std::string> stats_lines(ServerContext& server, std::string_view group) {
  if (group.empty()) return general_stats(server);
  if (group == "settings") return stats_settings(server);
  if (group == "items") return items_stats(server);
  if (group == "slabs") return slabs_stats(server);
  if (group == "sizes" && !server.config.stats.track_sizes) {
    return std::string(protocol::reply::kStatsSizesDisabled);
  }
  return std::nullopt;
}

void answer_stats(WorkerContext& worker, Connection& connection, std::string_view arguments, Output& output,
                  std::unique_ptr<ConnectionHandler>& successor) {
  const std::string_view group = protocol::next_word(arguments);
  if (const auto lines = group_lines(worker, connection, group)) return append_group(output, *lines);
  if (group == "detail") return answer_detail(worker, arguments, output);
  if (group == "cachedump") return answer_cachedump(worker, arguments, output, successor);
  if (group == "sizes") {
    successor = std::make_unique<DumpSession>(worker, make_sizes_dump(worker));
    return;
  }
  if (group == "reset") {
    reset_stats(worker.server);
    return output.append(protocol::reply::kReset);
  }
  output.append(protocol::reply::kError);
}

}  // namespace ringcached::server
