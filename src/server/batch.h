// The front of a pipeline, planned before it is executed: the memory each request will touch is asked for
// while the requests before it are worked on, so that a batch waits for memory once, not at every request.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
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

  // Of several pipelines.
  static constexpr std::size_t kRequestsAllMax = 32;

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
  // They are put behind those that are there; returns them.
  std::span<const Planned> plan(WorkerContext& worker, std::string_view input, protocol::LineScan& scan,
                                std::size_t requests_max);
  // Asks for the items of all of them, whose buckets plan() has asked for.
  void prefetch_items(const WorkerContext& worker);
  void clear() { size_ = 0; }

  std::size_t size() const { return size_; }
  std::size_t room() const { return planned_.size() - size_; }
  std::span<const Planned> planned() const { return {planned_.data(), size_}; }

 private:
  bool plan_one(WorkerContext& worker, std::string_view& input, protocol::LineScan& scan);
  // The same of whatever is no plain get or set: the bytes to drop, 0 if there is none.
  std::size_t plan_other(WorkerContext& worker, std::string_view input, protocol::LineScan& scan);

  std::array<Planned, kRequestsAllMax> planned_;
  // Apart, because they are large and most pipelines have none.
  std::array<protocol::MetaRequest, kRequestsAllMax> metas_;
  std::size_t size_ = 0;
};

// A get of one key, or a storage command whose data block, `input_bytes` in all behind its line, is complete.
bool is_simple(const protocol::Request& request, std::size_t input_bytes);
bool is_simple(const protocol::MetaRequest& request, std::size_t input_bytes);

}  // namespace ringcached::server
