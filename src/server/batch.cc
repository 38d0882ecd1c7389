#include "server/batch.h"

#include <algorithm>

#include "protocol/hot_path.h"
#include "store/store_read.h"

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

// What executing it does to the item.
Access access_of(const protocol::Request& request) {
  return protocol::is_retrieval(request.command) ? Access::kRead : Access::kWrite;
}

Access access_of(const protocol::MetaRequest& request) {
  return request.command == protocol::MetaCommand::kGet ? Access::kRead : Access::kWrite;
}

// The first line, if it is a request and no plain get or set. parse_text() would look for a hot one, too, but
// has more to say than is needed here.
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

// In one piece for plain gets and sets.
[[gnu::flatten]] std::span<const Batch::Planned> Batch::plan(WorkerContext& worker, std::string_view input,
                                                             protocol::LineScan& scan,
                                                             std::size_t requests_max) {
  const std::size_t first = size_;
  const std::size_t end = first + std::min({requests_max, kRequestsMax, room()});
  while (size_ < end && plan_one(worker, input, scan)) ++size_;
  return planned().subspan(first);
}

// Fills the next place with the front of `input` and drops that.
bool Batch::plan_one(WorkerContext& worker, std::string_view& input, protocol::LineScan& scan) {
  if (input.empty()) return false;
  Planned& next = planned_[size_];
  std::string_view key;
  if (const std::size_t bytes = protocol::parse_plain_get(input, key); bytes != 0) {
    input.remove_prefix(bytes);
    scan.searched = 0;
    next.is_plain_get = true;
    next.line_bytes = bytes;
    worker.store.prefetch(key, next.key, Access::kRead);
    return true;
  }
  if (const std::size_t bytes = protocol::parse_plain_set(input, next.request); bytes != 0) {
    input.remove_prefix(bytes);
    scan.searched = 0;
    if (!take_block(next.request, input)) return false;
    next.is_plain_get = false;
    next.meta = nullptr;
    next.line_bytes = bytes;
    worker.store.prefetch(next.request.key, next.key, Access::kWrite);
    return true;
  }
  const std::size_t used = plan_other(worker, input, scan);
  input.remove_prefix(used);
  return used != 0;
}

// Takes no reference to what the loop of plan() holds in registers.
[[gnu::noinline]] std::size_t Batch::plan_other(WorkerContext& worker, std::string_view input,
                                                protocol::LineScan& scan) {
  Planned& next = planned_[size_];
  protocol::MetaRequest& meta = metas_[size_];
  const std::size_t input_bytes = input.size();
  const Line line = parse_line(input, scan, next.request, meta);
  if (line.bytes == 0) return 0;
  input.remove_prefix(line.bytes);
  if (!(line.is_meta ? take_block(meta, input) : take_block(next.request, input))) return 0;
  next.is_plain_get = false;
  next.meta = line.is_meta ? &meta : nullptr;
  next.line_bytes = line.bytes;
  if (line.is_meta) {
    worker.store.prefetch(meta.key(), next.key, access_of(meta));
  } else {
    worker.store.prefetch(next.request.key, next.key, access_of(next.request));
  }
  return input_bytes - input.size();
}

void Batch::prefetch_items(const WorkerContext& worker) {
  if (size_ > 1)
    worker.store.prefetch_items(size_, [this](std::size_t i) -> store::Key& { return planned_[i].key; });
}

}  // namespace ringcached::server
