#include "base/log.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <utility>

namespace ringcached {
namespace {

// What a pipe that can be written to at all takes without waiting.
constexpr std::size_t kPieceBytesMax = 4096;
// A thread with work of its own writes its line and what others have said meanwhile, no more.
constexpr unsigned kPiecesOfPassers = 2;
constexpr unsigned kPiecesAtOnce = 64;
constexpr std::size_t kNoticeBytesMax = 128;
constexpr std::chrono::seconds kPatienceAtEnd{1};

bool can_be_written(int descriptor, int timeout_ms) {
  pollfd writable{descriptor, POLLOUT, 0};
  return ::poll(&writable, 1, timeout_ms) == 1;
}

}  // namespace

Log::Log(int verbosity) : Log(verbosity, STDERR_FILENO) {}

Log::~Log() {
  const auto end = std::chrono::steady_clock::now() + kPatienceAtEnd;
  while (waiting_descriptor() >= 0 && std::chrono::steady_clock::now() < end) {
    if (can_be_written(descriptor_, 10)) continue_writing();
  }
}

void Log::never_wait(std::function<void()> wake) {
  // Room at once: nothing is allocated under the lock. Untouched it is no memory.
  kept_.reserve(kKeptBytesMax + kNoticeBytesMax);
  taken_.reserve(kKeptBytesMax + kNoticeBytesMax);
  wake_ = std::move(wake);
}

void Log::write(LogLevel level, std::string_view line) {
  if (!enabled(level)) return;
  std::string text = "ringcached: ";
  text.append(line);
  text.push_back('\n');
  if (wake_) {
    if (!keep(text) || pass_on(kPiecesOfPassers)) return;
    waiting_.store(true, std::memory_order_release);
    wake_();
    return;
  }
  // A log that cannot be written has nowhere to say so.
  [[maybe_unused]] const ssize_t written = ::write(descriptor_, text.data(), text.size());
}

// True if the caller is the one to write.
bool Log::keep(std::string_view text) {
  const std::lock_guard<SpinLock> guard(lock_);
  if (kept_.size() + text.size() > kKeptBytesMax) {
    dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return false;
  }
  kept_.append(text);
  return !std::exchange(writing_, true);
}

// The next lines to write; false, and no longer the one that writes, if there are none.
bool Log::take() {
  taken_.clear();
  written_ = 0;
  std::uint64_t dropped = 0;
  {
    const std::lock_guard<SpinLock> guard(lock_);
    dropped = dropped_.load(std::memory_order_relaxed);
    if (kept_.empty() && dropped == dropped_told_) {
      writing_ = false;
      return false;
    }
    taken_.swap(kept_);
  }
  if (dropped != dropped_told_) {
    taken_.append("ringcached: ")
        .append(std::to_string(dropped - dropped_told_))
        .append(" lines of the log are missing here: nobody has read them in time\n");
    dropped_told_ = dropped;
  }
  return true;
}

// Up to a line's end, if there is one. False if there is no room for it.
bool Log::write_piece() {
  if (!can_be_written(descriptor_, 0)) return false;
  std::string_view piece = std::string_view(taken_).substr(written_, kPieceBytesMax);
  const std::size_t last_end = piece.rfind('\n');
  if (last_end != std::string_view::npos) piece = piece.substr(0, last_end + 1);
  const ssize_t written = ::write(descriptor_, piece.data(), piece.size());
  if (written < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  // What nobody will ever read has nowhere to be told.
  written_ += written < 0 ? piece.size() : static_cast<std::size_t>(written);
  return true;
}

// By the one that writes. False if something is left, and the caller still is that one.
bool Log::pass_on(unsigned pieces_max) {
  while (written_ < taken_.size() || take()) {
    if (pieces_max-- == 0 || !write_piece()) return false;
  }
  return true;
}

void Log::continue_writing() {
  if (!waiting_.exchange(false, std::memory_order_acq_rel)) return;
  if (!pass_on(kPiecesAtOnce)) waiting_.store(true, std::memory_order_release);
}

std::string escaped(std::string_view bytes, std::size_t bytes_max) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string text;
  for (const char c : bytes.substr(0, bytes_max)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && byte != '\\') {
      text.push_back(c);
    } else {
      text.append({'\\', 'x', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  if (bytes.size() > bytes_max) text.append("...");
  return text;
}

}  // namespace ringcached
