#include "server/batch.h"

#include <algorithm>

namespace ringcached::server {
namespace {

constexpr std::size_t kLineEndBytes = 2;

std::size_t block_bytes(const protocol::Request& request) {
  return protocol::is_storage(request.command) ? std::size_t{request.value_bytes} + kLineEndBytes : 0;
}

}  // namespace

bool is_simple(const protocol::Request& request, std::size_t input_bytes) {
  if (protocol::is_storage(request.command)) return input_bytes >= block_bytes(request);
  return (request.command == protocol::Command::kGet || request.command == protocol::Command::kGets) &&
         request.arguments.empty();
}

void Batch::plan(WorkerContext& worker, std::string_view input, protocol::LineScan& scan,
                 std::size_t requests_max) {
  size_ = 0;
  const std::size_t most = std::min(requests_max, kRequestsMax);
  while (size_ < most && !input.empty()) {
    Planned& next = planned_[size_];
    const protocol::ParseResult parsed = protocol::parse_text(input, scan, next.request);
    if (parsed.kind != protocol::ParseKind::kRequest) return;
    input.remove_prefix(parsed.consumed);
    if (!is_simple(next.request, input.size())) return;
    input.remove_prefix(block_bytes(next.request));
    next.line_bytes = parsed.consumed;
    next.key = worker.store.key(next.request.key);
    worker.store.prefetch(next.key);
    ++size_;
  }
}

}  // namespace ringcached::server
