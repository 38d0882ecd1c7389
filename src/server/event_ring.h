// Events on their way from the thread where they happen to whoever passes them on: a byte ring with one
// writer and one reader at a time. The writer never waits; what does not fit is counted and gone.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/counter.h"
#include "server/event.h"

namespace ringcached::server {

// The writer is one thread, or many under one lock; the reader and the owner of the memory hold another lock
// (EventLog's). Memory exists only between open() and close().
class EventRing {
 public:
  enum class Put : std::uint8_t { kWritten, kFull, kClosed };

  // --- The writer.
  // Numbers the event by `number`, stamps it and appends it with its text (at most kEventTextBytesMax).
  Put put(Event event, std::string_view text, std::atomic<std::uint64_t>& numbers);
  // A full ring is not a loss yet: the writer may make room and try again, or say that it gives up.
  void count_dropped(EventStream stream) { dropped_[static_cast<std::size_t>(stream)].add(); }

  // --- The reader.
  struct Entry {
    Event event;
    std::size_t text_bytes = 0;
    std::array<char, kEventTextBytesMax> text;
  };
  // False when empty.
  bool take(Entry& entry);

  // --- The owner.
  // `bytes` is rounded up to a size that holds any event. False without memory. No effect when open.
  bool open(std::size_t bytes);
  // Frees the memory and what was in it. False when the writer is in it right now: try again later.
  bool close();
  bool is_open() const { return buffer_.load(std::memory_order_relaxed) != nullptr; }

  // --- Any thread.
  std::uint64_t written() const { return written_.get(); }
  std::uint64_t dropped() const;
  std::uint64_t dropped(EventStream stream) const { return dropped_[static_cast<std::size_t>(stream)].get(); }

 private:
  struct Record;
  bool write(char* buffer, Event& event, std::string_view text, std::atomic<std::uint64_t>& numbers);

  // The writer's line.
  alignas(64) std::atomic<bool> writing_{false};  // close() and put() see each other's store first
  std::atomic<std::uint64_t> tail_{0};            // bytes ever written; records lie on multiples of 8
  Counter written_;
  std::array<Counter, kEventStreams> dropped_;
  // The reader's.
  alignas(64) std::atomic<std::uint64_t> head_{0};  // bytes ever taken
  // The owner's.
  alignas(64) std::atomic<char*> buffer_{nullptr};
  std::unique_ptr<char[]> memory_;
  std::size_t capacity_ = 0;  // written before buffer_ is
};

}  // namespace ringcached::server
