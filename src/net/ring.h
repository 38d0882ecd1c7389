// The seam to the kernel: everything the engine asks of it passes here.
//
// Implementations: io_uring (ring_uring.cc), epoll (ring_epoll.cc), a simulated ring for tests
// (tests/support/sim_ring.h). The implementation is chosen at start. Calls are coarse (one per operation
// queued, one per batch reaped, one per turn), so that an indirect call does not show.
//
// Threads: a Ring belongs to the thread that called enable(). From outside only wake() may be called, and the
// ring may be named as the target of another ring's post().
//
// Completions: every operation but a silent send yields exactly one completion without kMore, in any order; a
// multishot operation yields any number with kMore before it. Missing kMore is the only sign that a multishot
// operation has ended, whatever `result` is. Memory given to an operation belongs to it until that completion
// was reaped.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include "ringcached/status.h"

namespace ringcached::net {

// Opaque to the ring; net/token.h packs operation, slot and generation into it.
using Token = std::uint64_t;

struct Completion {
  Token token = 0;
  std::int32_t result = 0;  // >= 0, or a negated errno
  std::uint32_t flags = 0;

  static constexpr std::uint32_t kHasBuffer = 1U << 0;  // same bit as IORING_CQE_F_BUFFER
  static constexpr std::uint32_t kMore = 1U << 1;       // same bit as IORING_CQE_F_MORE
  static constexpr unsigned kBufferShift = 16;

  bool more() const { return (flags & kMore) != 0; }
  bool has_buffer() const { return (flags & kHasBuffer) != 0; }
  std::uint16_t buffer_id() const { return static_cast<std::uint16_t>(flags >> kBufferShift); }
};

struct RingOptions {
  unsigned submission_entries = 1024;
  unsigned completion_entries = 8192;
  unsigned receive_buffers = 0;           // power of two; 0 for a ring that never receives
  unsigned receive_buffer_bytes = 16384;  // each
};

class Ring {
 public:
  virtual ~Ring() = default;

  // Called once by the thread that will own the ring, before any operation is queued.
  virtual Status enable() = 0;

  // Before the first operation on a descriptor: the memory for `operations` at a time, queued, under way or
  // not reaped yet. 0, or -ENOMEM, and then the descriptor can only be closed; after a 0 operations on it
  // need no memory any more. close_socket() takes it back. -1: for operations on no descriptor, for good.
  virtual int prepare(int /*descriptor*/, unsigned /*operations*/) { return 0; }

  // --- Operations. Each queues one submission; when the queue is full it is flushed to the kernel first, so
  // --- these calls do not fail. Errors arrive as completions.

  // The listener must be a blocking one. result: the accepted descriptor, blocking and close-on-exec.
  virtual void accept_multishot(int listener, Token token) = 0;
  // result: bytes in a lent buffer; 0 at the end of the stream; -ENOBUFS when no buffer is left, at once if
  // there is none when it is queued.
  virtual void receive_multishot(int socket, Token token) = 0;
  // As receive_multishot, but one completion is all: at most `bytes_max` (> 0) bytes of a lent buffer.
  virtual void receive_once(int socket, std::uint32_t bytes_max, Token token) = 0;
  // Into the caller's memory, one completion: as many bytes as there are, at least one; 0 at the end of the
  // stream. `pieces` (one or more, none of them empty) and what they name belong to the operation.
  virtual void receive_direct(int socket, std::span<const iovec> pieces, Token token) = 0;
  // For a datagram socket; net/datagram.h reads what it puts into a lent buffer. `shape` says how much room
  // the sender's address and control data get and belongs to the operation; so does nothing it refers to,
  // which is not looked at. result: bytes of the buffer in use; otherwise as receive_multishot, but for the
  // end of the stream, which there is none of. A datagram without payload may end the operation (no kMore).
  virtual void receive_datagram_multishot(int socket, const msghdr& shape, Token token) = 0;
  // One send per stream socket at a time. `data` may be sent short; the caller sends the rest.
  virtual void send(int socket, std::span<const char> data, Token token) = 0;
  // As send(), but it does not wait for room, and when all of `data` was taken at once there is no
  // completion: only a send that was not whole has one (bytes taken, or a negated errno; -EAGAIN when there
  // was no room). `data` belongs to the operation until then, or until silent_sends_settled().
  virtual void send_silently(int socket, std::span<const char> data, Token token) = 0;
  // Asked after reap() has returned less than it was given room for: every silent send queued before the last
  // submit_and_wait() was taken whole or has completed. False is rare; ask again after the next turn.
  virtual bool silent_sends_settled() const = 0;
  // `message` and everything it refers to belong to the operation. On a datagram socket it is one datagram,
  // sent whole or not at all, and any number may be under way; their order is not kept.
  virtual void send_message(int socket, const msghdr& message, Token token) = 0;
  // Cancels the operation queued with `target`. Completes with 0, -ENOENT or -EALREADY, before or after the
  // target's own final completion.
  virtual void cancel(Token target, Token token) = 0;
  // Completes with -ETIME after `delay`, or -ECANCELED.
  virtual void timeout(std::chrono::nanoseconds delay, Token token) = 0;
  // Watches a descriptor (signalfd) for readability: one completion with kMore per readiness.
  virtual void poll_readable_multishot(int descriptor, Token token) = 0;
  // MSG_RING: delivers Completion{target_token, result} into `target` (a ring of the same implementation,
  // enabled), then completes here with 0 or a negated errno (-EOVERFLOW, -EBADFD when the target is not
  // enabled or gone).
  virtual void post(Ring& target, std::int32_t result, Token target_token, Token token) = 0;

  // --- Wake-up by eventfd, the other hand-off path. arm_wake() makes the next wake() complete `token` here.

  // One completion (result > 0) per arming; wakes in between are one.
  virtual void arm_wake(Token token) = 0;
  // Any thread; async-signal-safe.
  virtual void wake() = 0;

  // --- Receive buffers lent by receive_multishot.
  virtual std::span<char> buffer(std::uint16_t id) = 0;
  // Gives buffers back to the kernel. Ids must be lent and unread no more.
  virtual void return_buffers(std::span<const std::uint16_t> ids) = 0;

  // --- The turn.
  // Submits what is queued and waits until at least `completions_min` completions can be reaped or `timeout`
  // is over (zero: do not wait; max(): no limit). Returns 0, or a negated errno the caller treats as "go on"
  // (-EINTR, -EAGAIN, -EBUSY, -ETIME); anything else is a bug in the caller or a dead ring. 0 promises no
  // completion: a wait that ended early after submitting something is a 0, too. What has arrived by the time
  // of a call is there to be reaped after it or, at the latest, after the next one. With io_uring at most one
  // system call, none when there is nothing to submit, to wait for or to fetch.
  virtual int submit_and_wait(unsigned completions_min, std::chrono::nanoseconds timeout) = 0;
  // As submit_and_wait(1, kWaitForever), but what comes within `min_wait` is gathered: it returns early only
  // when `enough` (> 1) completions can be reaped, else after min_wait with what is there, or later with the
  // first. A timeout operation that completes may end it. The epoll ring never returns before min_wait unless
  // there was enough to begin with.
  virtual int submit_and_gather(unsigned enough, std::chrono::microseconds min_wait) = 0;
  // As submit_and_wait(1, limit), but the thread looks for completions without sleeping, and stops at the
  // first. Returns how many can be reaped, or a negated errno as above.
  virtual int submit_and_spin(std::chrono::nanoseconds limit) = 0;
  // Copies up to out.size() completions out, oldest first; returns how many.
  virtual unsigned reap(std::span<Completion> out) = 0;

  // --- Descriptor calls that complete at once (plain system calls behind the same seam).
  virtual int close_socket(int socket) = 0;  // 0 or a negated errno
  virtual int shutdown_socket(int socket, int how) = 0;
  // TCP_NODELAY and SO_KEEPALIVE if `tcp`. -EBADF or -ENOTSOCK, for either kind, tell that an accept has
  // reported a descriptor that is none.
  virtual int configure_accepted(int socket, bool tcp) = 0;
  virtual int peer_address(int socket, sockaddr_storage& address, socklen_t& length) = 0;
  // What a receive would find now, left where it is: bytes (> 0), the end of the stream (0), -EAGAIN for
  // neither, or the error, which may be reported this once only and be an end of stream from then on.
  virtual int peek(int socket) = 0;
  // Writes a short farewell (the refusal line) without waiting: bytes written or a negated errno.
  virtual int send_now(int socket, std::span<const char> data) = 0;
};

inline constexpr std::chrono::nanoseconds kWaitForever = std::chrono::nanoseconds::max();

}  // namespace ringcached::net
