#include "server/event_ring.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>

#include "base/assert.h"

namespace ringcached::server {
namespace {

constexpr std::size_t kAlignment = 8;
constexpr std::size_t kBytesMin = 4096;

constexpr std::size_t rounded_up(std::size_t bytes, std::size_t to) {
  return (bytes + to - 1) / to * to;
}

std::uint64_t wall_us() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count());
}

}  // namespace

// What precedes the text in the ring. A record with no bytes: the rest up to the end of the ring is unused.
struct EventRing::Record {
  std::uint32_t bytes = 0;
  std::uint32_t text_bytes = 0;
  Event event;
};

EventRing::Put EventRing::put(Event event, std::string_view text, std::atomic<std::uint64_t>& numbers) {
  writing_.store(true, std::memory_order_seq_cst);
  char* buffer = buffer_.load(std::memory_order_seq_cst);
  Put outcome = Put::kClosed;
  if (buffer != nullptr) outcome = write(buffer, event, text, numbers) ? Put::kWritten : Put::kFull;
  writing_.store(false, std::memory_order_release);
  return outcome;
}

bool EventRing::write(char* buffer, Event& event, std::string_view text,
                      std::atomic<std::uint64_t>& numbers) {
  RC_DCHECK(text.size() <= kEventTextBytesMax);
  const std::size_t bytes = rounded_up(sizeof(Record) + text.size(), kAlignment);
  std::uint64_t tail = tail_.load(std::memory_order_relaxed);
  const std::uint64_t used = tail - head_.load(std::memory_order_acquire);
  const std::size_t to_end = capacity_ - tail % capacity_;
  const std::size_t unused = bytes > to_end ? to_end : 0;
  if (used + unused + bytes > capacity_) return false;
  if (unused > 0) {
    std::memset(buffer + tail % capacity_, 0, sizeof(Record::bytes));
    tail += unused;
  }
  event.number = numbers.fetch_add(1, std::memory_order_relaxed);
  event.wall_us = wall_us();
  const Record record{static_cast<std::uint32_t>(bytes), static_cast<std::uint32_t>(text.size()), event};
  char* at = buffer + tail % capacity_;
  std::memcpy(at, &record, sizeof record);
  std::memcpy(at + sizeof record, text.data(), text.size());
  tail_.store(tail + bytes, std::memory_order_release);
  written_.add();
  return true;
}

bool EventRing::take(Entry& entry) {
  const char* buffer = buffer_.load(std::memory_order_relaxed);
  if (buffer == nullptr) return false;
  std::uint64_t head = head_.load(std::memory_order_relaxed);
  const std::uint64_t tail = tail_.load(std::memory_order_acquire);
  if (head == tail) return false;
  std::uint32_t bytes;
  std::memcpy(&bytes, buffer + head % capacity_, sizeof bytes);
  if (bytes == 0) head += capacity_ - head % capacity_;
  Record record;
  std::memcpy(&record, buffer + head % capacity_, sizeof record);
  entry.event = record.event;
  entry.text_bytes = record.text_bytes;
  std::memcpy(entry.text.data(), buffer + head % capacity_ + sizeof record, record.text_bytes);
  head_.store(head + record.bytes, std::memory_order_release);
  return true;
}

bool EventRing::open(std::size_t bytes) {
  if (is_open()) return true;
  capacity_ = rounded_up(std::max(bytes, kBytesMin), kAlignment);
  memory_.reset(new (std::nothrow) char[capacity_]);
  buffer_.store(memory_.get(), std::memory_order_seq_cst);
  return memory_ != nullptr;
}

// Either this sees that the writer is inside, or the writer sees that there is no buffer.
bool EventRing::close() {
  char* buffer = buffer_.exchange(nullptr, std::memory_order_seq_cst);
  if (buffer == nullptr) return true;
  if (writing_.load(std::memory_order_seq_cst)) {
    buffer_.store(buffer, std::memory_order_seq_cst);
    return false;
  }
  memory_.reset();
  head_.store(0, std::memory_order_relaxed);
  tail_.store(0, std::memory_order_relaxed);
  return true;
}

std::uint64_t EventRing::dropped() const {
  std::uint64_t sum = 0;
  for (const Counter& counter : dropped_) sum += counter.get();
  return sum;
}

}  // namespace ringcached::server
