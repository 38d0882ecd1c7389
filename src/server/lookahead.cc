#include "server/lookahead.h"

namespace ringcached::server {

Lookahead::Ticket Lookahead::add(WorkerContext& worker, const void* session, std::string_view input) {
  if (ended_) {
    batch_.clear();
    plans_count_ = 0;
    ended_ = false;
  }
  if (full()) return kNone;
  protocol::LineScan scan;  // the session's own belongs to where it is, which is only the front of this
  const auto requests = batch_.plan(worker, input, scan, worker.requests_per_turn);
  if (requests.empty()) return kNone;
  plans_[plans_count_] = {session, input.data(), requests};
  return static_cast<Ticket>(plans_count_++);
}

void Lookahead::end(const WorkerContext& worker) {
  if (!ended_) batch_.prefetch_items(worker);
  ended_ = true;
}

// The session is compared, for its ticket may be of an earlier turn; so is the input, for what came between.
std::span<const Batch::Planned> Lookahead::take(Ticket ticket, const void* session, const char* input) {
  if (ticket >= plans_count_) return {};
  Plan& plan = plans_[ticket];
  if (plan.session != session || plan.input != input) return {};
  plan.session = nullptr;
  return plan.requests;
}

}  // namespace ringcached::server
