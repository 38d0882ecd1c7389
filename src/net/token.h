// The 64 bits that travel with an operation through the kernel and come back with its completion.
//
//   63      56 55                  32 31                    0
//   +---------+----------------------+-----------------------+
//   | op (8)  |   generation (24)    |       slot (32)       |
//   +---------+----------------------+-----------------------+
//
// slot and generation name a connection (base/slot_pool.h); operations without one give the number a meaning
// of their own (an accept: the listener; a hand-off: the listener its descriptor came from).
#pragma once

#include <cstdint>

#include "base/slot_pool.h"
#include "net/ring.h"

namespace ringcached::net {

enum class Operation : std::uint8_t {
  kReceive = 1,
  kSend,
  kCancel,
  kAccept,
  kTimer,
  kWake,
  kHandoff,  // arrives at a worker; result is the accepted descriptor
  kPost,     // the acceptor's side of a hand-off
  // Of datagram sockets; the slot is the socket's number. For a send the generation is that of its datagram.
  kReceiveDatagram,
  kSendDatagram,
  kCancelDatagram,
};

inline constexpr std::uint32_t kTokenGenerationMax = (1U << 24) - 1;
static_assert(SlotPool<int>::kGenerationMax <= kTokenGenerationMax);

constexpr Token make_token(Operation operation, std::uint32_t slot = 0, std::uint32_t generation = 0) {
  return static_cast<Token>(operation) << 56 | static_cast<Token>(generation & kTokenGenerationMax) << 32 |
         slot;
}
constexpr Operation token_operation(Token token) {
  return static_cast<Operation>(token >> 56);
}
constexpr std::uint32_t token_generation(Token token) {
  return static_cast<std::uint32_t>(token >> 32) & kTokenGenerationMax;
}
constexpr std::uint32_t token_slot(Token token) {
  return static_cast<std::uint32_t>(token);
}

}  // namespace ringcached::net
