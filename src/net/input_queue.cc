#include "net/input_queue.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace ringcached::net {
namespace {

// The first piece joined to a tail: long enough for nearly every request that a buffer's end has cut.
constexpr std::size_t kJoinBytesMin = 512;
constexpr std::size_t kTailCapacityMin = 128;

}  // namespace

void InputQueue::push(RecvBuffers& buffers, std::uint16_t id) {
  if (head_ == RecvBuffers::kNone) {
    head_ = id;
  } else {
    buffers.set_next(last_, id);
  }
  last_ = id;
}

std::span<const char> InputQueue::front(const RecvBuffers& buffers) const {
  if (tail_ != nullptr) return {tail_->data() + tail_->begin, tail_->end - tail_->begin};
  return buffers.unread(head_);
}

void InputQueue::consume(RecvBuffers& buffers, std::size_t bytes) {
  if (bytes == 0) return;
  if (tail_ != nullptr) {
    const std::size_t own = tail_bytes() - joined_;
    if (bytes < own) {
      tail_->begin += bytes;
      return;
    }
    // All of the old tail is consumed: what was joined is read on where it came from.
    bytes -= own;
    joined_ = 0;
    tail_.reset();
    if (bytes == 0) return;
  }
  RC_CHECK(head_ != RecvBuffers::kNone && bytes <= buffers.unread_bytes(head_));
  buffers.consume(head_, static_cast<std::uint32_t>(bytes));
  if (buffers.unread_bytes(head_) == 0) pop_buffer(buffers);
}

void InputQueue::pop_buffer(RecvBuffers& buffers) {
  const std::uint16_t id = head_;
  head_ = buffers.next(id);
  if (head_ == RecvBuffers::kNone) last_ = RecvBuffers::kNone;
  buffers.give(id);
}

bool InputQueue::extend(RecvBuffers& buffers, std::size_t seen) {
  if (empty()) return false;
  if (front(buffers).size() > seen) return true;
  if (tail_ == nullptr) {
    append_to_tail(buffers.unread(head_));
    pop_buffer(buffers);
  }
  const std::size_t before = tail_bytes();
  const std::size_t wanted = std::max(kJoinBytesMin, before);
  while (holds_buffers() && tail_bytes() - before < wanted) {
    const std::span<const char> rest = buffers.unread(head_).subspan(joined_);
    const std::size_t part = std::min(rest.size(), wanted - (tail_bytes() - before));
    append_to_tail(rest.first(part));
    joined_ += static_cast<std::uint32_t>(part);
    if (part < rest.size()) break;
    joined_ = 0;
    pop_buffer(buffers);
  }
  return tail_bytes() > before;
}

void InputQueue::spill(RecvBuffers& buffers) {
  std::size_t bytes = 0;
  for (std::uint16_t id = head_; id != RecvBuffers::kNone; id = buffers.next(id))
    bytes += buffers.unread_bytes(id);
  if (bytes == 0) return;
  reserve_tail(bytes - joined_);
  while (holds_buffers()) {
    append_to_tail(buffers.unread(head_).subspan(joined_));
    joined_ = 0;
    pop_buffer(buffers);
  }
}

void InputQueue::clear(RecvBuffers& buffers) {
  while (holds_buffers()) pop_buffer(buffers);
  joined_ = 0;
  tail_.reset();
}

void InputQueue::reserve_tail(std::size_t bytes) {
  if (tail_ != nullptr && tail_->capacity - tail_->end >= bytes) return;
  const std::size_t used = tail_bytes();
  // Moving is worth it when at least half of the space was consumed; else grow, so that appending stays
  // linear.
  if (tail_ != nullptr && tail_->begin >= tail_->capacity / 2 && tail_->capacity - used >= bytes) {
    std::memmove(tail_->data(), tail_->data() + tail_->begin, used);
    tail_->begin = 0;
    tail_->end = used;
    return;
  }
  const std::size_t capacity = std::max({kTailCapacityMin, used + bytes, tail_ == nullptr ? 0 : 2 * used});
  void* memory = ::operator new(sizeof(Tail) + capacity);
  std::unique_ptr<Tail, TailDeleter> grown(new (memory) Tail{0, used, capacity});
  if (used > 0) std::memcpy(grown->data(), tail_->data() + tail_->begin, used);
  tail_ = std::move(grown);
}

void InputQueue::append_to_tail(std::span<const char> bytes) {
  reserve_tail(bytes.size());
  std::memcpy(tail_->data() + tail_->end, bytes.data(), bytes.size());
  tail_->end += bytes.size();
}

}  // namespace ringcached::net
