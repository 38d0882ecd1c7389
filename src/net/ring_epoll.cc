#include "net/ring_epoll.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>
#include <new>
#include <utility>

#include "base/assert.h"
#include "base/cycle_clock.h"
#include "net/epoll_ring.h"

namespace ringcached::net {

namespace {

using Kind = EpollOperation::Kind;

// EPOLLPRI tells of urgent data, which makes a receive end early.
constexpr std::uint32_t kReadEvents = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET;
constexpr std::uint32_t kWritableEvents = EPOLLOUT | EPOLLERR | EPOLLHUP;
// Batches of events fetched in a turn while there are more.
constexpr unsigned kEventBatchesMax = 64;
constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kNever = UINT64_MAX;

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                                    std::chrono::nanoseconds(1));
}

// Operations on no descriptor: the owner's timer and wake-up, and some to spare.
constexpr unsigned kOwnOperations = 16;

// As push_back() does it, so that a sequence of calls costs no more than that.
template <typename T>
void reserve_growing(std::vector<T>& vector, std::size_t count) {
  if (vector.capacity() < count) vector.reserve(std::max(count, 2 * vector.capacity()));
}

std::uint64_t positive(std::chrono::nanoseconds delay) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(delay.count(), 0));
}

// A TCP receive that fills less than its buffer has left nothing behind. UNIX sockets stop at descriptors
// that are passed.
bool short_read_drains(int socket) {
  int domain = 0;
  socklen_t length = sizeof(domain);
  if (getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0) return false;
  return domain == AF_INET || domain == AF_INET6;
}

}  // namespace

int EpollRing::create(const RingOptions& options) {
  queue_max_ = options.submission_entries;
  queue_.reserve(queue_max_);
  timers_.reserve(kOwnOperations);
  room_ = options.completion_entries;
  if (const int result = prepare(-1, kOwnOperations); result < 0) return result;
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return -errno;
  if (const int result = inbox_.open(options.completion_entries); result < 0) return result;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.fd = inbox_.descriptor();
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, inbox_.descriptor(), &event) != 0) return -errno;
  if (options.receive_buffers == 0) return 0;
  if (!buffers_.map(options.receive_buffers, options.receive_buffer_bytes)) return -ENOMEM;
  free_buffers_.reserve(options.receive_buffers);
  for (unsigned i = options.receive_buffers; i-- > 0;) {
    const auto id = static_cast<std::uint16_t>(i);
    if constexpr (RC_POISONS_BUFFERS != 0) buffers_.hide(id);
    free_buffers_.push_back(id);
  }
  return 0;
}

EpollRing::~EpollRing() {
  if (epoll_ >= 0) close(epoll_);
}

Status EpollRing::enable() {
  RC_CHECK(!enabled_);
  enabled_ = true;
  inbox_.accept_posts();
  return {};
}

// --- Memory

int EpollRing::prepare(int descriptor, unsigned operations) {
  try {
    reserve_growing(completions_, room_ + promised_ + operations);
    parked_.reserve(promised_ + operations);
    if (descriptor >= 0) {
      reserve_growing(unfinished_, prepared_ + 1);
      reserve_growing(continued_, prepared_ + 1);
      watch_of(descriptor).promised = operations;
      ++prepared_;
    }
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
  promised_ += operations;
  return 0;
}

// For one more that nobody was promised.
bool EpollRing::has_room() {
  if (ready() < room_) return true;
  try {
    completions_.reserve(2 * room_ + promised_);
  } catch (const std::bad_alloc&) {
    return false;
  }
  room_ *= 2;
  return true;
}

void EpollRing::drop_reaped() {
  completions_.erase(completions_.begin(), completions_.begin() + static_cast<std::ptrdiff_t>(reaped_));
  reaped_ = 0;
}

// --- Queueing

void EpollRing::queue(const EpollOperation& operation) {
  if (queue_.size() == queue_max_) [[unlikely]]
    submit();
  queue_.push_back(operation);
}

void EpollRing::accept_multishot(int listener, Token token) {
  queue({.kind = Kind::kAccept, .descriptor = listener, .token = token});
}

void EpollRing::receive_multishot(int socket, Token token) {
  RC_DCHECK(buffers_.count() != 0);
  queue({.kind = Kind::kReceive, .descriptor = socket, .token = token});
}

void EpollRing::receive_once(int socket, std::uint32_t bytes_max, Token token) {
  RC_DCHECK(buffers_.count() != 0 && bytes_max != 0);
  queue({.kind = Kind::kReceive, .descriptor = socket, .token = token, .number = bytes_max});
}

void EpollRing::receive_direct(int socket, std::span<const iovec> pieces, Token token) {
  queue({.kind = Kind::kReceiveDirect,
         .descriptor = socket,
         .token = token,
         .memory = pieces.data(),
         .number = pieces.size()});
}

void EpollRing::receive_datagram_multishot(int socket, const msghdr& shape, Token token) {
  RC_DCHECK(buffers_.count() != 0);
  queue({.kind = Kind::kReceiveDatagram, .descriptor = socket, .token = token, .memory = &shape});
}

void EpollRing::send(int socket, std::span<const char> data, Token token) {
  queue({.kind = Kind::kSend,
         .descriptor = socket,
         .token = token,
         .memory = data.data(),
         .number = std::min(data.size(), kSendBytesMax)});
}

void EpollRing::send_silently(int socket, std::span<const char> data, Token token) {
  send(socket, data, token);
  queue_.back().kind = Kind::kSendSilently;
  ++silent_queued_;
}

void EpollRing::send_message(int socket, const msghdr& message, Token token) {
  queue({.kind = Kind::kSendMessage, .descriptor = socket, .token = token, .memory = &message});
}

void EpollRing::cancel(Token target, Token token) {
  queue({.kind = Kind::kCancel, .token = token, .number = target});
}

void EpollRing::timeout(std::chrono::nanoseconds delay, Token token) {
  queue({.kind = Kind::kTimeout, .token = token, .number = positive(delay)});
}

void EpollRing::poll_readable_multishot(int descriptor, Token token) {
  queue({.kind = Kind::kPoll, .descriptor = descriptor, .token = token});
}

void EpollRing::post(Ring& target, std::int32_t result, Token target_token, Token token) {
  queue({.kind = Kind::kPost,
         .token = token,
         .memory = &static_cast<EpollRing&>(target).inbox_,
         .number = target_token,
         .result = result});
}

void EpollRing::arm_wake(Token token) {
  queue({.kind = Kind::kArmWake, .token = token});
}

void EpollRing::return_buffers(std::span<const std::uint16_t> ids) {
  for (const std::uint16_t id : ids) {
    if constexpr (RC_POISONS_BUFFERS != 0) buffers_.hide(id);
    free_buffers_.push_back(id);
  }
}

// --- Starting

void EpollRing::submit() {
  for (const EpollOperation& operation : queue_) start(operation);
  queue_.clear();
  silent_queued_ = 0;
}

void EpollRing::start(const EpollOperation& operation) {
  switch (operation.kind) {
    case Kind::kAccept:
    case Kind::kReceive:
    case Kind::kReceiveDirect:
    case Kind::kReceiveDatagram:
    case Kind::kPoll:
      return start_reader(operation);
    case Kind::kSend:
    case Kind::kSendMessage:
      return start_send(operation);
    case Kind::kSendSilently:
      return send_silently_now(operation);
    case Kind::kCancel:
      return start_cancel(operation);
    case Kind::kTimeout:
      return start_timeout(operation);
    case Kind::kArmWake:
      return start_wake(operation);
    case Kind::kPost: {
      auto* inbox = static_cast<EpollInbox*>(const_cast<void*>(operation.memory));
      return complete(operation.token, inbox->post({operation.number, operation.result, 0}));
    }
  }
}

void EpollRing::start_reader(const EpollOperation& operation) {
  const int descriptor = operation.descriptor;
  if (descriptor < 0) return complete(operation.token, -EBADF);
  const bool receives = operation.kind == Kind::kReceive || operation.kind == Kind::kReceiveDatagram;
  if (receives && free_buffers_.empty()) return complete(operation.token, -ENOBUFS);
  Watch& watch = watch_of(descriptor);
  RC_CHECK(watch.reader == kNone);
  if (!watch.registered) {
    // Accepting until nobody waits must not wait itself. The accepted sockets do not inherit it.
    if (operation.kind == Kind::kAccept) fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
    if (operation.kind == Kind::kReceive || operation.kind == Kind::kReceiveDirect)
      watch.stream_drains = short_read_drains(descriptor);
    if (const int error = register_watch(descriptor, watch, false); error < 0) {
      return complete(operation.token, error);
    }
  }
  watch.reader = parked_.add(operation);
  if (!watch.readable || watch.unfinished) return;
  watch.unfinished = true;
  unfinished_.push_back(descriptor);
}

void EpollRing::start_cancel(const EpollOperation& operation) {
  const Place target = parked_.find(operation.number);
  if (target != kNone) end(target, -ECANCELED);
  complete(operation.token, target == kNone ? -ENOENT : 0);
}

void EpollRing::start_timeout(EpollOperation operation) {
  const std::uint64_t now = now_ns();
  operation.number = operation.number < kNever - now ? now + operation.number : kNever;
  timers_.push_back({operation.number, parked_.add(operation)});
  std::push_heap(timers_.begin(), timers_.end());
}

void EpollRing::start_wake(const EpollOperation& operation) {
  if (inbox_.take_wake()) return complete(operation.token, 1);
  RC_CHECK(wake_ == kNone);
  wake_ = parked_.add(operation);
}

// --- Descriptors

EpollRing::Watch& EpollRing::watch_of(int descriptor) {
  const auto index = static_cast<std::size_t>(descriptor);
  if (index >= watches_.size()) watches_.resize(std::max(index + 1, watches_.size() * 2));
  return watches_[index];
}

// Also reports anew what the descriptor is ready for. 0 or a negated errno.
int EpollRing::register_watch(int descriptor, Watch& watch, bool writable) {
  epoll_event event{};
  event.events = writable ? kReadEvents | EPOLLOUT : kReadEvents;
  event.data.fd = descriptor;
  if (epoll_ctl(epoll_, watch.registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor, &event) != 0) {
    return -errno;
  }
  watch.registered = true;
  watch.wants_writable = writable;
  return 0;
}

int EpollRing::close_socket(int socket) {
  if (socket >= 0 && static_cast<std::size_t>(socket) < watches_.size()) {
    Watch& watch = watches_[static_cast<std::size_t>(socket)];
    RC_CHECK(watch.reader == kNone && watch.first_send == kNone);
    if (watch.unfinished) std::erase(unfinished_, socket);
    if (watch.promised != 0) --prepared_;
    promised_ -= watch.promised;
    watch = {};
  }
  return SocketRing::close_socket(socket);
}

// The final completion of a parked operation.
void EpollRing::end(Place place, std::int32_t result, std::uint32_t flags) {
  const EpollOperation operation = parked_.at(place);
  if (operation.reads()) {
    watch_of(operation.descriptor).reader = kNone;
  } else if (operation.kind == Kind::kTimeout) {
    forget_timer(place);
  } else if (operation.kind == Kind::kArmWake) {
    wake_ = kNone;
  } else {
    unlink_send(place);
  }
  parked_.remove(place);
  complete(operation.token, result, flags);
}

void EpollRing::unlink_send(Place place) {
  Place* link = &watch_of(parked_.at(place).descriptor).first_send;
  while (*link != place) link = &parked_.next(*link);
  *link = parked_.next(place);
}

void EpollRing::forget_timer(Place place) {
  std::erase_if(timers_, [place](const Timer& timer) { return timer.place == place; });
  std::make_heap(timers_.begin(), timers_.end());
}

void EpollRing::continue_unfinished() {
  if (unfinished_.empty()) return;
  continued_.swap(unfinished_);
  for (const int descriptor : continued_) {
    watch_of(descriptor).unfinished = false;
    read(descriptor);
  }
  continued_.clear();
}

// --- The turn

int EpollRing::submit_and_wait(unsigned completions_min, std::chrono::nanoseconds timeout) {
  const bool submitted = !queue_.empty();
  submit();
  continue_unfinished();
  if (posts_left_) on_inbox();
  // With sends done there is something to reap: events can wait until the next turn, which saves a call for
  // each round of replies. Not longer, for one busy connection must not hide the others.
  const bool looks = !looked_ || ready() == 0 || ready() < completions_min;
  looked_ = looks;
  return looks ? wait(completions_min, timeout, submitted) : 0;
}

int EpollRing::wait(unsigned completions_min, std::chrono::nanoseconds timeout, bool submitted) {
  const bool waits = ready() < completions_min && timeout.count() > 0;
  const std::uint64_t end_ns = !waits ? 0 : (timeout == kWaitForever ? kNever : now_ns() + positive(timeout));
  for (;;) {
    const int result = fetch_events(waits && ready() < completions_min ? limit_ms(end_ns) : 0);
    if (result < 0) return submitted ? 0 : result;
    expire_timers();
    if (!waits || ready() >= completions_min) return 0;
    if (end_ns != kNever && now_ns() >= end_ns) return submitted ? 0 : -ETIME;
  }
}

// One sleep for all that comes, instead of one for each event. What has come until now may be enough.
int EpollRing::submit_and_gather(unsigned enough, std::chrono::microseconds min_wait) {
  const bool submitted = !queue_.empty();
  if (const int result = submit_and_wait(0, std::chrono::nanoseconds::zero()); result < 0) return result;
  if (ready() >= enough) return 0;
  if (!sharp_timers_) {
    // Sleeps are as long as asked for, not up to 50 us longer.
    prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
    sharp_timers_ = true;
  }
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(min_wait);
  const timespec time{whole.count(), std::chrono::nanoseconds(min_wait - whole).count()};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
  looked_ = true;
  return wait(1, kWaitForever, submitted);
}

int EpollRing::submit_and_spin(std::chrono::nanoseconds limit) {
  const CycleClock& clock = cycle_clock();
  int result = submit_and_wait(0, std::chrono::nanoseconds::zero());
  const std::uint64_t end_ns = clock.now_ns() + positive(limit);
  while (result >= 0 && ready() == 0 && clock.now_ns() < end_ns) {
    result = wait(0, std::chrono::nanoseconds::zero(), false);
  }
  return result < 0 ? result : static_cast<int>(ready());
}

// How long epoll_wait(2) may sleep.
int EpollRing::limit_ms(std::uint64_t end_ns) const {
  const std::uint64_t until = timers_.empty() ? end_ns : std::min(end_ns, timers_.front().deadline_ns);
  if (until == kNever) return -1;
  const std::uint64_t now = now_ns();
  if (until <= now) return 0;
  return static_cast<int>(std::min<std::uint64_t>((until - now + kNsPerMs - 1) / kNsPerMs, INT_MAX));
}

int EpollRing::fetch_events(int limit_ms) {
  for (unsigned batch = 0; batch < kEventBatchesMax; ++batch) {
    const int count = epoll_wait(epoll_, events_.data(), kEventBatch, batch == 0 ? limit_ms : 0);
    if (count < 0) return -errno;
    for (int i = 0; i < count; ++i) on_event(events_[static_cast<std::size_t>(i)]);
    if (static_cast<std::size_t>(count) < kEventBatch) break;
  }
  return 0;
}

void EpollRing::on_event(const epoll_event& event) {
  const int descriptor = event.data.fd;
  if (descriptor == inbox_.descriptor()) return on_inbox();
  Watch& watch = watch_of(descriptor);
  if ((event.events & ~EPOLLOUT) != 0) {
    watch.readable = true;
    if ((event.events & ~(EPOLLOUT | EPOLLIN)) != 0) watch.thorough = true;
    read(descriptor);
  }
  if ((event.events & kWritableEvents) != 0) resume_sends(descriptor);
}

void EpollRing::on_inbox() {
  inbox_.notice();
  if (wake_ != kNone && inbox_.take_wake()) end(wake_, 1);
  do {
    drop_reaped();
    posts_left_ = inbox_.take_posts(completions_, room_ - std::min<std::size_t>(room_, ready()));
  } while (posts_left_ && has_room());
}

void EpollRing::expire_timers() {
  if (timers_.empty()) return;
  const std::uint64_t now = now_ns();
  while (!timers_.empty() && timers_.front().deadline_ns <= now) {
    const Place place = timers_.front().place;
    std::pop_heap(timers_.begin(), timers_.end());
    timers_.pop_back();
    complete(parked_.at(place).token, -ETIME);
    parked_.remove(place);
  }
}

unsigned EpollRing::reap(std::span<Completion> out) {
  const unsigned count = std::min(ready(), static_cast<unsigned>(out.size()));
  std::copy_n(completions_.begin() + static_cast<std::ptrdiff_t>(reaped_), count, out.begin());
  reaped_ += count;
  if (reaped_ == completions_.size()) {
    completions_.clear();
    reaped_ = 0;
  }
  return count;
}

Result<std::unique_ptr<Ring>> create_epoll_ring(const RingOptions& options) {
  if (Status status = check_sizes(options); !status) return status;
  auto ring = std::make_unique<EpollRing>();
  switch (const int result = ring->create(options); - result) {
    case 0:
      return std::unique_ptr<Ring>(std::move(ring));
    case EMFILE:
    case ENFILE:
      return Status(StatusCode::kUnavailable,
                    "cannot use epoll: too many open descriptors; raise the limit RLIMIT_NOFILE (ulimit -n)");
    case ENOMEM:
      return Status(StatusCode::kOutOfMemory,
                    "cannot use epoll: no memory; use fewer workers or receive buffers");
    default:
      return Status(StatusCode::kInternal, std::string("cannot use epoll: ") + std::strerror(-result));
  }
}

}  // namespace ringcached::net
