#include "bench/bench_ring.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace ringcached::bench {
namespace {

constexpr int kBufferGroup = 0;
// Buffers of 16 KiB at a stride of 16 KiB would all begin in the same few sets of the caches; three lines
// more spread their beginnings, which is all of a buffer that small requests touch.
constexpr std::size_t kStrideExtraBytes = 192;

Status errno_status(const std::string& what, int error) {
  return Status(StatusCode::kUnavailable, what + ": " + std::strerror(error));
}

}  // namespace

BenchRing::~BenchRing() {
  if (opened_) io_uring_queue_exit(&ring_);
  if (buffer_ring_ != nullptr) munmap(buffer_ring_, buffer_ring_bytes_);
}

Status BenchRing::open(const BenchRingOptions& options) {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  params.cq_entries = options.completions;
  const int result = io_uring_queue_init_params(options.entries, &ring_, &params);
  if (result < 0) return errno_status("io_uring_setup (needs Linux 6.1 and permission)", -result);
  opened_ = true;
  // Saves the descriptor look-up of each enter; works without it.
  (void)io_uring_register_ring_fd(&ring_);
  return options.buffers == 0 ? Status::ok() : open_buffers(options);
}

Status BenchRing::open_buffers(const BenchRingOptions& options) {
  buffers_ = options.buffers;
  buffer_bytes_ = options.buffer_bytes;
  buffer_stride_ = options.buffer_bytes + kStrideExtraBytes;
  buffer_ring_bytes_ = options.buffers * sizeof(io_uring_buf);
  void* memory =
      mmap(nullptr, buffer_ring_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return errno_status("mmap of the buffer ring", errno);
  buffer_ring_ = static_cast<io_uring_buf_ring*>(memory);
  io_uring_buf_ring_init(buffer_ring_);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(buffer_ring_);
  registration.ring_entries = options.buffers;
  registration.bgid = kBufferGroup;
  const int result = io_uring_register_buf_ring(&ring_, &registration, 0);
  if (result < 0) return errno_status("io_uring_register_buf_ring", -result);
  memory_ = std::make_unique<char[]>(buffer_stride_ * buffers_);
  for (unsigned i = 0; i < buffers_; ++i) give(static_cast<std::uint16_t>(i), static_cast<int>(i));
  io_uring_buf_ring_advance(buffer_ring_, static_cast<int>(buffers_));
  return Status::ok();
}

void BenchRing::give(std::uint16_t buffer, int offset) {
  io_uring_buf_ring_add(buffer_ring_, memory_.get() + buffer * buffer_stride_, buffer_bytes_, buffer,
                        io_uring_buf_ring_mask(buffers_), offset);
}

io_uring_sqe* BenchRing::next_sqe(Operation operation, std::uint32_t id) {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  while (sqe == nullptr) {
    io_uring_submit(&ring_);
    sqe = io_uring_get_sqe(&ring_);
  }
  std::memset(sqe, 0, sizeof(*sqe));
  sqe->user_data = (std::uint64_t{static_cast<std::uint32_t>(operation)} << 32) | id;
  return sqe;
}

void BenchRing::accept_multishot(int listener, std::uint32_t id) {
  io_uring_sqe* sqe = next_sqe(Operation::kAccept, id);
  sqe->opcode = IORING_OP_ACCEPT;
  sqe->fd = listener;
  sqe->ioprio = IORING_ACCEPT_MULTISHOT;
}

void BenchRing::receive_multishot(int socket, std::uint32_t id) {
  io_uring_sqe* sqe = next_sqe(Operation::kReceive, id);
  sqe->opcode = IORING_OP_RECV;
  sqe->fd = socket;
  sqe->ioprio = IORING_RECV_MULTISHOT;
  sqe->flags = IOSQE_BUFFER_SELECT;
  sqe->buf_group = kBufferGroup;
}

void BenchRing::send(int socket, std::string_view data, std::uint32_t id) {
  io_uring_sqe* sqe = next_sqe(Operation::kSend, id);
  sqe->opcode = IORING_OP_SEND;
  sqe->fd = socket;
  sqe->addr = reinterpret_cast<std::uintptr_t>(data.data());
  sqe->len = static_cast<std::uint32_t>(data.size());
  sqe->msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL;
  sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
}

void BenchRing::send_rest(int socket, std::string_view data, std::uint32_t id) {
  send(socket, data, id);
  io_uring_sqe* sqe = &ring_.sq.sqes[(ring_.sq.sqe_tail - 1) & *ring_.sq.kring_mask];
  sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
  sqe->flags = 0;
}

void BenchRing::timer(std::uint64_t period_ns) {
  timer_period_ = {static_cast<std::int64_t>(period_ns / 1000000000),
                   static_cast<long long>(period_ns % 1000000000)};
  io_uring_sqe* sqe = next_sqe(Operation::kTimer, 0);
  sqe->opcode = IORING_OP_TIMEOUT;
  sqe->fd = -1;
  sqe->addr = reinterpret_cast<std::uintptr_t>(&timer_period_);
  sqe->len = 1;
}

void BenchRing::submit_and_wait(unsigned completions_min, std::int64_t timeout_ns) {
  if (returned_ > 0) {
    io_uring_buf_ring_advance(buffer_ring_, returned_);
    returned_ = 0;
  }
  if (completions_min == 0) {
    io_uring_submit_and_get_events(&ring_);
    return;
  }
  if (timeout_ns < 0) {
    io_uring_submit_and_wait(&ring_, completions_min);
    return;
  }
  __kernel_timespec timeout{timeout_ns / 1000000000, timeout_ns % 1000000000};
  io_uring_cqe* cqe = nullptr;
  io_uring_submit_and_wait_timeout(&ring_, &cqe, completions_min, &timeout, nullptr);
}

std::string_view BenchRing::received(const io_uring_cqe& cqe) const {
  const std::size_t buffer = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
  return {memory_.get() + buffer * buffer_stride_, static_cast<std::size_t>(cqe.res)};
}

void BenchRing::return_buffer(const io_uring_cqe& cqe) {
  give(static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT), returned_++);
}

}  // namespace ringcached::bench
