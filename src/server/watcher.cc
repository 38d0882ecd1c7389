#include "server/watcher.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace ringcached::server {
namespace {

constexpr std::size_t kBufferBytesMin = 4 * kEventLineBytesMax;

}  // namespace

std::unique_ptr<Watcher> Watcher::create(StreamMask streams, std::size_t buffer_bytes) {
  const std::size_t bytes = std::max(buffer_bytes, kBufferBytesMin);
  std::unique_ptr<char[]> buffer(new (std::nothrow) char[bytes]);
  if (buffer == nullptr) return nullptr;
  return std::unique_ptr<Watcher>(new (std::nothrow) Watcher(streams, std::move(buffer), bytes));
}

std::size_t Watcher::free_bytes() const {
  return capacity_ - (tail_.load(std::memory_order_relaxed) - head_.load(std::memory_order_acquire));
}

bool Watcher::offer(std::string_view line) {
  tell_skipped();
  if (skipped_ > 0 || line.size() > free_bytes()) {
    ++skipped_;
    return false;
  }
  append(line);
  return true;
}

// Only once half of the buffer is free: a client that reads slowly misses long stretches, and is told so
// once per stretch, instead of every other line.
void Watcher::tell_skipped() {
  if (skipped_ == 0 || free_bytes() < capacity_ / 2) return;
  std::array<char, kEventLineBytesMax> line;
  const char* end = write_skipped_line(line.data(), skipped_);
  append({line.data(), static_cast<std::size_t>(end - line.data())});
  skipped_ = 0;
}

void Watcher::append(std::string_view bytes) {
  const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
  const std::size_t at = tail % capacity_;
  const std::size_t first = std::min(bytes.size(), capacity_ - at);
  std::memcpy(buffer_.get() + at, bytes.data(), first);
  std::memcpy(buffer_.get(), bytes.data() + first, bytes.size() - first);
  tail_.store(tail + bytes.size(), std::memory_order_release);
}

std::string_view Watcher::waiting() const {
  const std::uint64_t head = head_.load(std::memory_order_relaxed);
  const std::size_t bytes = tail_.load(std::memory_order_acquire) - head;
  return {buffer_.get() + head % capacity_, std::min(bytes, capacity_ - head % capacity_)};
}

void Watcher::sent(std::size_t bytes) {
  head_.store(head_.load(std::memory_order_relaxed) + bytes, std::memory_order_release);
}

}  // namespace ringcached::server
