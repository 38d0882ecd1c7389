// As batch.h, for the binary dialect: the front of a pipeline, planned before it is executed.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "protocol/binary.h"
#include "server/batch.h"
#include "server/context.h"

namespace ringcached::server {

class BinaryBatch {
 public:
  struct Planned {
    protocol::BinaryRequest request;
    store::Key key;
    std::size_t request_bytes = 0;  // without the value
  };

  // Parses requests about one item whose bytes are all there from the front of `input`, at most
  // `requests_max` or Batch::kRequestsMax; stops before the first other one, which is left to the caller.
  void plan(WorkerContext& worker, std::string_view input, protocol::BinaryAccess access,
            std::size_t requests_max);

  std::size_t size() const { return size_; }
  store::Key& key(std::size_t i) { return planned_[i].key; }
  const Planned* begin() const { return planned_.data(); }
  const Planned* end() const { return planned_.data() + size_; }

 private:
  std::array<Planned, Batch::kRequestsMax> planned_;
  std::size_t size_ = 0;
};

}  // namespace ringcached::server
