// One io_uring for one thread, as the null server and the load generator need it. Independent of src/net on
// purpose: the yardstick must not share the code it measures.
//
// Contract: every send() is queued with MSG_DONTWAIT | MSG_WAITALL and IOSQE_CQE_SKIP_SUCCESS, so a send that
// fits the socket buffer is finished when submit_and_wait() returns and produces no completion; only a short
// or failed one does (result: bytes sent or a negated errno). A quiet turn therefore costs one system call.
//
// RingTechniques are what docs/techniques.md judges; the defaults are the fastest ring known.
#pragma once

#include <liburing.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "bench/newer_abi.h"
#include "ringcached/status.h"

namespace ringcached::bench {

struct RingTechniques {
  bool registered_ring = true;       // enter by registered descriptor
  unsigned direct_descriptors = 0;   // sockets are numbers of a table of this size, not descriptors
  bool installs = false;             // with them: accept ordinary descriptors, install() them in the table
  bool bundles = false;              // a receive may fill several buffers; not with incremental_buffers
  bool incremental_buffers = false;  // a buffer may take several receives
  bool huge_buffers = false;         // receive buffers in huge pages
  bool loud_sends = false;           // every send completes, and the wait counts it
  unsigned min_wait_us = 0;          // collect completions for so long (min_wait_completions end it)
  unsigned min_wait_completions = 32;
  unsigned spin_us = 0;  // look for completions for so long before sleeping
  unsigned napi_us = 0;  // busy poll of the network interface
};

struct BenchRingOptions {
  unsigned entries = 1024;
  unsigned completions = 16384;
  unsigned buffers = 512;         // power of two
  unsigned buffer_bytes = 16384;  // each
  RingTechniques techniques;
};

// What a completion belongs to: packed into user_data.
enum class Operation : std::uint32_t {
  kAccept = 1,
  kReceive,
  kSend,
  kTimer,
  kPosted,  // a descriptor from another ring; the result is its number here
  kOther    // only failures complete
};

class BenchRing {
 public:
  BenchRing() = default;
  ~BenchRing();
  BenchRing(const BenchRing&) = delete;
  BenchRing& operator=(const BenchRing&) = delete;

  // By the thread that will use it.
  Status open(const BenchRingOptions& options);

  // `id` comes back with the completion, see id_of(). 32 bits. With direct descriptors `socket` is, and
  // accepting yields, a number of the table.
  void accept_multishot(int listener, std::uint32_t id);
  void receive_multishot(int socket, std::uint32_t id);
  // `data` must stay until the next submit_and_wait() has returned; after a short send call send_rest().
  void send(int socket, std::string_view data, std::uint32_t id);
  // Waits for room in the socket buffer and always completes. `data` must stay until then.
  void send_rest(int socket, std::string_view data, std::uint32_t id);
  // Like send(), of pieces. `message` must stay as long.
  void send_message(int socket, const msghdr& message, std::uint32_t id);
  // Like send(), but always completes, and `data` must stay until the notification (IORING_CQE_F_NOTIF).
  void send_zero_copy(int socket, std::string_view data, std::uint32_t id);
  void shut_down(int socket);
  void close_socket(int socket);

  // Completes once after `period_ns`.
  void timer(std::uint64_t period_ns);

  // An ordinary descriptor into the table of this ring; the descriptor is closed. -1 if it is full.
  int install(int descriptor);
  // `socket` of this ring's table into that of another ring, where Operation::kPosted completes.
  void post(int socket, int ring_descriptor);
  int descriptor() const { return ring_.ring_fd; }

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

  // Calls take(std::string_view) with the bytes a receive completion (result > 0) brought, buffer by buffer,
  // and gives back what is used up.
  template <class F>
  void take_received(const io_uring_cqe& cqe, F&& take) {
    std::uint32_t position = positions_[cqe.flags >> IORING_CQE_BUFFER_SHIFT];
    const bool stays = (cqe.flags & abi::kCompletionBufferMore) != 0;
    for (auto left = static_cast<std::size_t>(cqe.res); left != 0; ++position) {
      const std::uint16_t buffer = order_[position & (order_.size() - 1)];
      const std::size_t bytes = std::min(left, buffer_bytes_ - used_[buffer]);
      take(std::string_view(memory_ + buffer * buffer_stride_ + used_[buffer], bytes));
      left -= bytes;
      used_[buffer] = stays ? used_[buffer] + static_cast<std::uint32_t>(bytes) : 0;
      if (!stays) give(buffer, returned_++);
    }
  }

  static Operation operation_of(const io_uring_cqe& cqe) {
    return static_cast<Operation>(cqe.user_data >> 32);
  }
  static std::uint32_t id_of(const io_uring_cqe& cqe) { return static_cast<std::uint32_t>(cqe.user_data); }

 private:
  io_uring_sqe* next_sqe(Operation operation, std::uint32_t id);
  io_uring_sqe* next_socket_sqe(Operation operation, std::uint32_t id, int socket);
  void finish_early(io_uring_sqe& sqe);
  void close_number(int socket);
  Status open_techniques();
  Status open_buffers(const BenchRingOptions& options);
  Status map_buffers();
  void give(std::uint16_t buffer, int offset);
  void wait_collecting(unsigned completions_min);
  bool spin();

  io_uring ring_{};
  bool opened_ = false;
  RingTechniques techniques_;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  std::size_t buffer_ring_bytes_ = 0;
  std::size_t buffer_bytes_ = 0;
  std::size_t buffer_stride_ = 0;
  char* memory_ = nullptr;
  std::size_t memory_bytes_ = 0;
  std::vector<std::uint16_t> order_;      // buffers as given to the kernel, a ring
  std::vector<std::uint32_t> positions_;  // of each buffer in order_
  std::vector<std::uint32_t> used_;       // bytes of each that were taken by earlier receives
  std::uint32_t given_ = 0;
  int returned_ = 0;                  // given back since the last enter
  unsigned loud_ = 0;                 // sends queued since the last enter that complete at once
  __kernel_timespec timer_period_{};  // read by the kernel when the timer is submitted
  std::vector<int> free_numbers_;     // of the table, if it is filled by install()
};

}  // namespace ringcached::bench
