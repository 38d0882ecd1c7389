#include "server/batch.h"

#include <algorithm>

namespace ringcached::server {
namespace {

constexpr std::size_t kLineEndBytes = 2;

std::size_t block_bytes(const protocol::Request& request) {
  return protocol::is_storage(request.command) ? std::size_t{request.value_bytes} + kLineEndBytes : 0;
}

std::size_t block_bytes(const protocol::MetaRequest& request) {
  return request.command == protocol::MetaCommand::kSet ? std::size_t{request.value_bytes} + kLineEndBytes
                                                        : 0;
}

// Takes the data block, if the request is simple and has one.
template <typename Request>
bool take_block(const Request& request, std::string_view& input) {
  if (!is_simple(request, input.size())) return false;
  input.remove_prefix(block_bytes(request));
  return true;
}

}  // namespace

bool is_simple(const protocol::Request& request, std::size_t input_bytes) {
  if (protocol::is_storage(request.command)) return input_bytes >= block_bytes(request);
  return (request.command == protocol::Command::kGet || request.command == protocol::Command::kGets) &&
         request.arguments.empty();
}

bool is_simple(const protocol::MetaRequest& request, std::size_t input_bytes) {
  const bool keyed =
      request.command != protocol::MetaCommand::kNoop && request.command != protocol::MetaCommand::kDebug;
  return keyed && input_bytes >= block_bytes(request);
}

void Batch::plan(WorkerContext& worker, std::string_view input, protocol::LineScan& scan,
                 std::size_t requests_max) {
  size_ = 0;
  const std::size_t most = std::min(requests_max, kRequestsMax);
  while (size_ < most && !input.empty()) {
    Planned& next = planned_[size_];
    protocol::MetaRequest& meta = metas_[size_];
    const protocol::ParseResult parsed = protocol::parse_text(input, scan, next.request, meta);
    const bool is_meta = parsed.kind == protocol::ParseKind::kMeta;
    if (!is_meta && parsed.kind != protocol::ParseKind::kRequest) return;
    input.remove_prefix(parsed.consumed);
    if (!(is_meta ? take_block(meta, input) : take_block(next.request, input))) return;
    next.meta = is_meta ? &meta : nullptr;
    next.line_bytes = parsed.consumed;
    next.key = worker.store.key(is_meta ? meta.key() : next.request.key);
    worker.store.prefetch(next.key);
    ++size_;
  }
}

}  // namespace ringcached::server
