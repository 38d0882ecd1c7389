// Storing in every dialect: a line and its data block in, one result out.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "protocol/limits.h"
#include "protocol/request.h"
#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

// A storage command, its value aside.
struct Storing {
  store::StoreRequest request;
  std::uint32_t value_bytes = 0;  // announced
};
// That of a classic command.
Storing storing_of(const WorkerContext& worker, const protocol::Request& request, const store::Key& key);
// What the classic commands answer.
std::string_view storage_reply(store::StoreResult result);

// How a storage command ended, if it has, and the input it has used or wants to be dropped.
struct StorageOutcome {
  bool finished = false;
  store::StoreResult result = store::StoreResult::kStored;
  // Static storage: the line that every dialect answers in place of the result; empty when there is none.
  std::string_view fault;
  std::size_t consumed = 0;   // bytes of the data block taken
  std::uint64_t swallow = 0;  // bytes still to arrive that must be dropped before the reply is sent
};

// The whole data block with its CR LF is at the front of `block` (value_bytes + 2 bytes or more).
StorageOutcome store_block(WorkerContext& worker, const Storing& storing, std::string_view block);

// All of a classic storage command whose block is there: stores, counts, answers. Returns the bytes of the
// block.
std::size_t store_line(WorkerContext& worker, Output& output, const protocol::Request& request,
                       const store::Key& key, std::string_view block);

// A value at hand, for any dialect: stores and counts.
store::StoreResult store_value(WorkerContext& worker, const store::StoreRequest& request,
                               std::string_view value);

// A value that arrives in pieces, for any dialect: goes straight into the memory reserved for it. Owns its
// key. Counts.
class ValueUpload {
 public:
  ValueUpload(WorkerContext& worker, const store::StoreRequest& request, std::uint32_t value_bytes);
  ValueUpload(const ValueUpload&) = delete;
  ValueUpload& operator=(const ValueUpload&) = delete;

  // kStored: write() may be called; else the store has refused, and that is the result.
  store::StoreResult begun() const { return begun_; }
  std::uint32_t remaining() const { return remaining_; }
  const store::Key& key() const { return request_.key; }
  // At most remaining() bytes. False: memory ran out, the upload is over.
  bool write(std::span<const char> bytes);
  // Memory for the next bytes, as store::PendingStore has it.
  std::size_t room(std::span<std::span<char>> pieces) { return pending_.room(pieces); }
  void placed(std::size_t bytes);
  // With nothing remaining.
  store::StoreResult commit();
  // Instead of commit(): the bytes turned out to be invalid.
  void reject();

 private:
  WorkerContext& worker_;
  store::StoreRequest request_;
  store::PendingStore pending_;
  store::StoreResult begun_;
  std::uint32_t value_bytes_;
  std::uint32_t remaining_;
  std::array<char, protocol::kKeyBytesMax> key_;
};

// Pieces of memory for the engine to receive a value into, with room for what ends it.
class DirectRoom {
 public:
  // At most so many pieces of a value: a quarter of a megabyte at a time.
  static constexpr std::size_t kValuePieces = 8;
  // What is left of smaller values is not worth a receive of its own.
  static constexpr std::size_t kValueBytesMin = 4096;

  // Room in `value`, and in `end` behind it if all of the value fits in. None if there is no room in `value`
  // and something remains of it.
  std::span<const MemoryPiece> of(ValueUpload& value, std::span<char> end);

 private:
  std::array<MemoryPiece, kValuePieces + 1> pieces_;
};

// A storage command of text whose data block arrives in pieces.
class Upload {
 public:
  // After the line. The first on_bytes() tells whether the command is over at once (no memory, too large).
  Upload(WorkerContext& worker, const Storing& storing)
      : value_(worker, storing.request, storing.value_bytes) {}

  // Takes bytes of the data block. Not to be called again once the outcome is finished.
  StorageOutcome on_bytes(std::span<const char> bytes);
  // Enough is to come that it should be received into direct_room().
  bool wants_direct() const {
    return value_.begun() == store::StoreResult::kStored && value_.remaining() >= DirectRoom::kValueBytesMin;
  }
  std::span<const MemoryPiece> direct_room() {
    return direct_.of(value_, std::span(terminator_).subspan(terminator_bytes_));
  }
  void on_direct_bytes(std::size_t bytes);
  // After the bytes: how the command has ended, if it has.
  StorageOutcome progress();

 private:
  StorageOutcome refused(store::StoreResult result, std::string_view fault) const;
  StorageOutcome finish();

  ValueUpload value_;
  DirectRoom direct_;
  std::array<char, 2> terminator_{};
  std::size_t terminator_bytes_ = 0;  // arrived
};

}  // namespace ringcached::server
