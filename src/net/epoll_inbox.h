// How other threads reach an epoll ring: completions posted to it, and wake-ups. One eventfd tells of both.
//
// The eventfd is watched edge-triggered and never read: each write is an edge. A sender writes only if nobody
// has done so since the owner last looked.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/spin_lock.h"
#include "net/ring.h"

namespace ringcached::net {

class EpollInbox {
 public:
  EpollInbox() = default;
  ~EpollInbox();
  EpollInbox(const EpollInbox&) = delete;
  EpollInbox& operator=(const EpollInbox&) = delete;

  // At most `capacity` completions wait at once. 0 or a negated errno.
  int open(std::size_t capacity);
  int descriptor() const { return descriptor_; }

  // --- Any thread.
  // 0, -EOVERFLOW, or -EBADFD before accept_posts().
  int post(const Completion& completion);
  // Async-signal-safe.
  void wake();

  // --- The owner.
  void accept_posts() { accepting_.store(true, std::memory_order_release); }
  // The eventfd has become readable: to be called before looking for what came.
  void notice() { notified_.exchange(false, std::memory_order_acq_rel); }
  // Whether there was a wake() since the last call.
  bool take_wake() { return woken_.exchange(false, std::memory_order_acq_rel); }
  // Appends what was posted, oldest first; at most `count_max`. True if there is more.
  bool take_posts(std::vector<Completion>& out, std::size_t count_max);

 private:
  void notify();

  int descriptor_ = -1;
  std::size_t capacity_ = 0;
  std::atomic<bool> accepting_{false};
  std::atomic<bool> notified_{false};
  std::atomic<bool> woken_{false};
  SpinLock lock_;
  std::vector<Completion> posts_;  // under lock_; never grows beyond what open() reserved
};

}  // namespace ringcached::net
