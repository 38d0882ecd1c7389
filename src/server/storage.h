// Storing in every dialect: a line and its data block in, one result out.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "protocol/request.h"
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

// A storage command whose data block arrives in pieces. Owns its key and the memory reserved for the value.
class Upload {
 public:
  // After the line. The first on_bytes() tells whether the command is over at once (no memory, too large).
  Upload(WorkerContext& worker, const Storing& storing);

  // Takes bytes of the data block. Not to be called again once the outcome is finished.
  StorageOutcome on_bytes(std::span<const char> bytes);

 private:
  StorageOutcome finish();

  WorkerContext& worker_;
  std::string key_;
  store::StoreRequest request_;
  store::PendingStore pending_;
  store::StoreResult begun_;
  std::uint64_t remaining_;  // of the data block, CR LF included
  std::array<char, 2> terminator_{};
};

}  // namespace ringcached::server
