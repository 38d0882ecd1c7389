#include "server/signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <string>
#include <system_error>

#include "base/assert.h"

namespace ringcached::server {
namespace {

constexpr std::array<int, 4> kSignals = {SIGTERM, SIGINT, SIGUSR1, SIGHUP};

Status failure(const char* what, int error) {
  return {StatusCode::kInternal, std::string(what) + ": " + std::generic_category().message(error)};
}

void raise(int eventfd) {
  const std::uint64_t one = 1;
  // Full means 2^64 - 2 requests are waiting, which is a request too.
  [[maybe_unused]] const ssize_t written = ::write(eventfd, &one, sizeof(one));
}

}  // namespace

Result<SignalSet> SignalSet::create() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kSignals) sigaddset(&set, signal);
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
    return failure("cannot block signals", error);
  }
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  if (::sigaction(SIGPIPE, &ignore, nullptr) != 0) return failure("cannot ignore SIGPIPE", errno);
  const int signals = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) return failure("cannot make a signalfd", errno);
  SignalSet made(signals, ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (made.requests_ < 0 || made.wakes_ < 0) return failure("cannot make an eventfd", errno);
  return made;
}

SignalSet::~SignalSet() {
  if (signals_ >= 0) ::close(signals_);
  if (requests_ >= 0) ::close(requests_);
  if (wakes_ >= 0) ::close(wakes_);
}

SignalEvent SignalSet::stop_event() {
  return std::exchange(stopping_, true) ? SignalEvent::kStopFast : SignalEvent::kStop;
}

// One event that is waiting.
std::optional<SignalEvent> SignalSet::take() {
  std::uint64_t requests = 0;
  if (::read(requests_, &requests, sizeof(requests)) == sizeof(requests)) {
    last_signal_ = 0;
    return stop_event();
  }
  signalfd_siginfo info{};
  if (::read(signals_, &info, sizeof(info)) == sizeof(info)) {
    last_signal_ = static_cast<int>(info.ssi_signo);
    return last_signal_ == SIGHUP ? SignalEvent::kReload : stop_event();
  }
  if (::read(wakes_, &requests, sizeof(requests)) != sizeof(requests)) return std::nullopt;
  last_signal_ = 0;
  return SignalEvent::kWoken;
}

SignalEvent SignalSet::wait(std::optional<std::chrono::milliseconds> timeout, int writable) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + timeout.value_or(std::chrono::milliseconds(0));
  while (true) {
    if (const auto event = take()) return *event;
    int left_ms = -1;
    if (timeout) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
      if (left <= 0) break;
      left_ms = static_cast<int>(std::min<std::int64_t>(left, std::numeric_limits<int>::max()));
    }
    std::array<pollfd, 4> sources = {
        {{signals_, POLLIN, 0}, {requests_, POLLIN, 0}, {wakes_, POLLIN, 0}, {writable, POLLOUT, 0}}};
    const int polled = ::poll(sources.data(), sources.size(), left_ms);
    // Both descriptors are ours and live: nothing but an interruption can go wrong.
    RC_CHECK(polled >= 0 || errno == EINTR);
    // All else goes first: who writes a log without end can be stopped.
    if (polled == 1 && sources.back().revents != 0) {
      last_signal_ = 0;
      return SignalEvent::kWoken;
    }
  }
  last_signal_ = 0;
  return SignalEvent::kNone;
}

void SignalSet::request_stop() const {
  raise(requests_);
}

void SignalSet::wake() const {
  raise(wakes_);
}

}  // namespace ringcached::server
