// The part of the io_uring ABI that is newer than the liburing 2.3 of Debian 12, under own names.
//
// Newer liburing headers define the same values as macros, hence the names and the namespace. Values are
// kernel ABI and never change; each names the kernel that brought it. Source: include/uapi/linux/io_uring.h
// of Linux 6.18.
#pragma once

#include <cstdint>

namespace ringcached::net::abi {

// io_uring_params.features
inline constexpr std::uint32_t kFeatureReceiveSendBundle = 1U << 14;  // 6.10
inline constexpr std::uint32_t kFeatureMinTimeout = 1U << 15;         // 6.12
inline constexpr std::uint32_t kFeatureNoIowait = 1U << 17;           // 6.15

// io_uring_params.flags
inline constexpr std::uint32_t kSetupNoSqArray = 1U
                                                 << 16;  // 6.6; set by liburing >= 2.6 by itself, never by us

// io_uring_enter(2) flags
inline constexpr std::uint32_t kEnterNoIowait =
    1U << 7;  // 6.15: a waiting ring is not accounted as waiting for a disk

// io_uring_register(2) opcodes
inline constexpr std::uint32_t kRegisterQuery = 35;  // 6.18

// BufferRingRegistration.flags
inline constexpr std::uint16_t kBufferRingIncremental = 1U << 1;  // 6.12

// Argument of IORING_REGISTER_PBUF_RING. liburing 2.3 calls `flags` padding and drops it.
struct BufferRingRegistration {
  std::uint64_t ring_address = 0;
  std::uint32_t ring_entries = 0;
  std::uint16_t group = 0;
  std::uint16_t flags = 0;
  std::uint64_t reserved[3] = {};
};
static_assert(sizeof(BufferRingRegistration) == 40);

// One entry of a buffer ring (5.19). liburing has it too; here so that it can be used without that header.
struct BufferEntry {
  std::uint64_t address;
  std::uint32_t bytes;
  std::uint16_t id;
  std::uint16_t tail;  // of the ring, in the first entry; unused in the others
};
static_assert(sizeof(BufferEntry) == 16);

// Argument of io_uring_enter(2) with IORING_ENTER_EXT_ARG. liburing 2.3 calls `min_wait_us` padding.
struct EnterArgument {
  std::uint64_t signal_mask = 0;
  std::uint32_t signal_mask_bytes = 0;
  std::uint32_t min_wait_us = 0;
  std::uint64_t timespec_address = 0;
};
static_assert(sizeof(EnterArgument) == 24);

// Argument of kRegisterQuery, and the answer to query 0.
struct Query {
  std::uint64_t next = 0;
  std::uint64_t data_address = 0;
  std::uint32_t operation = 0;
  std::uint32_t data_bytes = 0;
  std::int32_t result = 0;
  std::uint32_t reserved[3] = {};
};
static_assert(sizeof(Query) == 40);

}  // namespace ringcached::net::abi
