#include "bench/bench_ring.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>

namespace ringcached::bench {
namespace {

constexpr int kBufferGroup = 0;
// Buffers of 16 KiB at a stride of 16 KiB would all begin in the same few sets of the caches; three lines
// more spread their beginnings, which is all of a buffer that small requests touch.
constexpr std::size_t kStrideExtraBytes = 192;
constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

Status errno_status(const std::string& what, int error) {
  return Status(StatusCode::kUnavailable, what + ": " + std::strerror(error));
}

}  // namespace

BenchRing::~BenchRing() {
  if (opened_) io_uring_queue_exit(&ring_);
  if (buffer_ring_ != nullptr) munmap(buffer_ring_, buffer_ring_bytes_);
  if (memory_ != nullptr) munmap(memory_, memory_bytes_);
}

Status BenchRing::open(const BenchRingOptions& options) {
  techniques_ = options.techniques;
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_TASKRUN_FLAG;
  params.cq_entries = options.completions;
  const int result = io_uring_queue_init_params(options.entries, &ring_, &params);
  if (result < 0) return errno_status("io_uring_setup (needs Linux 6.1 and permission)", -result);
  opened_ = true;
  const Status status = open_techniques();
  return !status || options.buffers == 0 ? status : open_buffers(options);
}

Status BenchRing::open_techniques() {
  if (techniques_.bundles && (ring_.features & abi::kFeatureReceiveSendBundle) == 0)
    return Status(StatusCode::kUnavailable, "no bundles (needs Linux 6.10)");
  // Saves the descriptor look-up of each enter; works without it.
  if (techniques_.registered_ring) techniques_.registered_ring = io_uring_register_ring_fd(&ring_) == 1;
  if (techniques_.direct_descriptors != 0) {
    const int result = io_uring_register_files_sparse(&ring_, techniques_.direct_descriptors);
    if (result < 0) return errno_status("table of direct descriptors", -result);
    for (unsigned i = techniques_.direct_descriptors; i-- != 0;) free_numbers_.push_back(static_cast<int>(i));
  }
  if (techniques_.napi_us != 0) {
    abi::Napi napi;
    napi.busy_poll_us = techniques_.napi_us;
    napi.prefer_busy_poll = 1;
    const int result = io_uring_register(static_cast<unsigned>(ring_.ring_fd), abi::kRegisterNapi, &napi, 1);
    if (result < 0) return errno_status("busy polling (needs Linux 6.9)", -result);
  }
  return Status::ok();
}

Status BenchRing::open_buffers(const BenchRingOptions& options) {
  order_.resize(options.buffers);
  positions_.resize(options.buffers);
  used_.resize(options.buffers);
  buffer_bytes_ = options.buffer_bytes;
  buffer_stride_ = options.buffer_bytes + kStrideExtraBytes;
  buffer_ring_bytes_ = options.buffers * sizeof(io_uring_buf);
  void* memory =
      mmap(nullptr, buffer_ring_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return errno_status("mmap of the buffer ring", errno);
  buffer_ring_ = static_cast<io_uring_buf_ring*>(memory);
  io_uring_buf_ring_init(buffer_ring_);
  abi::BufferRegistration registration;
  registration.ring_address = reinterpret_cast<std::uintptr_t>(buffer_ring_);
  registration.ring_entries = options.buffers;
  registration.group = kBufferGroup;
  if (techniques_.incremental_buffers) registration.flags = abi::kBufferRingIncremental;
  const int result =
      io_uring_register(static_cast<unsigned>(ring_.ring_fd), IORING_REGISTER_PBUF_RING, &registration, 1);
  if (result < 0)
    return errno_status(techniques_.incremental_buffers ? "incremental buffers (needs Linux 6.12)"
                                                        : "registration of the buffer ring",
                        -result);
  if (Status status = map_buffers(); !status) return status;
  for (unsigned i = 0; i < options.buffers; ++i) give(static_cast<std::uint16_t>(i), static_cast<int>(i));
  io_uring_buf_ring_advance(buffer_ring_, static_cast<int>(options.buffers));
  return Status::ok();
}

Status BenchRing::map_buffers() {
  memory_bytes_ = (buffer_stride_ * order_.size() + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  // What lies before the first huge page of the mapping stays untouched.
  if (techniques_.huge_buffers) memory_bytes_ += kHugePageBytes;
  void* memory = mmap(nullptr, memory_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return errno_status("mmap of the buffers", errno);
  memory_ = static_cast<char*>(memory);
  if (techniques_.huge_buffers && madvise(memory, memory_bytes_, MADV_HUGEPAGE) != 0)
    return errno_status("huge pages for the buffers", errno);
  return Status::ok();
}

void BenchRing::give(std::uint16_t buffer, int offset) {
  order_[given_ & (order_.size() - 1)] = buffer;
  positions_[buffer] = given_++;
  io_uring_buf_ring_add(buffer_ring_, memory_ + buffer * buffer_stride_, static_cast<unsigned>(buffer_bytes_),
                        buffer, static_cast<int>(order_.size() - 1), offset);
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

io_uring_sqe* BenchRing::next_socket_sqe(Operation operation, std::uint32_t id, int socket) {
  io_uring_sqe* sqe = next_sqe(operation, id);
  sqe->fd = socket;
  if (techniques_.direct_descriptors != 0) sqe->flags = IOSQE_FIXED_FILE;
  return sqe;
}

void BenchRing::accept_multishot(int listener, std::uint32_t id) {
  io_uring_sqe* sqe = next_sqe(Operation::kAccept, id);
  sqe->opcode = IORING_OP_ACCEPT;
  sqe->fd = listener;
  sqe->ioprio = IORING_ACCEPT_MULTISHOT;
  if (techniques_.direct_descriptors != 0 && !techniques_.installs) sqe->file_index = IORING_FILE_INDEX_ALLOC;
}

void BenchRing::receive_multishot(int socket, std::uint32_t id) {
  io_uring_sqe* sqe = next_socket_sqe(Operation::kReceive, id, socket);
  sqe->opcode = IORING_OP_RECV;
  sqe->ioprio =
      static_cast<std::uint16_t>(IORING_RECV_MULTISHOT | (techniques_.bundles ? abi::kReceiveSendBundle : 0));
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = kBufferGroup;
}

// With MSG_DONTWAIT a submission is over when the enter that made it returns; with MSG_WAITALL a send that
// was not whole counts as failed, which is not silenced.
void BenchRing::finish_early(io_uring_sqe& sqe) {
  sqe.msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL;
  if (techniques_.loud_sends) {
    ++loud_;
  } else {
    sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
  }
}

void BenchRing::send(int socket, std::string_view data, std::uint32_t id) {
  io_uring_sqe* sqe = next_socket_sqe(Operation::kSend, id, socket);
  sqe->opcode = IORING_OP_SEND;
  sqe->addr = reinterpret_cast<std::uintptr_t>(data.data());
  sqe->len = static_cast<std::uint32_t>(data.size());
  finish_early(*sqe);
}

void BenchRing::send_rest(int socket, std::string_view data, std::uint32_t id) {
  io_uring_sqe* sqe = next_socket_sqe(Operation::kSend, id, socket);
  sqe->opcode = IORING_OP_SEND;
  sqe->addr = reinterpret_cast<std::uintptr_t>(data.data());
  sqe->len = static_cast<std::uint32_t>(data.size());
  sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
}

void BenchRing::send_message(int socket, const msghdr& message, std::uint32_t id) {
  io_uring_sqe* sqe = next_socket_sqe(Operation::kSend, id, socket);
  sqe->opcode = IORING_OP_SENDMSG;
  sqe->addr = reinterpret_cast<std::uintptr_t>(&message);
  sqe->len = 1;
  finish_early(*sqe);
}

void BenchRing::send_zero_copy(int socket, std::string_view data, std::uint32_t id) {
  io_uring_sqe* sqe = next_socket_sqe(Operation::kSend, id, socket);
  sqe->opcode = IORING_OP_SEND_ZC;
  sqe->addr = reinterpret_cast<std::uintptr_t>(data.data());
  sqe->len = static_cast<std::uint32_t>(data.size());
  sqe->ioprio = abi::kZeroCopyReportUsage;
  sqe->msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL;
  ++loud_;
}

void BenchRing::shut_down(int socket) {
  if (techniques_.direct_descriptors == 0) {
    shutdown(socket, SHUT_RDWR);
    return;
  }
  io_uring_sqe* sqe = next_socket_sqe(Operation::kOther, 0, socket);
  sqe->opcode = IORING_OP_SHUTDOWN;
  sqe->len = SHUT_RDWR;
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

void BenchRing::close_socket(int socket) {
  if (techniques_.direct_descriptors == 0) {
    close(socket);
  } else if (techniques_.installs) {
    const int none = -1;
    io_uring_register_files_update(&ring_, static_cast<unsigned>(socket), &none, 1);
    free_numbers_.push_back(socket);
  } else {
    close_number(socket);
  }
}

void BenchRing::close_number(int socket) {
  io_uring_sqe* sqe = next_sqe(Operation::kOther, 0);
  sqe->opcode = IORING_OP_CLOSE;
  sqe->file_index = static_cast<std::uint32_t>(socket) + 1;
  sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
}

int BenchRing::install(int descriptor) {
  int number = -1;
  if (!free_numbers_.empty() &&
      io_uring_register_files_update(&ring_, static_cast<unsigned>(free_numbers_.back()), &descriptor, 1) ==
          1) {
    number = free_numbers_.back();
    free_numbers_.pop_back();
  }
  close(descriptor);
  return number;
}

void BenchRing::post(int socket, int ring_descriptor) {
  io_uring_sqe* sqe = next_sqe(Operation::kOther, 0);
  sqe->opcode = IORING_OP_MSG_RING;
  sqe->fd = ring_descriptor;
  sqe->addr = IORING_MSG_SEND_FD;
  sqe->off = std::uint64_t{static_cast<std::uint32_t>(Operation::kPosted)} << 32;
  sqe->addr3 = static_cast<std::uint64_t>(socket);
  sqe->file_index = IORING_FILE_INDEX_ALLOC;
  sqe->flags = IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_HARDLINK;  // closed here even if the other table is full
  close_number(socket);
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
  if (completions_min != 0) completions_min += loud_;
  loud_ = 0;
  if (completions_min == 0) {
    io_uring_submit_and_get_events(&ring_);
    return;
  }
  if (timeout_ns < 0) {
    if (techniques_.spin_us != 0 && spin()) return;
    if (techniques_.min_wait_us != 0) return wait_collecting(completions_min);
    io_uring_submit_and_wait(&ring_, completions_min);
    return;
  }
  __kernel_timespec timeout{timeout_ns / 1000000000, timeout_ns % 1000000000};
  io_uring_cqe* cqe = nullptr;
  io_uring_submit_and_wait_timeout(&ring_, &cqe, completions_min, &timeout, nullptr);
}

// Until there is a completion or the time is over; true in the first case.
bool BenchRing::spin() {
  using Clock = std::chrono::steady_clock;
  io_uring_submit_and_get_events(&ring_);
  const Clock::time_point end = Clock::now() + std::chrono::microseconds(techniques_.spin_us);
  while (io_uring_cq_ready(&ring_) == 0) {
    if ((__atomic_load_n(ring_.sq.kflags, __ATOMIC_ACQUIRE) & IORING_SQ_TASKRUN) != 0) {
      io_uring_get_events(&ring_);
    } else if (Clock::now() >= end) {
      return false;
    } else {
      __builtin_ia32_pause();
    }
  }
  return true;
}

// min_wait_completions of them, or after the minimum wait as many as there are, at least one. liburing 2.3
// cannot say so: the enter is made by hand, of what the library has queued.
void BenchRing::wait_collecting(unsigned completions_min) {
  const unsigned submissions = io_uring_sq_ready(&ring_);
  for (unsigned& head = ring_.sq.sqe_head; head != ring_.sq.sqe_tail; ++head) {
    const unsigned slot = head & *ring_.sq.kring_mask;
    if (ring_.sq.array != nullptr) ring_.sq.array[slot] = slot;
  }
  __atomic_store_n(ring_.sq.ktail, ring_.sq.sqe_tail, __ATOMIC_RELEASE);
  const __kernel_timespec hour{3600, 0};  // the minimum wait asks for a limit
  abi::EnterArgument argument;
  argument.signal_mask_bytes = _NSIG / 8;
  argument.min_wait_us = techniques_.min_wait_us;
  argument.timespec_address = reinterpret_cast<std::uintptr_t>(&hour);
  io_uring_enter2(static_cast<unsigned>(ring_.enter_ring_fd), submissions,
                  std::max(completions_min, techniques_.min_wait_completions),
                  IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG |
                      (techniques_.registered_ring ? IORING_ENTER_REGISTERED_RING : 0),
                  reinterpret_cast<sigset_t*>(&argument), sizeof(argument));
}

}  // namespace ringcached::bench
