// The worker's side of the receive buffers the kernel fills: which are lent to us, and which part is unread.
//
// A completion lends a buffer; connections keep lent ones in a queue that runs through the records here, so a
// queue costs its connection two numbers. Buffers given back are collected and returned to the kernel once
// per turn. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/counter.h"
#include "net/ring.h"

namespace ringcached::net {

class RecvBuffers {
 public:
  static constexpr std::uint16_t kNone = 0xffff;

  // `count` buffers, ids 0 to count - 1, all with the kernel. count < kNone.
  RecvBuffers(Ring& ring, unsigned count, unsigned buffer_bytes);

  // Takes note that the kernel filled `bytes` of buffer `id`.
  void lend(std::uint16_t id, std::uint32_t bytes);
  // The unread part of a lent buffer.
  std::span<const char> unread(std::uint16_t id) const {
    const Record& record = records_[id];
    return ring_.buffer(id).subspan(record.begin, record.end - record.begin);
  }
  std::uint32_t unread_bytes(std::uint16_t id) const { return records_[id].end - records_[id].begin; }
  void consume(std::uint16_t id, std::uint32_t bytes) { records_[id].begin += bytes; }
  // The buffer is needed no more; the kernel gets it at the next flush().
  void give(std::uint16_t id);
  // Returns what was given since the last call, in one go.
  void flush();

  std::uint16_t next(std::uint16_t id) const { return records_[id].next; }
  void set_next(std::uint16_t id, std::uint16_t next) { records_[id].next = next; }

  bool valid(std::uint16_t id) const { return id < records_.size(); }
  bool lent(std::uint16_t id) const { return records_[id].lent; }
  unsigned buffer_bytes() const { return buffer_bytes_; }
  unsigned count() const { return static_cast<unsigned>(records_.size()); }
  // Buffers the kernel has, without those waiting for flush(). Any thread.
  unsigned with_kernel() const { return static_cast<unsigned>(with_kernel_.get()); }

 private:
  struct Record {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    std::uint16_t next = kNone;
    bool lent = false;
  };

  Ring& ring_;
  const unsigned buffer_bytes_;
  Counter with_kernel_;
  std::vector<Record> records_;
  std::vector<std::uint16_t> given_;
};

}  // namespace ringcached::net
