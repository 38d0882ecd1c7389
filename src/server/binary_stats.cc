#include "server/binary_stats.h"

#include <string>

#include "protocol/binary_reply.h"
#include "protocol/reply.h"
#include "server/binary_execute.h"
#include "server/item_dump.h"
#include "server/stats_classes.h"
#include "server/stats_groups.h"
#include "server/stats_nodes.h"
#include "server/stats_table.h"

namespace ringcached::server {
namespace {

class BinaryStats final : public StatSink {
 public:
  explicit BinaryStats(const protocol::BinaryHeader& request) : request_(request) {}

  using StatSink::stat;
  void stat(std::string_view name, std::string_view value) override {
    protocol::append_binary_stat(packets_, request_, name, value);
  }
  void finish(Output& output) {
    stat({}, std::string_view());
    output.append(packets_);
  }

 private:
  const protocol::BinaryHeader& request_;
  std::string packets_;
};

class BinarySizes final : public DumpSource {
 public:
  BinarySizes(WorkerContext& worker, const protocol::BinaryHeader& request)
      : request_(request), histogram_(worker) {}

  bool produce(Output& output) override {
    if (histogram_.step()) return true;
    BinaryStats packets(request_);
    for (const auto& [size, count] : histogram_.counts()) packets.stat(std::to_string(size), count);
    packets.finish(output);
    return false;
  }

 private:
  const protocol::BinaryHeader request_;
  SizeHistogram histogram_;
};

}  // namespace

// Settings, reset and detail are known by the beginning of the key, as clients may rely on.
std::unique_ptr<DumpSource> answer_binary_stat(WorkerContext& worker, Output& output,
                                               const protocol::BinaryRequest& request) {
  ServerContext& server = worker.server;
  const std::string_view group = request.key;
  BinaryStats packets(request.header);
  const bool details = server.config.commands.dump_enabled;
  if (group.empty()) {
    general_stats(server, packets);
  } else if (group.starts_with("reset")) {
    reset_stats(server);
  } else if (group.starts_with("settings")) {
    settings_stats(server, packets);
  } else if (details && group.starts_with("detail dump")) {
    packets.stat("detailed", server.prefixes.dump());
  } else if (details && (group.starts_with("detail on") || group.starts_with("detail off"))) {
    server.prefixes.set_enabled(group.starts_with("detail on"));
  } else if (group == "items") {
    items_stats(server, packets);
  } else if (group == "slabs") {
    slabs_stats(server, packets);
  } else if (group == "workers") {
    workers_stats(server, packets);
  } else if (group == "numa") {
    node_stats(server, packets);
  } else if (group == "latency") {
    server.latency.write(packets);
  } else if (group == "sizes" && server.config.stats.track_sizes) {
    return std::make_unique<BinarySizes>(worker, request.header);
  } else if (group == "sizes") {
    sizes_untracked_stats(packets);
  } else {
    answer_binary_error(output, request.header, protocol::BinaryStatus::kKeyNotFound);
    return nullptr;
  }
  packets.finish(output);
  return nullptr;
}

}  // namespace ringcached::server
