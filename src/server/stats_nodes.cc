#include "server/stats_nodes.h"

#include <string>
#include <vector>

#include "store/page_pool.h"

namespace ringcached::server {

void node_stats(ServerContext& server, StatSink& sink) {
  const std::vector<store::Store::NodeStats> shares = server.store.node_stats();
  sink.stat("nodes", shares.size());
  for (const auto& share : shares) {
    const std::string prefix = "node:" + std::to_string(share.node) + ":";
    const auto line = [&](std::string_view name, std::uint64_t value) {
      sink.stat(prefix + std::string(name), value);
    };
    line("workers", share.threads);
    line("pages", share.pages_used);
    line("bytes", share.pages_used * store::kPageBytes);
    line("pages_of_own_workers", share.pages_used_here);
    line("pages_of_other_workers", share.pages_used_away);
    line("huge_page_bytes", share.huge_pages ? share.pages_max * store::kPageBytes : 0);
    line("used_chunks", share.chunks_used);
    line("total_items", share.total_items);
    line("evictions", share.evictions);
    line("page_steals", share.page_steals);
  }
}

}  // namespace ringcached::server
