#include "server/storage.h"

#include <algorithm>

#include "base/assert.h"
#include "protocol/reply.h"
#include "server/reporting.h"

namespace ringcached::server {
namespace {

using protocol::Command;
using store::StoreMode;
using store::StoreResult;

constexpr std::string_view kLineEnd = protocol::reply::kCrlf;

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

StorageOutcome finished(StoreResult result) {
  return {.finished = true, .result = result, .fault = fault_of(result)};
}

StorageOutcome bad_data_chunk() {
  return {.finished = true, .result = StoreResult::kNotStored, .fault = protocol::reply::kBadDataChunk};
}

// For a block that does not end as it should. Size is judged on the line, before the data; only then is the
// block looked at.
[[gnu::noinline]] StorageOutcome refuse_block(WorkerContext& worker, const Storing& storing) {
  ValueUpload upload(worker, storing.request, storing.value_bytes);
  if (upload.begun() != StoreResult::kStored) return finished(upload.begun());
  upload.reject();
  return bad_data_chunk();
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

StoreResult store_value(WorkerContext& worker, const store::StoreRequest& request, std::string_view value) {
  const StoreResult result = worker.store.put(worker.thread, request, value, worker.now());
  count(worker, request.mode, result);
  report_store(worker, request, result, value.size());
  return result;
}

StorageOutcome store_block(WorkerContext& worker, const Storing& storing, std::string_view block) {
  const std::size_t block_bytes = std::size_t{storing.value_bytes} + kLineEnd.size();
  RC_DCHECK(block.size() >= block_bytes);
  const std::string_view value = block.substr(0, storing.value_bytes);
  StorageOutcome outcome;
  if (block.substr(storing.value_bytes, kLineEnd.size()) == kLineEnd) [[likely]] {
    outcome = finished(store_value(worker, storing.request, value));
  } else {
    outcome = refuse_block(worker, storing);
  }
  outcome.consumed = block_bytes;
  return outcome;
}

// In one piece, but for what the store does: this is all that most sets are.
[[gnu::flatten]] std::size_t store_line(WorkerContext& worker, Output& output,
                                        const protocol::Request& request, const store::Key& key,
                                        std::string_view block) {
  worker.count_prefix_set(key.bytes);
  const StorageOutcome outcome = store_block(worker, storing_of(worker, request, key), block);
  if (!request.noreply) output.append(outcome.fault.empty() ? storage_reply(outcome.result) : outcome.fault);
  return outcome.consumed;
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
    report_abandoned(worker_, request_);
    return false;
  }
  remaining_ -= static_cast<std::uint32_t>(bytes.size());
  return true;
}

void ValueUpload::placed(std::size_t bytes) {
  pending_.placed(bytes);
  remaining_ -= static_cast<std::uint32_t>(bytes);
}

std::span<const MemoryPiece> DirectRoom::of(ValueUpload& value, std::span<char> end) {
  std::array<std::span<char>, kValuePieces> room;
  const std::size_t count = value.room(room);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count; ++i) {
    pieces_[i] = {room[i].data(), room[i].size()};
    bytes += room[i].size();
  }
  if (bytes < value.remaining() || end.empty()) return {pieces_.data(), count};
  pieces_[count] = {end.data(), end.size()};
  return {pieces_.data(), count + 1};
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
  // It got memory, but no ids were compared.
  count(worker_, StoreMode::kSet, StoreResult::kNotStored);
}

StorageOutcome Upload::refused(StoreResult result, std::string_view fault) const {
  return {.finished = true,
          .result = result,
          .fault = fault,
          .swallow = value_.remaining() + kLineEnd.size() - terminator_bytes_};
}

StorageOutcome Upload::on_bytes(std::span<const char> bytes) {
  if (value_.begun() != StoreResult::kStored) return refused(value_.begun(), fault_of(value_.begun()));
  std::size_t used = std::min<std::size_t>(bytes.size(), value_.remaining());
  if (!value_.write(bytes.first(used))) {
    return refused(StoreResult::kNoMemory, protocol::reply::kNoMemoryDuringRead);
  }
  while (used < bytes.size() && terminator_bytes_ < terminator_.size()) {
    terminator_[terminator_bytes_++] = bytes[used++];
  }
  StorageOutcome outcome = progress();
  outcome.consumed = used;
  return outcome;
}

void Upload::on_direct_bytes(std::size_t bytes) {
  const std::size_t of_value = std::min<std::size_t>(bytes, value_.remaining());
  value_.placed(of_value);
  terminator_bytes_ += bytes - of_value;
}

StorageOutcome Upload::progress() {
  return terminator_bytes_ == terminator_.size() ? finish() : StorageOutcome{};
}

StorageOutcome Upload::finish() {
  if (std::string_view(terminator_.data(), terminator_.size()) == kLineEnd) return finished(value_.commit());
  value_.reject();
  return bad_data_chunk();
}

}  // namespace ringcached::server
