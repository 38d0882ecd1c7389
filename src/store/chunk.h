// What every chunk of slab memory looks like to those who only know its address: allocator, evictor, reaper.
//
//   byte 0        8        16      20
//        +--------+--------+-------+----------------------------------------------
//   item | cas    | exptime| state | [client flags 4] key ... value ...
//        |        | access |       |
//        |        | keylen |       |
//        +--------+--------+-------+----------------------------------------------
//   part | next   | head   | state | bytes of a chained value
//        +--------+--------+-------+----------------------------------------------
//   free | link   |        | state | (poisoned under the address sanitizer)
//        +--------+--------+-------+----------------------------------------------
//
// Chunks start at multiples of 8 bytes, so an address is a 40-bit granule number counted from the start of
// the item memory. Item memory is never unmapped: a stale reader sees wrong bytes at worst, and notices by
// the bucket version. Under the address sanitizer such a reader may meet a poisoned free chunk: optimistic
// reads must not be instrumented.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ringcached::store {

inline constexpr std::size_t kGranuleBytes = 8;
inline constexpr std::size_t kPageBytes = std::size_t{256}
                                          << 10;  // unit of slab memory, moved between classes and arenas
inline constexpr std::size_t kChunkBytesMax = std::size_t{32} << 10;  // larger values are chains
inline constexpr unsigned kAddressBits = 40;

// Granule number of a chunk; 0 is never a chunk (the first page's first chunk is left out).
using ChunkAddress = std::uint64_t;
inline constexpr ChunkAddress kNoChunk = 0;

enum class ChunkKind : std::uint32_t {
  kFree = 0,     // on a free list, or never used
  kFilling = 1,  // handed out, not yet in the index
  kItem = 2,     // linked in the index: head of an item
  kPart = 3,     // continuation of a chained value
  kLimbo = 4,    // unlinked while a send still refers to it; freed when the last pin goes
  kLinking = 5,  // filled, by a writer that looks at the flush epoch next and links it with that one
  kWriting = 6,  // linked, and being overwritten in place by whoever made it so (item_lock.h)
};

inline constexpr bool is_linked(ChunkKind kind) {
  return kind == ChunkKind::kItem || kind == ChunkKind::kWriting;
}

// The state word at byte 16. Written by the owner of the chunk only (allocator while free, filler while
// filling, holder of the bucket lock or of the item's own while linked), read by anybody: always through
// atomics.
//   bits 0-2 kind | 3-5 generation | 6-11 flush epoch | 12-16 item marks, 17-31 value bytes of an unchained
//   item (item.h)
inline constexpr std::size_t kStateOffset = 16;
inline constexpr unsigned kGenerationShift = 3, kGenerationBits = 3;
inline constexpr unsigned kEpochShift = 6, kEpochBits = 6;
inline constexpr unsigned kMarksShift = 12;

inline constexpr ChunkKind chunk_kind(std::uint32_t state) {
  return static_cast<ChunkKind>(state & 7);
}
inline constexpr std::uint32_t chunk_generation(std::uint32_t state) {
  return (state >> kGenerationShift) & ((1U << kGenerationBits) - 1);
}

// Bytes 0-7 belong to the allocator from the moment a chunk is given back: links of its lists.
inline std::atomic<std::uint64_t>& chunk_link(std::byte* chunk) {
  return *reinterpret_cast<std::atomic<std::uint64_t>*>(chunk);
}

// The word as an atomic. Chunks are 8-byte aligned, so byte 16 is aligned for it.
inline std::atomic<std::uint32_t>& chunk_state(std::byte* chunk) {
  return *reinterpret_cast<std::atomic<std::uint32_t>*>(chunk + kStateOffset);
}
static_assert(sizeof(std::atomic<std::uint32_t>) == 4 && std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace ringcached::store
