#include "net/send_queue.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace ringcached {

// Output is the part of net::SendQueue a handler may see; there is no other kind.
[[gnu::noinline]] char* Output::grow(std::size_t bytes) {
  RC_CHECK(bytes <= kRoomBytesMax);
  return static_cast<net::SendQueue*>(this)->add_block();
}

[[gnu::noinline]] void Output::append_slow(std::string_view bytes) {
  while (!bytes.empty()) {
    if (available() == 0) grow(1);
    const std::size_t part = std::min(bytes.size(), available());
    std::memcpy(cursor_, bytes.data(), part);
    cursor_ += part;
    bytes.remove_prefix(part);
  }
}

void Output::reference(std::span<const char> bytes, OutputPin pin) {
  static_cast<net::SendQueue*>(this)->add_reference(bytes, pin);
}

std::size_t Output::pending() const {
  return static_cast<const net::SendQueue*>(this)->unsent();
}

}  // namespace ringcached

namespace ringcached::net {
namespace {

// The kernel's UIO_MAXIOV.
constexpr std::size_t kPiecesMax = 1024;

void release(const OutputPin& pin) {
  if (pin.release != nullptr) pin.release(pin.owner, pin.item);
}

}  // namespace

void SendQueue::seal() {
  if (tail_ == nullptr) return;
  counted_ += static_cast<std::size_t>(cursor_ - mark_);
  mark_ = cursor_;
  tail_->end = static_cast<std::uint32_t>(cursor_ - tail_->data());
}

char* SendQueue::add_block() {
  seal();
  OutputBlock* block = pool_->blocks.take();
  if (head_ == nullptr) {
    head_ = block;
    mark_dirty();
  } else {
    tail_->next = block;
  }
  tail_ = block;
  cursor_ = mark_ = block->data();
  // Records of references must be aligned.
  limit_ = block->data_end();
  return cursor_;
}

void SendQueue::add_reference(std::span<const char> bytes, OutputPin pin) {
  if (bytes.empty()) return release(pin);
  if (available() < sizeof(OutputReference)) {
    try {
      add_block();
    } catch (const std::bad_alloc&) {
      release(pin);
      throw;
    }
  }
  limit_ -= sizeof(OutputReference);
  new (limit_)
      OutputReference{bytes.data(), bytes.size(), pin, static_cast<std::uint32_t>(cursor_ - tail_->data())};
  ++tail_->references;
  counted_ += bytes.size();
}

SendQueue::Batch SendQueue::begin() {
  RC_DCHECK(!sending());
  seal();
  RC_DCHECK(counted_ > 0 && head_ != nullptr);
  if (head_ == tail_ && head_->sent == head_->references) {
    in_flight_bytes_ = head_->end - head_->begin;
    return {{head_->data() + head_->begin, in_flight_bytes_}, nullptr, in_flight_bytes_};
  }
  message_block_ = pool_->blocks.take();
  auto* message = new (message_block_->data()) msghdr{};
  auto* pieces = reinterpret_cast<iovec*>(message + 1);
  const std::size_t room = (message_block_->capacity - sizeof(msghdr)) / sizeof(iovec);
  std::size_t bytes = 0;
  message->msg_iov = pieces;
  message->msg_iovlen = gather(pieces, std::min(room, kPiecesMax), bytes);
  in_flight_bytes_ = bytes;
  if (message->msg_iovlen > 1) return {{}, message, bytes};
  const std::span<const char> plain(static_cast<const char*>(pieces[0].iov_base), pieces[0].iov_len);
  pool_->blocks.give(message_block_);
  message_block_ = nullptr;
  return {plain, nullptr, bytes};
}

std::size_t SendQueue::gather(iovec* pieces, std::size_t pieces_max, std::size_t& bytes) {
  std::size_t count = 0;
  const auto add = [&](const char* data, std::size_t length) {
    if (length == 0) return;
    pieces[count++] = {const_cast<char*>(data), length};
    bytes += length;
  };
  for (OutputBlock* block = head_; block != nullptr; block = block->next) {
    std::uint32_t position = block->begin;
    for (unsigned i = block->sent; i < block->references; ++i) {
      if (count + 2 > pieces_max) return count;
      const OutputReference& reference = block->reference(i);
      add(block->data() + position, reference.behind - position);
      add(reference.data, reference.bytes);
      position = reference.behind;
    }
    if (count == pieces_max) return count;
    add(block->data() + position, block->end - position);
  }
  return count;
}

void SendQueue::complete(std::size_t sent) {
  RC_CHECK(sending() && sent <= in_flight_bytes_);
  in_flight_bytes_ = 0;
  if (message_block_ != nullptr) {
    pool_->blocks.give(message_block_);
    message_block_ = nullptr;
  }
  seal();
  consume(sent);
  if (counted_ == 0) clear();
}

void SendQueue::consume(std::size_t bytes) {
  counted_ -= bytes;
  while (bytes > 0) {
    OutputBlock& block = *head_;
    const bool has_reference = block.sent < block.references;
    const std::uint32_t copied_end = has_reference ? block.reference(block.sent).behind : block.end;
    if (block.begin < copied_end) {
      const std::size_t part = std::min<std::size_t>(bytes, copied_end - block.begin);
      block.begin += static_cast<std::uint32_t>(part);
      bytes -= part;
    } else if (has_reference) {
      OutputReference& reference = block.reference(block.sent);
      const std::size_t part = std::min(bytes, reference.bytes);
      reference.data += part;
      reference.bytes -= part;
      bytes -= part;
      if (reference.bytes == 0) {
        ++block.sent;
        release(reference.pin);
      }
    } else {
      pop_block();
    }
  }
  while (head_ != tail_ && head_->begin == head_->end && head_->sent == head_->references) pop_block();
}

void SendQueue::pop_block() {
  OutputBlock* block = head_;
  RC_CHECK(block != tail_);
  head_ = block->next;
  pool_->blocks.give(block);
}

void SendQueue::clear() {
  RC_CHECK(!sending());
  unlink();
  while (head_ != nullptr) {
    OutputBlock* block = head_;
    head_ = block->next;
    while (block->sent < block->references) release(block->reference(block->sent++).pin);
    pool_->blocks.give(block);
  }
  tail_ = nullptr;
  cursor_ = limit_ = mark_ = nullptr;
  counted_ = 0;
}

}  // namespace ringcached::net
