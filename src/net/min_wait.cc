#include "net/min_wait.h"

#include <liburing.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "net/ring_abi.h"

namespace ringcached::net {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr unsigned kWanted = 8;
constexpr std::uint32_t kMinWaitUs = 2'000;
constexpr long kDuringNs = 1'000'000;
constexpr long kLaterNs = 20'000'000;
constexpr long long kLimitNs = 100'000'000;
constexpr double kLateMs = 60;  // between when it should wake and the limit

struct Ring {
  ~Ring() {
    if (result == 0) io_uring_queue_exit(&native);
  }
  io_uring native{};
  int result = -1;
};

// How long the ring waits for kWanted completions when it gets only one.
double wait_ms(io_uring& ring) {
  io_uring_submit(&ring);
  const __kernel_timespec limit{0, kLimitNs};
  abi::EnterArgument argument;
  argument.signal_mask_bytes = _NSIG / 8;
  argument.min_wait_us = kMinWaitUs;
  argument.timespec_address = reinterpret_cast<std::uintptr_t>(&limit);
  const Clock::time_point begin = Clock::now();
  io_uring_enter2(static_cast<unsigned>(ring.ring_fd), 0, kWanted,
                  IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, reinterpret_cast<sigset_t*>(&argument),
                  sizeof(argument));
  const double waited = Milliseconds(Clock::now() - begin).count();
  io_uring_cq_advance(&ring, io_uring_cq_ready(&ring));
  return waited;
}

// By a timer descriptor: a timeout of the ring ends every wait, whatever was asked for. Negative: no such
// descriptor.
double wait_for_timer_ms(io_uring& ring, long delay_ns) {
  const int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  if (timer < 0) return -1;
  io_uring_prep_poll_add(io_uring_get_sqe(&ring), timer, POLLIN);
  const itimerspec once{{0, 0}, {0, delay_ns}};
  timerfd_settime(timer, 0, &once, nullptr);
  const double waited = wait_ms(ring);
  close(timer);
  return waited;
}

}  // namespace

bool MinWaitFindings::right() const {
  return at_hand_ms < kLateMs && during_ms < kLateMs && later_ms < kLateMs;
}

std::string MinWaitFindings::text() const {
  char text[160];
  std::snprintf(
      text, sizeof(text),
      "minimum wait of 2 ms: %.1f ms with a completion at hand, %.1f ms with one after 1 ms, %.1f ms "
      "with one after 20 ms: %s",
      at_hand_ms, during_ms, later_ms, right() ? "right" : "WRONG");
  return text;
}

Result<MinWaitFindings> try_min_wait() {
  Ring ring;
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  ring.result = io_uring_queue_init_params(16, &ring.native, &params);
  if (ring.result < 0) return Status(StatusCode::kUnavailable, std::strerror(-ring.result));
  if ((params.features & abi::kFeatureMinTimeout) == 0)
    return Status(StatusCode::kUnavailable, "this kernel has no minimum wait (needs Linux 6.12)");

  MinWaitFindings findings;
  io_uring_prep_nop(io_uring_get_sqe(&ring.native));
  findings.at_hand_ms = wait_ms(ring.native);
  findings.during_ms = wait_for_timer_ms(ring.native, kDuringNs);
  findings.later_ms = wait_for_timer_ms(ring.native, kLaterNs);
  if (findings.during_ms < 0 || findings.later_ms < 0)
    return Status(StatusCode::kUnavailable, "its minimum wait cannot be tried: no timer descriptor");
  return findings;
}

}  // namespace ringcached::net
