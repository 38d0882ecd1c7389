// The input of one connection that its handler has not consumed: a kept tail, then lent receive buffers in
// order.
//
//   tail (heap)                      lent buffers
//   +-----------------+---------+    +---------+--------------+   +--------------+
//   | unconsumed      | joined  |    | joined  | not seen yet |   | not seen yet |
//   +-----------------+---------+    +---------+--------------+   +--------------+
//                      ^ a copy of the first bytes of the first lent buffer
//
// A handler sees one contiguous piece at a time: the first lent buffer where it lies, or the tail if there is
// one. A tail comes into being when a request stretches over two buffers or has to wait; only a short piece
// of the next buffer is joined to it (more, doubling, if that was not enough), and once the handler has
// consumed past the old tail the rest is shown from the lent buffer again. So nothing is copied for a handler
// that consumes everything, and every byte at most a bounded number of times for one that waits for a long
// line. Not thread-safe; every call takes the worker's buffers, so that an idle connection need not hold
// their address.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "net/recv_buffers.h"

namespace ringcached::net {

class InputQueue {
 public:
  InputQueue() = default;
  ~InputQueue() = default;

  bool empty() const { return tail_ == nullptr && head_ == RecvBuffers::kNone; }
  bool holds_buffers() const { return head_ != RecvBuffers::kNone; }

  // Appends a buffer just lent.
  void push(RecvBuffers& buffers, std::uint16_t id);
  // What to show to the handler. Precondition: !empty().
  std::span<const char> front(const RecvBuffers& buffers) const;
  // Drops `bytes` from the front of what front() showed.
  void consume(RecvBuffers& buffers, std::size_t bytes);
  // The handler left `seen` bytes that it was shown and needs more to go on: sees to it that front() shows
  // more than those. False if there is no more until the peer sends it (no buffer is held then).
  bool extend(RecvBuffers& buffers, std::size_t seen);
  // Copies what lies in lent buffers to the tail and gives them back.
  void spill(RecvBuffers& buffers);
  // Drops everything.
  void clear(RecvBuffers& buffers);

  // Bytes on the heap.
  std::size_t tail_bytes() const { return tail_ == nullptr ? 0 : tail_->end - tail_->begin; }

 private:
  struct Tail {
    std::size_t begin, end, capacity;
    char* data() { return reinterpret_cast<char*>(this + 1); }
  };
  struct TailDeleter {
    void operator()(Tail* tail) const { ::operator delete(tail); }
  };

  void append_to_tail(std::span<const char> bytes);
  void reserve_tail(std::size_t bytes);
  void pop_buffer(RecvBuffers& buffers);

  std::unique_ptr<Tail, TailDeleter> tail_;
  std::uint32_t joined_ = 0;
  std::uint16_t head_ = RecvBuffers::kNone;
  std::uint16_t last_ = RecvBuffers::kNone;
};

}  // namespace ringcached::net
