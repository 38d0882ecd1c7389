// io_uring's ABI as far as it is newer than liburing 2.3 and the null server tries it, under own names,
// beside what the server uses.
// Values are kernel ABI and never change; each names the kernel that brought it.
#pragma once

#include <cstdint>

#include "net/ring_abi.h"

namespace ringcached::bench::abi {

using net::abi::EnterArgument;

inline constexpr std::uint32_t kFeatureReceiveSendBundle = 1U << 14;  // 6.10, io_uring_params.features
inline constexpr std::uint16_t kReceiveSendBundle = 1U << 4;          // 6.10, io_uring_sqe.ioprio
inline constexpr std::uint32_t kCompletionBufferMore = 1U << 4;       // 6.12, io_uring_cqe.flags
inline constexpr std::uint16_t kBufferRingIncremental = 1U << 1;      // 6.12, BufferRegistration.flags
inline constexpr std::uint16_t kZeroCopyReportUsage = 1U << 3;        // 6.2, io_uring_sqe.ioprio
inline constexpr std::uint32_t kZeroCopyUsageCopied = 1U << 31;       // 6.2, result of a notification
inline constexpr std::uint32_t kRegisterNapi = 27;                    // 6.9, io_uring_register(2)

// Argument of IORING_REGISTER_PBUF_RING; liburing 2.3 calls `flags` padding.
struct BufferRegistration {
  std::uint64_t ring_address = 0;
  std::uint32_t ring_entries = 0;
  std::uint16_t group = 0;
  std::uint16_t flags = 0;
  std::uint64_t reserved[3] = {};
};
static_assert(sizeof(BufferRegistration) == 40);

// Argument of kRegisterNapi.
struct Napi {
  std::uint32_t busy_poll_us = 0;
  std::uint8_t prefer_busy_poll = 0;
  std::uint8_t padding[3] = {};
  std::uint64_t reserved = 0;
};
static_assert(sizeof(Napi) == 16);

}  // namespace ringcached::bench::abi
