#include "net/handoff.h"

#include <new>
#include <utility>

#include "base/assert.h"

namespace ringcached::net {

HandoffSender::HandoffSender(Ring& ring, Handoff way, Placement placement, std::vector<HandoffPort> ports)
    : ring_(ring),
      way_(way),
      placement_(placement),
      ports_(std::move(ports)),
      posts_(kPostsMax),
      given_(ports_.size()),
      delivered_(ports_.size()) {
  RC_CHECK(!ports_.empty());
}

std::uint64_t HandoffSender::load(unsigned worker) const {
  return given_[worker] - ports_[worker].connections_closed->get();
}

// Begins to look behind the last one chosen, so that equals take turns.
unsigned HandoffSender::choose_worker() {
  const auto workers = static_cast<unsigned>(ports_.size());
  unsigned chosen = next_worker_;
  if (placement_ == Placement::kLeastConnections) {
    for (unsigned i = 1; i < workers; ++i) {
      const unsigned candidate = (next_worker_ + i) % workers;
      if (load(candidate) < load(chosen)) chosen = candidate;
    }
  }
  next_worker_ = (chosen + 1) % workers;
  return chosen;
}

void HandoffSender::send(AcceptedDescriptor accepted) {
  place({accepted, 0, 0});
}

void HandoffSender::place(Pending pending) {
  pending.worker = choose_worker();
  attempt(pending);
}

void HandoffSender::attempt(Pending pending) {
  ++pending.attempts;
  const HandoffPort& port = ports_[pending.worker];
  if (way_ == Handoff::kEventfd) {
    if (!port.queue->push(pending.accepted)) return turned_down(pending);
    ++given_[pending.worker];
    ++delivered_[pending.worker];
    port.ring->wake();
    return;
  }
  const auto taken = posts_.take();
  if (taken.object == nullptr) return refused(pending);
  *taken.object = pending;
  ++given_[pending.worker];
  ring_.post(*port.ring, pending.accepted.descriptor,
             make_token(Operation::kHandoff, pending.accepted.listener),
             make_token(Operation::kPost, taken.slot, taken.generation));
}

void HandoffSender::on_post(const Completion& completion) {
  const std::uint32_t slot = token_slot(completion.token);
  Pending* post = posts_.find(slot, token_generation(completion.token));
  RC_CHECK(post != nullptr);
  Pending pending = *post;
  posts_.release(slot);
  if (completion.result >= 0) {
    ++delivered_[pending.worker];
    return;
  }
  --given_[pending.worker];
  turned_down(pending);
}

// The next worker at once, whatever its load, each of them once per round; then after a pause.
void HandoffSender::turned_down(Pending pending) {
  if (pending.attempts % ports_.size() != 0) {
    retries_.add();
    pending.worker = (pending.worker + 1) % static_cast<unsigned>(ports_.size());
    return attempt(pending);
  }
  refused(pending);
}

void HandoffSender::refused(Pending pending) {
  if (pending.attempts >= kRoundsMax * ports_.size()) return give_up(pending);
  retries_.add();
  try {
    waiting_.push_back(pending);
  } catch (const std::bad_alloc&) {
    give_up(pending);
  }
}

void HandoffSender::retry() {
  retried_.swap(waiting_);
  for (const Pending& pending : retried_) place(pending);
  retried_.clear();
}

void HandoffSender::abandon_waiting() {
  for (const Pending& pending : std::exchange(waiting_, {})) give_up(pending);
}

void HandoffSender::give_up(const Pending& pending) {
  ring_.close_socket(pending.accepted.descriptor);
  ++abandoned_;
}

unsigned HandoffSender::take_abandoned() {
  return std::exchange(abandoned_, 0);
}

}  // namespace ringcached::net
