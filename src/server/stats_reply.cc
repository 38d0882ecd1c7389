#include "server/stats_reply.h"

#include <string>

#include "protocol/admin.h"
#include "protocol/parser.h"
#include "protocol/reply.h"
#include "server/item_dump.h"
#include "server/lru_admin.h"
#include "server/stats_classes.h"
#include "server/stats_groups.h"
#include "server/stats_nodes.h"
#include "server/stats_table.h"

namespace ringcached::server {
namespace {

class TextStats final : public StatSink {
 public:
  void stat(std::string_view name, std::string_view value) override {
    protocol::append_stat(lines_, name, value);
  }
  void finish(Output& output) {
    output.append(lines_);
    output.append(protocol::reply::kEnd);
  }

 private:
  std::string lines_;
};

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

// The groups that are lines at hand; false for others.
bool write_group(ServerContext& server, const Connection& connection, std::string_view group,
                 StatSink& lines) {
  if (group.empty()) {
    general_stats(server, lines);
  } else if (group == "settings") {
    settings_stats(server, lines);
  } else if (group == "items") {
    items_stats(server, lines);
  } else if (group == "slabs") {
    slabs_stats(server, lines);
  } else if (group == "numa") {
    node_stats(server, lines);
  } else if (group == "latency") {
    server.latency.write(lines);
  } else if (group == "conns") {
    connections_stats(server, connection, lines);
  } else if (group == "workers") {
    workers_stats(server, lines);
  } else if (group == "sizes" && !server.config.stats.track_sizes) {
    sizes_untracked_stats(lines);
  } else if (group != "extstore") {
    return false;
  }
  return true;
}

}  // namespace

void answer_stats(WorkerContext& worker, Connection& connection, std::string_view arguments, Output& output,
                  std::unique_ptr<ConnectionHandler>& successor) {
  const std::string_view group = protocol::next_word(arguments);
  TextStats lines;
  if (write_group(worker.server, connection, group, lines)) return lines.finish(output);
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
