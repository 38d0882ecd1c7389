// Bytes that a writer may change while a reader copies them. The reader finds out afterwards, by the bucket's
// version; until then it may see any mixture, and memory that is free by now.
//
// Three builds of the same contract:
//  - production: memcpy speed. Order comes from fences: read_fence() between the copy and the second look at
//  the
//    version, write_fence() between taking the bucket lock and the first changed byte (Boehm, "Can seqlocks
//    get along with programming language memory models?", MSPC 2012). On x86 both are compiler barriers only.
//  - thread sanitizer: it does not model fences, so every word is an atomic, loaded with acquire and stored
//  with
//    release. That is the same order without the fences: who sees a word of a writer also sees the writer's
//    lock.
//  - address sanitizer: freed chunks are poisoned, and looking at them is legal until validated. The leaves
//  below are
//    therefore not instrumented and call no intercepted function.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/short_copy.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RC_STORE_TSAN 1
#endif
#if __has_feature(address_sanitizer)
#define RC_STORE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define RC_STORE_TSAN 1
#endif
#if defined(__SANITIZE_ADDRESS__)
#define RC_STORE_ASAN 1
#endif
#if !defined(RC_STORE_TSAN)
#define RC_STORE_TSAN 0
#endif
#if !defined(RC_STORE_ASAN)
#define RC_STORE_ASAN 0
#endif

// On the functions that look at chunks before the version has vouched for them.
#define RC_NO_SANITIZE_ADDRESS __attribute__((no_sanitize("address")))

namespace ringcached::store {

inline constexpr int kSharedLoadOrder = RC_STORE_TSAN ? __ATOMIC_ACQUIRE : __ATOMIC_RELAXED;
inline constexpr int kSharedStoreOrder = RC_STORE_TSAN ? __ATOMIC_RELEASE : __ATOMIC_RELAXED;

// After the last read of shared bytes, before the version is looked at again.
inline void read_fence() {
#if !RC_STORE_TSAN
  std::atomic_thread_fence(std::memory_order_acquire);
#endif
}

// After the bucket was locked, before the first change.
inline void write_fence() {
#if !RC_STORE_TSAN
  std::atomic_thread_fence(std::memory_order_release);
#endif
}

// Between a store and the lock of a bucket, behind which something is loaded: whoever changes that and then
// does not see the store, behind full_fence(), is seen. On x86 the locked instruction of the lock is the
// fence.
inline void fence_before_lock() {
#if defined(__x86_64__)
  std::atomic_signal_fence(std::memory_order_seq_cst);
#elif !RC_STORE_TSAN
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}
// Between a compare-and-swap and a load that must not come before it.
inline void fence_behind_lock() {
  fence_before_lock();
}
inline void full_fence() {
#if !RC_STORE_TSAN
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

// Single words at their natural alignment.
RC_NO_SANITIZE_ADDRESS inline std::uint32_t shared_load32(const std::byte* from) {
  return __atomic_load_n(reinterpret_cast<const std::uint32_t*>(from), kSharedLoadOrder);
}
RC_NO_SANITIZE_ADDRESS inline std::uint64_t shared_load64(const std::byte* from) {
  return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(from), kSharedLoadOrder);
}
// clang's builtins take no std::byte.
RC_NO_SANITIZE_ADDRESS inline char shared_load8(const std::byte* from) {
  return static_cast<char>(__atomic_load_n(reinterpret_cast<const unsigned char*>(from), kSharedLoadOrder));
}
inline void shared_store8(std::byte* to, char value) {
  __atomic_store_n(reinterpret_cast<unsigned char*>(to), static_cast<unsigned char>(value),
                   kSharedStoreOrder);
}
inline void shared_store32(std::byte* to, std::uint32_t value) {
  __atomic_store_n(reinterpret_cast<std::uint32_t*>(to), value, kSharedStoreOrder);
}
inline void shared_store64(std::byte* to, std::uint64_t value) {
  __atomic_store_n(reinterpret_cast<std::uint64_t*>(to), value, kSharedStoreOrder);
}

#if RC_STORE_TSAN
namespace detail {
// The longest of 1 or 8 bytes that is aligned at `at` and fits into `left`.
inline std::size_t word_at(const std::byte* at, std::size_t left) {
  return reinterpret_cast<std::uintptr_t>(at) % sizeof(std::uint64_t) == 0 && left >= sizeof(std::uint64_t)
             ? sizeof(std::uint64_t)
             : 1;
}
}  // namespace detail
#endif

// Out of shared memory. `to` is the caller's own.
RC_NO_SANITIZE_ADDRESS inline void copy_from_shared(char* to, const std::byte* from, std::size_t bytes) {
#if RC_STORE_TSAN
  for (std::size_t step; bytes > 0; to += step, from += step, bytes -= step) {
    step = detail::word_at(from, bytes);
    if (step == 1) {
      *to = shared_load8(from);
    } else {
      const std::uint64_t word = shared_load64(from);
      std::memcpy(to, &word, sizeof word);
    }
  }
#elif RC_STORE_ASAN
  // volatile: the compiler must not turn the loop into a call of the intercepted memcpy.
  const volatile std::byte* source = from;
  for (std::size_t i = 0; i < bytes; ++i) to[i] = static_cast<char>(source[i]);
#else
  copy_short(to, from, bytes);
#endif
}

// Into shared memory, by whoever owns the chunk or holds the bucket lock.
inline void copy_to_shared(std::byte* to, const char* from, std::size_t bytes) {
#if RC_STORE_TSAN
  for (std::size_t step; bytes > 0; to += step, from += step, bytes -= step) {
    step = detail::word_at(to, bytes);
    if (step == 1) {
      shared_store8(to, *from);
    } else {
      std::uint64_t word;
      std::memcpy(&word, from, sizeof word);
      shared_store64(to, word);
    }
  }
#else
  copy_short(to, from, bytes);
#endif
}

// The shared bytes are these bytes.
RC_NO_SANITIZE_ADDRESS inline bool equal_to_shared(const std::byte* shared, const char* bytes,
                                                   std::size_t size) {
#if RC_STORE_TSAN || RC_STORE_ASAN
  for (std::size_t i = 0; i < size; ++i) {
    if (shared_load8(shared + i) != bytes[i]) return false;
  }
  return true;
#else
  const auto load = [](const auto* from) {
    std::uint64_t word;
    std::memcpy(&word, from, sizeof word);
    return word;
  };
  constexpr std::size_t kWord = sizeof(std::uint64_t);
  if (size < kWord) {
    for (std::size_t i = 0; i < size; ++i) {
      if (static_cast<char>(shared[i]) != bytes[i]) return false;
    }
    return true;
  }
  for (std::size_t i = 0; i + kWord < size; i += kWord) {
    if (load(shared + i) != load(bytes + i)) return false;
  }
  return load(shared + size - kWord) == load(bytes + size - kWord);  // the rest, overlapping
#endif
}

}  // namespace ringcached::store
