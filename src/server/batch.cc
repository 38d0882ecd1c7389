#include "server/batch.h"

#include <algorithm>

#include "protocol/hot_path.h"

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

using Line = protocol::HotLine;

// The first line, if it is a request. parse_text() would look for a hot one, too, but has more to say than is
// needed here.
Line parse_line(std::string_view input, protocol::LineScan& scan, protocol::Request& request,
                protocol::MetaRequest& meta) {
  if (const Line hot = protocol::parse_hot(input, request, meta); hot.bytes != 0) {
    scan.searched = 0;
    return hot;
  }
  const protocol::ParseResult parsed = protocol::parse_text(input, scan, request, meta);
  const bool is_meta = parsed.kind == protocol::ParseKind::kMeta;
  return {is_meta || parsed.kind == protocol::ParseKind::kRequest ? parsed.consumed : 0, is_meta};
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
    std::string_view key;
    if (const std::size_t bytes = protocol::parse_plain_get(input, key); bytes != 0) {
      input.remove_prefix(bytes);
      scan.searched = 0;
      next.is_plain_get = true;
      next.line_bytes = bytes;
      next.key = worker.store.key(key);
      worker.store.prefetch(next.key);
      ++size_;
      continue;
    }
    protocol::MetaRequest& meta = metas_[size_];
    const Line line = parse_line(input, scan, next.request, meta);
    if (line.bytes == 0) return;
    input.remove_prefix(line.bytes);
    const bool is_meta = line.is_meta;
    if (!(is_meta ? take_block(meta, input) : take_block(next.request, input))) return;
    next.is_plain_get = false;
    next.meta = is_meta ? &meta : nullptr;
    next.line_bytes = line.bytes;
    next.key = worker.store.key(is_meta ? meta.key() : next.request.key);
    worker.store.prefetch(next.key);
    ++size_;
  }
}

}  // namespace ringcached::server
