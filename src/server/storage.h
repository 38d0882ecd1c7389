// set, add, replace, append, prepend, cas: a line and its data block in, one reply out.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "protocol/limits.h"
#include "protocol/request.h"
#include "server/context.h"

namespace ringcached::server {

// The reply of a storage command, and the input it has used or wants to be dropped.
struct StorageOutcome {
  std::string_view reply;     // static storage; empty when the command is not finished
  std::size_t consumed = 0;   // bytes of the data block taken
  std::uint64_t swallow = 0;  // bytes still to arrive that must be dropped before the reply is sent
};

// The whole data block with its CR LF is at the front of `block` (request.value_bytes + 2 bytes or more).
// `key` is that of the request.
StorageOutcome store_block(WorkerContext& worker, const protocol::Request& request, const store::Key& key,
                           std::string_view block);

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

// A storage command of text whose data block arrives in pieces.
class Upload {
 public:
  Upload(WorkerContext& worker, const protocol::Request& request);

  // Takes bytes of the data block. When the outcome has a reply, the command is over.
  StorageOutcome on_bytes(std::span<const char> bytes);
  bool noreply() const { return noreply_; }

 private:
  StorageOutcome refused(std::string_view reply) const;
  std::string_view finish();

  ValueUpload value_;
  bool noreply_;
  std::array<char, 2> terminator_{};
  std::size_t terminator_bytes_ = 0;  // arrived
};

}  // namespace ringcached::server
