// The output of one connection: what handlers write through Output, and the one send that carries it away.
//
// Bytes live in blocks (net/output_blocks.h). begin() describes everything unsent as one send; while that is
// in flight more may be written behind it; complete() drops what the kernel took, releases references that
// are done and gives blocks back. An empty queue holds no block. Not thread-safe.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <span>

#include "base/intrusive_list.h"
#include "net/output_blocks.h"
#include "ringcached/network.h"

namespace ringcached::net {

class SendQueue : public Output, public ListNode<DirtyTag> {
 public:
  // Either `plain` (one contiguous piece) or `message` is set. Both belong to the send until complete().
  struct Batch {
    std::span<const char> plain;
    const msghdr* message = nullptr;
    std::size_t bytes = 0;
  };

  SendQueue() = default;
  ~SendQueue() { RC_DCHECK(head_ == nullptr); }

  // Before first use. `pool` is the worker's.
  void bind(OutputPool& pool) { pool_ = &pool; }

  bool sending() const { return in_flight_bytes_ != 0; }
  std::size_t in_flight_bytes() const { return in_flight_bytes_; }
  std::size_t unsent() const { return counted_ + static_cast<std::size_t>(cursor_ - mark_); }

  // Everything pending (up to the iovec limit) as one send. Preconditions: unsent() > 0, !sending().
  Batch begin();
  // The send took `sent` bytes (0 after an error). Precondition: sending(), sent <= in_flight_bytes().
  void complete(std::size_t sent);
  // Drops all output and releases every reference. Precondition: !sending().
  void clear();
  // Puts the queue on the pool's dirty list if it has output and is not on it.
  void mark_dirty() {
    if (!linked()) pool_->dirty.push_back(*this);
  }

 private:
  friend class ringcached::Output;

  char* add_block();
  void add_reference(std::span<const char> bytes, OutputPin pin);
  void seal();
  void consume(std::size_t bytes);
  void pop_block();
  std::size_t gather(iovec* pieces, std::size_t pieces_max, std::size_t& bytes);

  OutputPool* pool_ = nullptr;
  OutputBlock* head_ = nullptr;
  OutputBlock* tail_ = nullptr;
  OutputBlock* message_block_ = nullptr;  // msghdr and iovecs of the send in flight
  char* mark_ = nullptr;                  // bytes of the last block below this are in counted_
  std::size_t counted_ = 0;               // unsent bytes, but for those between mark_ and cursor_
  std::size_t in_flight_bytes_ = 0;
};

}  // namespace ringcached::net
