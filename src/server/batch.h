// The front of a pipeline, planned before it is executed: the memory each request will touch is asked for
// while the requests before it are worked on, so that a batch waits for memory once, not at every request.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "protocol/meta.h"
#include "protocol/parser.h"
#include "protocol/request.h"
#include "server/context.h"

namespace ringcached::server {

class Batch {
 public:
  // Enough to cover the latency of memory; more would only push the first out of the nearest cache again.
  static constexpr std::size_t kRequestsMax = 16;

  struct Planned {
    bool is_plain_get = false;                    // get of the key; neither of the two below is filled
    const protocol::MetaRequest* meta = nullptr;  // the request, if it is one of these ...
    protocol::Request request;                    // ... else this
    store::Key key;
    std::size_t line_bytes = 0;
  };

  // Parses requests of one key whose bytes are all there (get, storage with its data block, mg, ms, md, ma)
  // from the front of `input`, at most `requests_max` or kRequestsMax; stops before the first other one,
  // which is left to the caller.
  // `scan` is as parse_text leaves it at that point.
  void plan(WorkerContext& worker, std::string_view input, protocol::LineScan& scan,
            std::size_t requests_max);

  std::size_t size() const { return size_; }
  const Planned* begin() const { return planned_.data(); }
  const Planned* end() const { return planned_.data() + size_; }

 private:
  std::array<Planned, kRequestsMax> planned_;
  // Apart, because they are large and most pipelines have none.
  std::array<protocol::MetaRequest, kRequestsMax> metas_;
  std::size_t size_ = 0;
};

// A get of one key, or a storage command whose data block, `input_bytes` in all behind its line, is complete.
bool is_simple(const protocol::Request& request, std::size_t input_bytes);
bool is_simple(const protocol::MetaRequest& request, std::size_t input_bytes);

}  // namespace ringcached::server
