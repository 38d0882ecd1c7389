// The receive buffers of a ring and, in front of them, the ring by which they are lent to the kernel: one
// mapping.
//
//   page 0 ..                           following pages
//   [ entry | entry | ... | entry ]     [ buffer 0 | buffer 1 | ... ]
//     address, length, id; the last two bytes of the first entry are the tail
//
// Under the address sanitizer a buffer is poisoned while the kernel has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "net/ring_abi.h"

#if defined(__SANITIZE_ADDRESS__)
#define RC_POISONS_BUFFERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RC_POISONS_BUFFERS 1
#endif
#endif
#ifndef RC_POISONS_BUFFERS
#define RC_POISONS_BUFFERS 0
#endif

namespace ringcached::net {

class BufferBlock {
 public:
  BufferBlock() = default;
  // The ring it is registered with must be gone.
  ~BufferBlock();
  BufferBlock(const BufferBlock&) = delete;
  BufferBlock& operator=(const BufferBlock&) = delete;

  // `count`: a power of two. False when there is no memory. Pages come into being when the kernel first
  // writes them on behalf of the ring's owner, so they lie on the owner's node.
  bool map(unsigned count, unsigned bytes_each);
  // What to register the ring with.
  abi::BufferRingRegistration registration(std::uint16_t group) const;
  void lend_all();
  void give_back(std::span<const std::uint16_t> ids);
  std::span<char> buffer(std::uint16_t id);
  // The buffer of a completion just reaped: readable until it is given back. To be called if
  // RC_POISONS_BUFFERS.
  void on_filled(std::uint16_t id);
  // The opposite, for a buffer that is not lent to a kernel but lies unused. To be called likewise.
  void hide(std::uint16_t id);
  unsigned count() const { return count_; }

 private:
  void stage(std::uint16_t id, unsigned offset);
  void publish(unsigned count);

  char* block_ = nullptr;
  abi::BufferEntry* entries_ = nullptr;
  char* buffers_ = nullptr;
  std::size_t block_bytes_ = 0;
  unsigned count_ = 0;
  unsigned bytes_each_ = 0;
  std::uint16_t tail_ = 0;
};

}  // namespace ringcached::net
