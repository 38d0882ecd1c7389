// One watcher's lines between the pump, which writes them, and its connection's worker, which sends them:
// bounded, so that a client that does not read costs this much memory and loses lines, and nobody waits.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "server/event.h"

namespace ringcached::server {

class Watcher {
 public:
  // Null without memory.
  static std::unique_ptr<Watcher> create(StreamMask streams, std::size_t buffer_bytes);

  // --- The pump, one at a time.
  StreamMask streams() const { return streams_; }
  // Earlier events are not for it.
  void begin_at(std::uint64_t number) { first_ = number; }
  bool wants(const Event& event) const {
    return (streams_ & mask_of(event.stream)) != 0 && event.number >= first_;
  }
  // False when the line was skipped: no room, or too little has been read since the last one skipped.
  bool offer(std::string_view line);
  // Lines that were lost before they came here.
  void miss(std::uint64_t lines) { skipped_ += lines; }
  // Tells the client how many lines it has missed, once there is room again.
  void tell_skipped();

  // --- The connection's worker.
  // Bytes to send, as many as lie in one piece; empty: none. sent() takes them away.
  std::string_view waiting() const;
  void sent(std::size_t bytes);

 private:
  Watcher(StreamMask streams, std::unique_ptr<char[]> buffer, std::size_t buffer_bytes)
      : streams_(streams), capacity_(buffer_bytes), buffer_(std::move(buffer)) {}
  void append(std::string_view bytes);
  std::size_t free_bytes() const;

  const StreamMask streams_;
  const std::size_t capacity_;
  const std::unique_ptr<char[]> buffer_;
  std::uint64_t first_ = 0;
  std::uint64_t skipped_ = 0;                       // since the last line about it
  alignas(64) std::atomic<std::uint64_t> tail_{0};  // bytes ever written
  alignas(64) std::atomic<std::uint64_t> head_{0};  // bytes ever sent
};

}  // namespace ringcached::server
