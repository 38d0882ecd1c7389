#include "net/handoff.h"

#include <utility>

#include "base/assert.h"

namespace ringcached::net {

HandoffSender::HandoffSender(Ring& ring, Handoff way, std::vector<HandoffPort> ports)
    : ring_(ring), way_(way), ports_(std::move(ports)), posts_(kPostsMax), delivered_(ports_.size()) {
  RC_CHECK(!ports_.empty());
}

// Round robin. The place to look at the workers' load instead.
unsigned HandoffSender::choose_worker() {
  const unsigned worker = next_worker_;
  next_worker_ = (next_worker_ + 1) % static_cast<unsigned>(ports_.size());
  return worker;
}

void HandoffSender::send(AcceptedDescriptor accepted) {
  attempt({accepted, 0, 0});
}

void HandoffSender::attempt(Pending pending) {
  pending.worker = choose_worker();
  ++pending.attempts;
  const HandoffPort& port = ports_[pending.worker];
  if (way_ == Handoff::kEventfd) {
    if (!port.queue->push(pending.accepted)) return refused(pending);
    ++delivered_[pending.worker];
    port.ring->wake();
    return;
  }
  const auto taken = posts_.take();
  if (taken.object == nullptr) return refused(pending);
  *taken.object = pending;
  ring_.post(*port.ring, pending.accepted.descriptor,
             make_token(Operation::kHandoff, pending.accepted.listener),
             make_token(Operation::kPost, taken.slot, taken.generation));
}

void HandoffSender::on_post(const Completion& completion) {
  const std::uint32_t slot = token_slot(completion.token);
  Pending* post = posts_.find(slot, token_generation(completion.token));
  RC_CHECK(post != nullptr);
  const Pending pending = *post;
  posts_.release(slot);
  if (completion.result >= 0) {
    ++delivered_[pending.worker];
    return;
  }
  // The next worker at once, each of them once per round; then after a pause.
  if (pending.attempts % ports_.size() != 0) {
    retries_.add();
    return attempt(pending);
  }
  refused(pending);
}

void HandoffSender::refused(Pending pending) {
  if (pending.attempts >= kAttemptsMax) return give_up(pending);
  retries_.add();
  waiting_.push_back(pending);
}

void HandoffSender::retry() {
  for (const Pending& pending : std::exchange(waiting_, {})) attempt(pending);
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
