#include "net/epoll_inbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

namespace ringcached::net {

EpollInbox::~EpollInbox() {
  if (descriptor_ >= 0) close(descriptor_);
}

int EpollInbox::open(std::size_t capacity) {
  capacity_ = capacity;
  posts_.reserve(capacity);
  descriptor_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return descriptor_ < 0 ? -errno : 0;
}

int EpollInbox::post(const Completion& completion) {
  if (!accepting_.load(std::memory_order_acquire)) return -EBADFD;
  {
    const std::lock_guard guard(lock_);
    if (posts_.size() == capacity_) return -EOVERFLOW;
    posts_.push_back(completion);
  }
  notify();
  return 0;
}

void EpollInbox::wake() {
  woken_.store(true, std::memory_order_release);
  notify();
}

void EpollInbox::notify() {
  if (notified_.exchange(true, std::memory_order_acq_rel)) return;
  const int saved_errno = errno;
  const std::uint64_t one = 1;
  // The count never comes near its limit.
  [[maybe_unused]] const ssize_t written = write(descriptor_, &one, sizeof(one));
  errno = saved_errno;
}

bool EpollInbox::take_posts(std::vector<Completion>& out, std::size_t count_max) {
  const std::lock_guard guard(lock_);
  const auto end = posts_.begin() + static_cast<std::ptrdiff_t>(std::min(count_max, posts_.size()));
  out.insert(out.end(), posts_.begin(), end);
  posts_.erase(posts_.begin(), end);
  return !posts_.empty();
}

}  // namespace ringcached::net
