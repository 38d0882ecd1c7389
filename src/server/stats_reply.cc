#include "server/stats_reply.h"

#include <string>

#include "protocol/parser.h"
#include "protocol/reply.h"
#include "server/stats_groups.h"
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

}  // namespace

void answer_stats(WorkerContext& worker, Connection& connection, std::string_view arguments, Output& output) {
  ServerContext& server = worker.server;
  const std::string_view group = protocol::next_word(arguments);
  if (group == "reset") {
    reset_stats(server);
    return output.append(protocol::reply::kReset);
  }
  TextStats lines;
  if (group.empty()) {
    general_stats(server, lines);
  } else if (group == "settings") {
    settings_stats(server, lines);
  } else if (group == "items") {
    items_stats(server, lines);
  } else if (group == "slabs") {
    slabs_stats(server, lines);
  } else if (group == "conns") {
    connections_stats(server, connection, lines);
  } else if (group == "sizes") {
    sizes_stats(server, lines);
  } else {
    return output.append(protocol::reply::kError);
  }
  lines.finish(output);
}

}  // namespace ringcached::server
