#include "net/ring_uring.h"

#include <liburing.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

#include "base/assert.h"
#include "base/cycle_clock.h"
#include "base/spin_lock.h"
#include "net/buffer_block.h"
#include "net/ring_abi.h"
#include "net/socket_ring.h"

#if defined(__SANITIZE_THREAD__)
#define RC_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RC_THREAD_SANITIZER 1
#endif
#endif
#ifdef RC_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

namespace ringcached::net {

namespace {

constexpr std::uint16_t kBufferGroup = 1;
constexpr unsigned kSubmissionEntriesMin = 64;  // below it a ring is not worth having
// Where rings are charged to RLIMIT_MEMLOCK, the kernel gives back the charge of an ended process only after
// a while: a quick restart has to wait for it.
constexpr int kMemoryAttempts = 10;
constexpr unsigned kMemoryPauseUs = 100'000;
// The kernel's minimum wait asks for a limit; a turn in an hour with nothing in it is none too many.
constexpr std::chrono::hours kGatheringLimit{1};

// The flags are copied as they are.
static_assert(Completion::kHasBuffer == IORING_CQE_F_BUFFER && Completion::kMore == IORING_CQE_F_MORE);
static_assert(Completion::kBufferShift == IORING_CQE_BUFFER_SHIFT);

template <typename T>
T load_acquire(const T* shared) {
  return __atomic_load_n(shared, __ATOMIC_ACQUIRE);
}
template <typename T>
T load_relaxed(const T* shared) {
  return __atomic_load_n(shared, __ATOMIC_RELAXED);
}
template <typename T>
void store_release(T* shared, T value) {
  __atomic_store_n(shared, value, __ATOMIC_RELEASE);
}

class UringRing final : public SocketRing {
 public:
  explicit UringRing(const Features& features)
      : registered_ring_wanted_(features.registered_ring),
        kernel_gathers_(features.min_wait),
        wait_flags_(features.no_iowait ? abi::kEnterNoIowait : 0) {}
  ~UringRing() override;

  // 0 or a negated errno.
  int create(const RingOptions& options);

  Status enable() override;
  void accept_multishot(int listener, Token token) override;
  void receive_multishot(int socket, Token token) override;
  void receive_once(int socket, std::uint32_t bytes_max, Token token) override;
  void receive_direct(int socket, std::span<const iovec> pieces, Token token) override;
  void receive_datagram_multishot(int socket, const msghdr& shape, Token token) override;
  void send(int socket, std::span<const char> data, Token token) override;
  void send_silently(int socket, std::span<const char> data, Token token) override;
  bool silent_sends_settled() const override;
  void send_message(int socket, const msghdr& message, Token token) override;
  void cancel(Token target, Token token) override;
  void timeout(std::chrono::nanoseconds delay, Token token) override;
  void poll_readable_multishot(int descriptor, Token token) override;
  void post(Ring& target, std::int32_t result, Token target_token, Token token) override;
  void arm_wake(Token token) override;
  void wake() override;
  std::span<char> buffer(std::uint16_t id) override { return buffers_.buffer(id); }
  void return_buffers(std::span<const std::uint16_t> ids) override { buffers_.give_back(ids); }
  int submit_and_wait(unsigned completions_min, std::chrono::nanoseconds timeout) override;
  int submit_and_gather(unsigned enough, std::chrono::microseconds min_wait) override;
  int submit_and_spin(std::chrono::nanoseconds limit) override;
  unsigned reap(std::span<Completion> out) override;

 private:
  unsigned ready() const;
  bool must_fetch() const;
  io_uring_sqe* queue(std::uint8_t opcode, int descriptor, Token token);
  void make_room();
  unsigned publish_queued();
  int enter(unsigned submissions, unsigned completions_min, unsigned flags, const void* argument,
            std::size_t bytes);
  int enter_and_wait(unsigned submissions, unsigned completions_min, std::chrono::nanoseconds limit,
                     std::uint32_t min_wait_us);
  void register_descriptor();
  void unregister_descriptor();

  // The hot fields first: copies of what does not change, own copies of what only this side writes.
  io_uring_sqe* sqes_ = nullptr;
  std::uint32_t submission_mask_ = 0;
  std::uint32_t submission_entries_ = 0;
  std::uint32_t submission_tail_ = 0;
  std::uint32_t submission_head_seen_ = 0;
  std::uint32_t silent_tail_ = 0;  // behind the last silent send
  const std::uint32_t* submission_head_ = nullptr;
  std::uint32_t* submission_tail_shared_ = nullptr;
  const std::uint32_t* submission_flags_ = nullptr;
  const io_uring_cqe* cqes_ = nullptr;
  std::uint32_t completion_mask_ = 0;
  std::uint32_t completion_head_ = 0;
  std::uint32_t* completion_head_shared_ = nullptr;
  const std::uint32_t* completion_tail_ = nullptr;
  unsigned enter_descriptor_ = 0;
  unsigned enter_flags_ = 0;
  std::vector<__kernel_timespec>
      delays_;  // of timeouts, by submission slot: read by the kernel at submission
  BufferBlock buffers_;

  const bool registered_ring_wanted_;
  const bool kernel_gathers_;
  const unsigned wait_flags_;
  io_uring native_{};
  bool created_ = false;
  pid_t owner_ = 0;  // the thread that enabled the ring
  int event_descriptor_ = -1;
  std::uint64_t event_count_ = 0;  // written by the read that arm_wake() queues
#ifdef RC_THREAD_SANITIZER
  char handoff_ = 0;  // stands for the happens-before of MSG_RING, which the thread sanitizer cannot see
#endif
};

int UringRing::create(const RingOptions& options) {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED;
  params.cq_entries = options.completion_entries;
  int result = io_uring_queue_init_params(options.submission_entries, &native_, &params);
  if (result < 0) return result;
  created_ = true;
  enter_descriptor_ = static_cast<unsigned>(native_.ring_fd);

  sqes_ = native_.sq.sqes;
  submission_entries_ = params.sq_entries;
  submission_mask_ = params.sq_entries - 1;
  submission_head_ = native_.sq.khead;
  submission_tail_shared_ = native_.sq.ktail;
  submission_flags_ = native_.sq.kflags;
  cqes_ = native_.cq.cqes;
  completion_mask_ = params.cq_entries - 1;
  completion_head_shared_ = native_.cq.khead;
  completion_tail_ = native_.cq.ktail;
  // Slot i of the queue is always entry i. A newer liburing may have asked for a ring without the index
  // array.
  if ((native_.flags & abi::kSetupNoSqArray) == 0) {
    for (unsigned i = 0; i < submission_entries_; ++i) native_.sq.array[i] = i;
  }
  delays_.resize(submission_entries_);

  event_descriptor_ = eventfd(0, EFD_CLOEXEC);
  if (event_descriptor_ < 0) return -errno;
  if (options.receive_buffers == 0) return 0;
  if (!buffers_.map(options.receive_buffers, options.receive_buffer_bytes)) return -ENOMEM;
  const abi::BufferRingRegistration registration = buffers_.registration(kBufferGroup);
  result = io_uring_register(enter_descriptor_, IORING_REGISTER_PBUF_RING, &registration, 1);
  if (result < 0) return result;
  buffers_.lend_all();
  return 0;
}

UringRing::~UringRing() {
  if (owner_ == gettid()) unregister_descriptor();
  if (created_) io_uring_queue_exit(&native_);
  if (event_descriptor_ >= 0) close(event_descriptor_);
}

Status UringRing::enable() {
  RC_CHECK(owner_ == 0);
  const int result =
      io_uring_register(static_cast<unsigned>(native_.ring_fd), IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  if (result < 0) return explain_setup_failure(-result, read_setup_environment());
  owner_ = gettid();
  if (registered_ring_wanted_) register_descriptor();
  return Status::ok();
}

// Saves a descriptor look-up per turn. Not having it (16 per thread is the kernel's limit) is no error. Done
// by hand, because liburing would unregister it from whatever thread destroys the ring.
void UringRing::register_descriptor() {
  io_uring_rsrc_update update{};
  update.offset = UINT32_MAX;  // any free index
  update.data = static_cast<std::uint64_t>(native_.ring_fd);
  if (io_uring_register(static_cast<unsigned>(native_.ring_fd), IORING_REGISTER_RING_FDS, &update, 1) != 1)
    return;
  enter_descriptor_ = update.offset;
  enter_flags_ = IORING_ENTER_REGISTERED_RING;
}

// The end of the owner's thread does it as well.
void UringRing::unregister_descriptor() {
  if (enter_flags_ == 0) return;
  io_uring_rsrc_update update{};
  update.offset = enter_descriptor_;
  io_uring_register(static_cast<unsigned>(native_.ring_fd), IORING_UNREGISTER_RING_FDS, &update, 1);
}

// --- Submission

inline io_uring_sqe* UringRing::queue(std::uint8_t opcode, int descriptor, Token token) {
  if (submission_tail_ - submission_head_seen_ >= submission_entries_) [[unlikely]]
    make_room();
  io_uring_sqe* sqe = &sqes_[submission_tail_++ & submission_mask_];
  std::memset(sqe, 0, sizeof(*sqe));
  sqe->opcode = opcode;
  sqe->fd = descriptor;
  sqe->user_data = token;
  return sqe;
}

// The queue looks full: look again, and else let the kernel take what is in it.
void UringRing::make_room() {
  submission_head_seen_ = load_acquire(submission_head_);
  while (submission_tail_ - submission_head_seen_ >= submission_entries_) {
    const int result = enter(publish_queued(), 0, 0, nullptr, 0);
    // -EAGAIN: no memory for requests at the moment; -EBUSY: completions must be taken over first.
    RC_CHECK(result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY);
    submission_head_seen_ = load_acquire(submission_head_);
    if (result >= 0) continue;
    enter(0, 0, IORING_ENTER_GETEVENTS, nullptr, 0);
    sched_yield();
  }
}

// Shows the queued submissions to the kernel; returns how many it has not taken yet.
inline unsigned UringRing::publish_queued() {
  store_release(submission_tail_shared_, submission_tail_);
  return submission_tail_ - load_relaxed(submission_head_);
}

inline int UringRing::enter(unsigned submissions, unsigned completions_min, unsigned flags,
                            const void* argument, std::size_t bytes) {
  // Declared as a signal mask; with EXT_ARG the kernel takes it for an EnterArgument.
  return io_uring_enter2(enter_descriptor_, submissions, completions_min, flags | enter_flags_,
                         static_cast<sigset_t*>(const_cast<void*>(argument)), bytes);
}

void UringRing::accept_multishot(int listener, Token token) {
  io_uring_sqe* sqe = queue(IORING_OP_ACCEPT, listener, token);
  sqe->ioprio = IORING_ACCEPT_MULTISHOT;
  // Not SOCK_NONBLOCK: operations on such sockets end with -EAGAIN instead of waiting.
  sqe->accept_flags = SOCK_CLOEXEC;
}

void UringRing::receive_multishot(int socket, Token token) {
  RC_DCHECK(buffers_.count() != 0);
  io_uring_sqe* sqe = queue(IORING_OP_RECV, socket, token);
  sqe->ioprio = IORING_RECV_MULTISHOT;
  sqe->flags = IOSQE_BUFFER_SELECT;
  sqe->buf_group = kBufferGroup;
}

// Without a first attempt in vain: what it waits for is the answer to a reply that has yet to be sent.
void UringRing::receive_once(int socket, std::uint32_t bytes_max, Token token) {
  receive_multishot(socket, token);
  io_uring_sqe& sqe = sqes_[(submission_tail_ - 1) & submission_mask_];
  sqe.ioprio = IORING_RECVSEND_POLL_FIRST;
  sqe.len = bytes_max;
}

// A read, not a message: nothing but the pieces has to stay.
void UringRing::receive_direct(int socket, std::span<const iovec> pieces, Token token) {
  io_uring_sqe* sqe = queue(IORING_OP_READV, socket, token);
  sqe->addr = reinterpret_cast<std::uint64_t>(pieces.data());
  sqe->len = static_cast<std::uint32_t>(pieces.size());
}

void UringRing::receive_datagram_multishot(int socket, const msghdr& shape, Token token) {
  RC_DCHECK(buffers_.count() != 0);
  io_uring_sqe* sqe = queue(IORING_OP_RECVMSG, socket, token);
  sqe->addr = reinterpret_cast<std::uint64_t>(&shape);
  sqe->len = 1;
  // Without MSG_TRUNC: the flag in what was received tells of a datagram that was cut.
  sqe->ioprio = IORING_RECV_MULTISHOT;
  sqe->flags = IOSQE_BUFFER_SELECT;
  sqe->buf_group = kBufferGroup;
}

void UringRing::send(int socket, std::span<const char> data, Token token) {
  io_uring_sqe* sqe = queue(IORING_OP_SEND, socket, token);
  sqe->addr = reinterpret_cast<std::uint64_t>(data.data());
  sqe->len = static_cast<std::uint32_t>(std::min(data.size(), kSendBytesMax));
  // Without MSG_WAITALL: the owner sees progress with a slow reader, and decides.
  sqe->msg_flags = MSG_NOSIGNAL;
}

// With MSG_DONTWAIT a submission is over when the enter that made it returns, and with MSG_WAITALL a send
// that was not whole counts as failed, which IOSQE_CQE_SKIP_SUCCESS does not silence (try_silent_send() in
// kernel_features.cc asks the kernel whether that is so).
void UringRing::send_silently(int socket, std::span<const char> data, Token token) {
  send(socket, data, token);
  io_uring_sqe& sqe = sqes_[(submission_tail_ - 1) & submission_mask_];
  sqe.msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL;
  sqe.flags = IOSQE_CQE_SKIP_SUCCESS;
  silent_tail_ = submission_tail_;
}

bool UringRing::silent_sends_settled() const {
  const std::uint32_t taken = load_acquire(submission_head_);
  return static_cast<std::int32_t>(taken - silent_tail_) >= 0 &&
         load_acquire(completion_tail_) == completion_head_ &&
         (load_relaxed(submission_flags_) & IORING_SQ_CQ_OVERFLOW) == 0;
}

void UringRing::send_message(int socket, const msghdr& message, Token token) {
  io_uring_sqe* sqe = queue(IORING_OP_SENDMSG, socket, token);
  sqe->addr = reinterpret_cast<std::uint64_t>(&message);
  sqe->len = 1;
  sqe->msg_flags = MSG_NOSIGNAL;
}

void UringRing::cancel(Token target, Token token) {
  io_uring_sqe* sqe = queue(IORING_OP_ASYNC_CANCEL, -1, token);
  sqe->addr = target;
}

void UringRing::timeout(std::chrono::nanoseconds delay, Token token) {
  io_uring_sqe* sqe = queue(IORING_OP_TIMEOUT, -1, token);
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(delay);
  __kernel_timespec& value = delays_[static_cast<std::size_t>(sqe - sqes_)];
  value.tv_sec = whole.count();
  value.tv_nsec = (delay - whole).count();
  sqe->addr = reinterpret_cast<std::uint64_t>(&value);
  sqe->len = 1;
}

void UringRing::poll_readable_multishot(int descriptor, Token token) {
  io_uring_sqe* sqe = queue(IORING_OP_POLL_ADD, descriptor, token);
  sqe->poll32_events = POLLIN;
  sqe->len = IORING_POLL_ADD_MULTI;
}

void UringRing::post(Ring& target, std::int32_t result, Token target_token, Token token) {
  auto& ring = static_cast<UringRing&>(target);
#ifdef RC_THREAD_SANITIZER
  __tsan_release(&ring.handoff_);
#endif
  io_uring_sqe* sqe = queue(IORING_OP_MSG_RING, ring.native_.ring_fd, token);
  sqe->addr = IORING_MSG_DATA;
  sqe->off = target_token;
  sqe->len = static_cast<std::uint32_t>(result);
}

void UringRing::arm_wake(Token token) {
  io_uring_sqe* sqe = queue(IORING_OP_READ, event_descriptor_, token);
  sqe->addr = reinterpret_cast<std::uint64_t>(&event_count_);
  sqe->len = sizeof(event_count_);
  sqe->off = UINT64_MAX;  // no file position
}

void UringRing::wake() {
  const int saved_errno = errno;
  const std::uint64_t one = 1;
  // Fails only with EAGAIN when 2^64 - 2 wakes are pending, which is a wake, too.
  [[maybe_unused]] const ssize_t written = write(event_descriptor_, &one, sizeof(one));
  errno = saved_errno;
}

// --- The turn

inline unsigned UringRing::ready() const {
  return load_acquire(completion_tail_) - completion_head_;
}

// IORING_SQ_TASKRUN: completions are there but must be fetched; IORING_SQ_CQ_OVERFLOW: some did not fit.
inline bool UringRing::must_fetch() const {
  return (load_relaxed(submission_flags_) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

int UringRing::submit_and_wait(unsigned completions_min, std::chrono::nanoseconds timeout) {
  const unsigned submissions = publish_queued();
  const bool waits = ready() < completions_min && timeout.count() > 0;
  if (submissions == 0 && !waits && !must_fetch()) return 0;

  int result = 0;
  if (!waits || timeout == kWaitForever) {
    result = enter(submissions, waits ? completions_min : 0,
                   IORING_ENTER_GETEVENTS | (waits ? wait_flags_ : 0), nullptr, 0);
  } else {
    result = enter_and_wait(submissions, completions_min, timeout, 0);
  }
  submission_head_seen_ = load_acquire(submission_head_);
  return std::min(result, 0);
}

int UringRing::enter_and_wait(unsigned submissions, unsigned completions_min, std::chrono::nanoseconds limit,
                              std::uint32_t min_wait_us) {
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(limit);
  const __kernel_timespec time{whole.count(), (limit - whole).count()};
  abi::EnterArgument argument;
  argument.signal_mask_bytes = _NSIG / 8;
  argument.min_wait_us = min_wait_us;
  argument.timespec_address = reinterpret_cast<std::uint64_t>(&time);
  return enter(submissions, completions_min, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | wait_flags_,
               &argument, sizeof(argument));
}

// Without the kernel's minimum wait it is the limit of an ordinary wait, and where nothing has come by then
// another wait, for the first.
int UringRing::submit_and_gather(unsigned enough, std::chrono::microseconds min_wait) {
  if (ready() >= enough) return submit_and_wait(0, std::chrono::nanoseconds::zero());
  const unsigned submissions = publish_queued();
  int result = kernel_gathers_ ? enter_and_wait(submissions, enough, kGatheringLimit,
                                                static_cast<std::uint32_t>(min_wait.count()))
                               : enter_and_wait(submissions, enough, min_wait, 0);
  if (!kernel_gathers_ && (result >= 0 || result == -ETIME) && ready() == 0) {
    result = enter(0, 1, IORING_ENTER_GETEVENTS | wait_flags_, nullptr, 0);
  }
  submission_head_seen_ = load_acquire(submission_head_);
  return std::min(result, 0);
}

int UringRing::submit_and_spin(std::chrono::nanoseconds limit) {
  const int result = submit_and_wait(0, std::chrono::nanoseconds::zero());
  if (result < 0) return result;
  const CycleClock& clock = cycle_clock();
  const std::uint64_t end_ns = clock.now_ns() + static_cast<std::uint64_t>(limit.count());
  while (ready() == 0) {
    if (must_fetch()) {
      const int fetched = enter(0, 0, IORING_ENTER_GETEVENTS, nullptr, 0);
      if (fetched < 0) return fetched;
    } else if (clock.now_ns() >= end_ns) {
      return 0;
    } else {
      cpu_relax();
    }
  }
  return static_cast<int>(ready());
}

unsigned UringRing::reap(std::span<Completion> out) {
  const std::uint32_t tail = load_acquire(completion_tail_);
  const unsigned count = std::min<unsigned>(tail - completion_head_, static_cast<unsigned>(out.size()));
  if (count == 0) return 0;
  for (unsigned i = 0; i < count; ++i) {
    const io_uring_cqe& cqe = cqes_[(completion_head_ + i) & completion_mask_];
    out[i] = {cqe.user_data, cqe.res, cqe.flags};
  }
  completion_head_ += count;
  store_release(completion_head_shared_, completion_head_);
#ifdef RC_THREAD_SANITIZER
  __tsan_acquire(&handoff_);
#endif
#if RC_POISONS_BUFFERS
  for (const Completion& completion : out.first(count)) {
    if (completion.has_buffer()) buffers_.on_filled(completion.buffer_id());
  }
#endif
  return count;
}

void halve(RingOptions& sizes) {
  sizes.submission_entries /= 2;
  sizes.completion_entries = std::max(sizes.completion_entries / 2, sizes.submission_entries);
}

}  // namespace

Result<std::unique_ptr<Ring>> create_uring(const RingOptions& options, const Features& features) {
  if (!features.available) return features.reason;
  if (Status status = check_sizes(options); !status) return status;
  int result = -ENOMEM;
  for (int attempt = 0; attempt < kMemoryAttempts && result == -ENOMEM; ++attempt) {
    if (attempt != 0) usleep(kMemoryPauseUs);
    for (RingOptions sizes = options; result == -ENOMEM; halve(sizes)) {
      auto ring = std::make_unique<UringRing>(features);
      result = ring->create(sizes);
      if (result == 0) return std::unique_ptr<Ring>(std::move(ring));
      if (sizes.submission_entries / 2 < kSubmissionEntriesMin) break;
    }
  }
  return explain_setup_failure(-result, read_setup_environment());
}

}  // namespace ringcached::net
