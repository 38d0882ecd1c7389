#include "server/storage.h"

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "protocol/reply.h"
#include "server/reporting.h"
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

}  // namespace

StoreResult store_value(WorkerContext& worker, const store::StoreRequest& request, std::string_view value) {
  const StoreResult result = worker.store.put(worker.thread, request, value, worker.now());
  count(worker, request.mode, result);
  report_store(worker, request, result, value.size());
  return result;
}

StorageOutcome store_block(WorkerContext& worker, const protocol::Request& request, const store::Key& key,
                           std::string_view block) {
  const std::size_t block_bytes = std::size_t{request.value_bytes} + kLineEnd.size();
  RC_DCHECK(block.size() >= block_bytes);
  const store::StoreRequest wanted = store_request(worker, request, key);
  const std::string_view value = block.substr(0, request.value_bytes);
  if (block.substr(request.value_bytes, kLineEnd.size()) != kLineEnd) [[unlikely]] {
    // Size is judged on the line, before the data; only then is the block looked at.
    store::PendingStore pending;
    const StoreResult begun = worker.store.begin(worker.thread, wanted, value.size(), worker.now(), pending);
    count(worker, wanted.mode, begun == StoreResult::kStored ? StoreResult::kNotStored : begun);
    if (begun != StoreResult::kStored) report_store(worker, wanted, begun, value.size());
    return {begun == StoreResult::kStored ? protocol::reply::kBadDataChunk : reply_of(begun), block_bytes, 0};
  }
  return {reply_of(store_value(worker, wanted, value)), block_bytes, 0};
}

ValueUpload::ValueUpload(WorkerContext& worker, const store::StoreRequest& request, std::uint32_t value_bytes)
    : worker_(worker), request_(request), value_bytes_(value_bytes), remaining_(value_bytes) {
  RC_CHECK(request.key.bytes.size() <= key_.size());
  request.key.bytes.copy(key_.data(), key_.size());
  request_.key.bytes = {key_.data(), request.key.bytes.size()};
  begun_ = worker_.store.begin(worker_.thread, request_, value_bytes, worker_.now(), pending_);
  if (begun_ == StoreResult::kStored) return;
  count(worker_, request_.mode, begun_);
  report_store(worker_, request_, begun_, value_bytes_);
}

bool ValueUpload::write(std::span<const char> bytes) {
  if (!bytes.empty() && !pending_.write(bytes)) {
    worker_.counters.add(Count::kStoreNoMemory);
    report_store(worker_, request_, StoreResult::kNoMemory, value_bytes_);
    return false;
  }
  remaining_ -= static_cast<std::uint32_t>(bytes.size());
  return true;
}

StoreResult ValueUpload::commit() {
  const StoreResult result =
      worker_.store.commit(worker_.thread, request_, std::move(pending_), worker_.now());
  count(worker_, request_.mode, result);
  report_store(worker_, request_, result, value_bytes_);
  return result;
}

void ValueUpload::reject() {
  pending_.discard();
  count(worker_, request_.mode, StoreResult::kNotStored);
}

Upload::Upload(WorkerContext& worker, const protocol::Request& request)
    : value_(worker, store_request(worker, request, worker.store.key(request.key)), request.value_bytes),
      noreply_(request.noreply) {}

StorageOutcome Upload::refused(std::string_view reply) const {
  return {reply, 0, value_.remaining() + kLineEnd.size()};
}

StorageOutcome Upload::on_bytes(std::span<const char> bytes) {
  if (value_.begun() != StoreResult::kStored) return refused(reply_of(value_.begun()));
  std::size_t used = std::min<std::size_t>(bytes.size(), value_.remaining());
  if (!value_.write(bytes.first(used))) return refused(protocol::reply::kNoMemoryDuringRead);
  while (used < bytes.size() && terminator_bytes_ < terminator_.size()) {
    terminator_[terminator_bytes_++] = bytes[used++];
  }
  if (terminator_bytes_ < terminator_.size()) return {{}, used, 0};
  return {finish(), used, 0};
}

std::string_view Upload::finish() {
  if (std::string_view(terminator_.data(), terminator_.size()) == kLineEnd) return reply_of(value_.commit());
  value_.reject();
  return protocol::reply::kBadDataChunk;
}

}  // namespace ringcached::server
