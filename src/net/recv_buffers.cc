#include "net/recv_buffers.h"

#include "base/assert.h"

namespace ringcached::net {

RecvBuffers::RecvBuffers(Ring& ring, unsigned count, unsigned buffer_bytes)
    : ring_(ring), buffer_bytes_(buffer_bytes), records_(count) {
  RC_CHECK(count < kNone);
  given_.reserve(count);
  with_kernel_.set(count);
}

void RecvBuffers::lend(std::uint16_t id, std::uint32_t bytes) {
  RC_CHECK(valid(id) && !records_[id].lent && bytes <= buffer_bytes_);
  records_[id] = {0, bytes, kNone, true};
  with_kernel_.subtract();
}

void RecvBuffers::give(std::uint16_t id) {
  RC_CHECK(records_[id].lent);
  records_[id].lent = false;
  given_.push_back(id);
}

void RecvBuffers::flush() {
  if (given_.empty()) return;
  ring_.return_buffers(given_);
  with_kernel_.add(given_.size());
  given_.clear();
}

}  // namespace ringcached::net
