#include "server/storage.h"

#include <algorithm>

#include "base/assert.h"
#include "protocol/reply.h"
#include "server/value_reply.h"

namespace ringcached::server {
namespace {

using protocol::Command;
using store::StoreMode;
using store::StoreResult;

StoreMode store_mode(Command command) {
  switch (command) {
    case Command::kAdd:
      return StoreMode::kAdd;
    case Command::kReplace:
      return StoreMode::kReplace;
    case Command::kAppend:
      return StoreMode::kAppend;
    case Command::kPrepend:
      return StoreMode::kPrepend;
    case Command::kCas:
      return StoreMode::kCas;
    default:
      return StoreMode::kSet;
  }
}

// cmd_set counts commands that got memory; comparing ids counts its three ends as well.
void count(WorkerContext& worker, StoreMode mode, StoreResult result) {
  WorkerCounters& counters = worker.counters;
  if (result == StoreResult::kTooLarge) return counters.add(Count::kStoreTooLarge);
  if (result == StoreResult::kNoMemory) return counters.add(Count::kStoreNoMemory);
  counters.add(Count::kCmdSet);
  const unsigned slab_class = worker.thread.last_class();
  counters.add(ClassCount::kCmdSet, slab_class);
  if (mode != StoreMode::kCas) return;
  if (result == StoreResult::kStored) {
    counters.add(Count::kCasHits);
    counters.add(ClassCount::kCasHits, slab_class);
  } else if (result == StoreResult::kExists) {
    counters.add(Count::kCasBadval);
    counters.add(ClassCount::kCasBadval, slab_class);
  } else {
    counters.add(Count::kCasMisses);
  }
}

std::string_view fault_of(StoreResult result) {
  if (result == StoreResult::kTooLarge) return protocol::reply::kTooLarge;
  if (result == StoreResult::kNoMemory) return protocol::reply::kNoMemoryStoring;
  return {};
}

StorageOutcome conclude(WorkerContext& worker, StoreMode mode, StoreResult result) {
  count(worker, mode, result);
  return {.finished = true, .result = result, .fault = fault_of(result)};
}

StorageOutcome bad_data_chunk(WorkerContext& worker, StoreMode mode) {
  count(worker, mode, StoreResult::kNotStored);
  return {.finished = true, .result = StoreResult::kNotStored, .fault = protocol::reply::kBadDataChunk};
}

}  // namespace

Storing storing_of(const WorkerContext& worker, const protocol::Request& request, const store::Key& key) {
  return {{.mode = store_mode(request.command),
           .key = key,
           .client_flags = request.client_flags,
           .expiry = worker.expiry(request.exptime),
           .cas_compare = request.number},
          request.value_bytes};
}

std::string_view storage_reply(StoreResult result) {
  switch (result) {
    case StoreResult::kStored:
      return protocol::reply::kStored;
    case StoreResult::kNotStored:
      return protocol::reply::kNotStored;
    case StoreResult::kExists:
      return protocol::reply::kExists;
    case StoreResult::kNotFound:
      return protocol::reply::kNotFound;
    case StoreResult::kTooLarge:
    case StoreResult::kNoMemory:
      break;
  }
  return fault_of(result);
}

StorageOutcome store_block(WorkerContext& worker, const Storing& storing, std::string_view block) {
  const std::size_t block_bytes = std::size_t{storing.value_bytes} + kLineEnd.size();
  RC_DCHECK(block.size() >= block_bytes);
  const StoreMode mode = storing.request.mode;
  const std::string_view value = block.substr(0, storing.value_bytes);
  StorageOutcome outcome;
  if (block.substr(storing.value_bytes, kLineEnd.size()) == kLineEnd) [[likely]] {
    outcome = conclude(worker, mode, worker.store.put(worker.thread, storing.request, value, worker.now()));
  } else {
    // Size is judged on the line, before the data; only then is the block looked at.
    store::PendingStore pending;
    const StoreResult begun =
        worker.store.begin(worker.thread, storing.request, value.size(), worker.now(), pending);
    outcome = begun == StoreResult::kStored ? bad_data_chunk(worker, mode) : conclude(worker, mode, begun);
  }
  outcome.consumed = block_bytes;
  return outcome;
}

Upload::Upload(WorkerContext& worker, const Storing& storing)
    : worker_(worker),
      key_(storing.request.key.bytes),
      request_(storing.request),
      remaining_(std::uint64_t{storing.value_bytes} + kLineEnd.size()) {
  request_.key.bytes = key_;
  begun_ = worker_.store.begin(worker_.thread, request_, storing.value_bytes, worker_.now(), pending_);
}

StorageOutcome Upload::on_bytes(std::span<const char> bytes) {
  if (begun_ != StoreResult::kStored) {
    StorageOutcome refused = conclude(worker_, request_.mode, begun_);
    refused.swallow = remaining_;
    return refused;
  }
  const std::size_t value_part =
      std::min<std::uint64_t>(bytes.size(), remaining_ - std::min<std::uint64_t>(remaining_, 2));
  if (value_part > 0 && !pending_.write(bytes.first(value_part))) {
    worker_.counters.add(Count::kStoreNoMemory);
    return {.finished = true,
            .result = StoreResult::kNoMemory,
            .fault = protocol::reply::kNoMemoryDuringRead,
            .swallow = remaining_};
  }
  remaining_ -= value_part;
  std::size_t used = value_part;
  while (used < bytes.size() && remaining_ > 0) terminator_[2 - remaining_--] = bytes[used++];
  StorageOutcome outcome;
  if (remaining_ == 0) outcome = finish();
  outcome.consumed = used;
  return outcome;
}

StorageOutcome Upload::finish() {
  if (std::string_view(terminator_.data(), terminator_.size()) != kLineEnd) {
    pending_.discard();
    return bad_data_chunk(worker_, request_.mode);
  }
  return conclude(worker_, request_.mode,
                  worker_.store.commit(worker_.thread, request_, std::move(pending_), worker_.now()));
}

}  // namespace ringcached::server
