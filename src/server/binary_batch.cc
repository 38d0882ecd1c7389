#include "server/binary_batch.h"

#include <algorithm>

#include "store/store_read.h"

namespace ringcached::server {
namespace {

// What executing it does to the item.
Access access_of(protocol::BinaryCommand command) {
  const bool reads = command == protocol::BinaryCommand::kGet || command == protocol::BinaryCommand::kGetKey;
  return reads ? Access::kRead : Access::kWrite;
}

}  // namespace

void BinaryBatch::plan(WorkerContext& worker, std::string_view input, protocol::BinaryAccess access,
                       std::size_t requests_max) {
  size_ = 0;
  const std::size_t most = std::min(requests_max, Batch::kRequestsMax);
  while (size_ < most) {
    Planned& next = planned_[size_];
    const protocol::BinaryResult parsed = protocol::parse_binary(input, access, next.request);
    if (parsed.kind != protocol::BinaryResult::Kind::kRequest) return;
    if (!protocol::is_item_command(next.request.command)) return;
    const std::size_t bytes = parsed.consumed + next.request.value_bytes;
    if (input.size() < bytes) return;
    input.remove_prefix(bytes);
    next.request_bytes = parsed.consumed;
    worker.store.prefetch(next.request.key, next.key, access_of(next.request.command));
    ++size_;
  }
}

}  // namespace ringcached::server
