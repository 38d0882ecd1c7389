// Pipelines of several connections planned together, before the first of them is executed: a turn with one
// request of each connection waits for memory no more often than a pipeline of one connection does.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "server/batch.h"

namespace ringcached::server {

class Lookahead {
 public:
  // What a session keeps: which of the plans is its own.
  using Ticket = std::uint8_t;
  static constexpr Ticket kNone = UINT8_MAX;

  // Plans the front of what `session` will be shown. A later take() of the same session, with the same input,
  // gets the plan, once. The first call after end() forgets all earlier plans.
  Ticket add(WorkerContext& worker, const void* session, std::string_view input);
  bool full() const { return batch_.room() == 0 || plans_count_ == plans_.size(); }
  // Asks for the items.
  void end(const WorkerContext& worker);
  // Empty if there is none.
  std::span<const Batch::Planned> take(Ticket ticket, const void* session, const char* input);

 private:
  struct Plan {
    const void* session = nullptr;
    const char* input = nullptr;
    std::span<const Batch::Planned> requests;
  };
  Batch batch_;
  std::array<Plan, Batch::kRequestsAllMax> plans_;
  std::size_t plans_count_ = 0;
  bool ended_ = true;
};

}  // namespace ringcached::server
