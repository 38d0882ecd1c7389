// set, add, replace, append, prepend, cas: a line and its data block in, one reply out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

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

// A storage command whose data block arrives in pieces. Owns its key and the memory reserved for the value.
class Upload {
 public:
  // After the line. finished() tells whether the command is over at once (no memory, too large).
  Upload(WorkerContext& worker, const protocol::Request& request);

  // Takes bytes of the data block. When the outcome has a reply, the command is over.
  StorageOutcome on_bytes(std::span<const char> bytes);
  bool noreply() const { return noreply_; }

 private:
  StorageOutcome refused(std::string_view reply) const;
  StorageOutcome finish();

  WorkerContext& worker_;
  protocol::Command command_;
  bool noreply_;
  std::string key_;
  store::StoreRequest request_;
  store::PendingStore pending_;
  store::StoreResult begun_;
  std::size_t value_bytes_;
  std::uint64_t remaining_;  // of the data block, CR LF included
  std::array<char, 2> terminator_{};
};

}  // namespace ringcached::server
