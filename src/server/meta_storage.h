// ms: the storing it asks for and its reply. The data block is storage.h's business, as for the classic
// commands.
#pragma once

#include <string>
#include <string_view>

#include "protocol/meta.h"
#include "ringcached/network.h"
#include "server/context.h"
#include "server/storage.h"

namespace ringcached::server {

// `key` is that of the request.
Storing storing_of(const WorkerContext& worker, const protocol::MetaRequest& request, const store::Key& key);
// After a finished outcome.
void append_meta_stored(WorkerContext& worker, const protocol::MetaRequest& request,
                        const StorageOutcome& outcome, Output& output);

// The line of an ms that outlives the input it came in, while its data block is awaited. Stays where it is:
// the request has views into the line.
class KeptMetaLine {
 public:
  // `line` was parsed as a meta request, terminator included.
  explicit KeptMetaLine(std::string_view line);
  KeptMetaLine(const KeptMetaLine&) = delete;
  KeptMetaLine& operator=(const KeptMetaLine&) = delete;

  const protocol::MetaRequest& request() const { return request_; }

 private:
  std::string line_;
  protocol::MetaRequest request_;
};

}  // namespace ringcached::server
