// One io_uring for one thread, as the null server and the load generator need it. Independent of src/net on
// purpose: the yardstick must not share the code it measures.
//
// Contract: every send is queued with MSG_DONTWAIT | MSG_WAITALL and IOSQE_CQE_SKIP_SUCCESS, so a send that
// fits the socket buffer is finished when submit_and_wait() returns and produces no completion; only a short
// or failed one does (result: bytes sent or a negated errno). A quiet turn therefore costs one system call.
#pragma once

#include <liburing.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "ringcached/status.h"

namespace ringcached::bench {

struct BenchRingOptions {
  unsigned entries = 1024;
  unsigned completions = 16384;
  unsigned buffers = 512;         // power of two
  unsigned buffer_bytes = 16384;  // each
};

// What a completion belongs to: packed into user_data.
enum class Operation : std::uint32_t { kAccept = 1, kReceive = 2, kSend = 3, kTimer = 4 };

class BenchRing {
 public:
  BenchRing() = default;
  ~BenchRing();
  BenchRing(const BenchRing&) = delete;
  BenchRing& operator=(const BenchRing&) = delete;

  Status open(const BenchRingOptions& options);

  // `id` comes back with the completion, see id_of(). 32 bits.
  void accept_multishot(int listener, std::uint32_t id);
  void receive_multishot(int socket, std::uint32_t id);
  // `data` must stay until the next submit_and_wait() has returned; after a short send call send_rest().
  void send(int socket, std::string_view data, std::uint32_t id);
  // Waits for room in the socket buffer and always completes. `data` must stay until then.
  void send_rest(int socket, std::string_view data, std::uint32_t id);

  // Completes once after `period_ns`.
  void timer(std::uint64_t period_ns);

  // Waits for `completions_min` completions, at most `timeout_ns` (negative: no limit).
  void submit_and_wait(unsigned completions_min, std::int64_t timeout_ns = -1);

  // Calls on_completion(const io_uring_cqe&) for every completion there is; returns how many.
  template <class F>
  unsigned reap(F&& on_completion) {
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      on_completion(*cqe);
      ++count;
    }
    io_uring_cq_advance(&ring_, count);
    return count;
  }

  // The bytes a receive completion (result > 0) brought. Valid until return_buffer().
  std::string_view received(const io_uring_cqe& cqe) const;
  void return_buffer(const io_uring_cqe& cqe);

  static Operation operation_of(const io_uring_cqe& cqe) {
    return static_cast<Operation>(cqe.user_data >> 32);
  }
  static std::uint32_t id_of(const io_uring_cqe& cqe) { return static_cast<std::uint32_t>(cqe.user_data); }

 private:
  io_uring_sqe* next_sqe(Operation operation, std::uint32_t id);
  Status open_buffers(const BenchRingOptions& options);
  void give(std::uint16_t buffer, int offset);

  io_uring ring_{};
  bool opened_ = false;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  std::size_t buffer_ring_bytes_ = 0;
  unsigned buffers_ = 0;
  unsigned buffer_bytes_ = 0;
  std::size_t buffer_stride_ = 0;
  __kernel_timespec timer_period_{};  // read by the kernel when the timer is submitted
  int returned_ = 0;                  // given back since the last enter
  std::unique_ptr<char[]> memory_;
};

}  // namespace ringcached::bench
