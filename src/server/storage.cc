#include "server/storage.h"

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "protocol/reply.h"
#include "store/expiry.h"

namespace ringcached::server {
namespace {

using protocol::Command;
using store::StoreMode;
using store::StoreResult;

constexpr std::string_view kLineEnd = "\r\n";

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

store::StoreRequest store_request(const WorkerContext& worker, const protocol::Request& request,
                                  const store::Key& key) {
  return {
      .mode = store_mode(request.command),
      .key = key,
      .client_flags = request.client_flags,
      .expiry = store::expiry_from_exptime(request.exptime, worker.now(), worker.server.clock.wall_base()),
      .cas_compare = request.number};
}

std::string_view reply_of(StoreResult result) {
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
      return protocol::reply::kTooLarge;
    case StoreResult::kNoMemory:
      return protocol::reply::kNoMemoryStoring;
  }
  return protocol::reply::kNoMemoryStoring;
}

// cmd_set counts commands that got memory; cas counts its three ends as well.
void count(WorkerContext& worker, Command command, StoreResult result) {
  WorkerCounters& counters = worker.counters;
  if (result == StoreResult::kTooLarge) return counters.add(Count::kStoreTooLarge);
  if (result == StoreResult::kNoMemory) return counters.add(Count::kStoreNoMemory);
  counters.add(Count::kCmdSet);
  const unsigned slab_class = worker.thread.last_class();
  counters.add(ClassCount::kCmdSet, slab_class);
  if (command != Command::kCas) return;
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

StoreResult count_and_return(WorkerContext& worker, Command command, StoreResult result) {
  count(worker, command, result);
  return result;
}

}  // namespace

StorageOutcome store_block(WorkerContext& worker, const protocol::Request& request, const store::Key& key,
                           std::string_view block) {
  const std::size_t block_bytes = std::size_t{request.value_bytes} + kLineEnd.size();
  RC_DCHECK(block.size() >= block_bytes);
  if (worker.server.prefixes.enabled()) [[unlikely]]
    worker.prefixes.count_set(key.bytes);
  const store::StoreRequest wanted = store_request(worker, request, key);
  const std::string_view value = block.substr(0, request.value_bytes);
  if (block.substr(request.value_bytes, kLineEnd.size()) != kLineEnd) [[unlikely]] {
    // Size is judged on the line, before the data; only then is the block looked at.
    store::PendingStore pending;
    const StoreResult begun = worker.store.begin(worker.thread, wanted, value.size(), worker.now(), pending);
    count(worker, request.command, begun == StoreResult::kStored ? StoreResult::kNotStored : begun);
    return {begun == StoreResult::kStored ? protocol::reply::kBadDataChunk : reply_of(begun), block_bytes, 0};
  }
  const StoreResult result = worker.store.put(worker.thread, wanted, value, worker.now());
  return {reply_of(count_and_return(worker, request.command, result)), block_bytes, 0};
}

Upload::Upload(WorkerContext& worker, const protocol::Request& request)
    : worker_(worker),
      command_(request.command),
      noreply_(request.noreply),
      key_(request.key),
      request_(store_request(worker, request, worker.store.key(request.key))),
      remaining_(std::uint64_t{request.value_bytes} + kLineEnd.size()) {
  if (worker.server.prefixes.enabled()) [[unlikely]]
    worker.prefixes.count_set(key_);
  request_.key.bytes = key_;
  begun_ = worker_.store.begin(worker_.thread, request_, request.value_bytes, worker_.now(), pending_);
  if (begun_ != StoreResult::kStored) count(worker_, command_, begun_);
}

StorageOutcome Upload::refused(std::string_view reply) const {
  return {reply, 0, remaining_};
}

StorageOutcome Upload::on_bytes(std::span<const char> bytes) {
  if (begun_ != StoreResult::kStored) return refused(reply_of(begun_));
  const std::size_t value_part =
      std::min<std::uint64_t>(bytes.size(), remaining_ - std::min<std::uint64_t>(remaining_, 2));
  if (value_part > 0 && !pending_.write(bytes.first(value_part))) {
    worker_.counters.add(Count::kStoreNoMemory);
    return refused(protocol::reply::kNoMemoryDuringRead);
  }
  remaining_ -= value_part;
  std::size_t used = value_part;
  while (used < bytes.size() && remaining_ > 0) terminator_[2 - remaining_--] = bytes[used++];
  if (remaining_ > 0) return {{}, used, 0};
  StorageOutcome outcome = finish();
  outcome.consumed = used;
  return outcome;
}

StorageOutcome Upload::finish() {
  if (std::string_view(terminator_.data(), terminator_.size()) != kLineEnd) {
    pending_.discard();
    count(worker_, command_, StoreResult::kNotStored);
    return {protocol::reply::kBadDataChunk, 0, 0};
  }
  const StoreResult result =
      worker_.store.commit(worker_.thread, request_, std::move(pending_), worker_.now());
  return {reply_of(count_and_return(worker_, command_, result)), 0, 0};
}

}  // namespace ringcached::server
