// An item in its chunk, on top of chunk.h.
//
//   unchained   0 cas 8 | 8 expiry 4 | 12 access 24 bit, key_bytes 8 bit | 16 state 4 | 20 [client flags 4]
//   key value chain head  0 cas 8 | 8 expiry 4 | 12 access 24 bit, key_bytes 8 bit | 16 state 4 | 20
//   value_bytes 4
//               24 next 8 | 32 [client flags 4] key, first bytes of the value to the end of the chunk
//   part        0 next 8 | 8 head 8                                    | 16 state 4 | 20 bytes in this part 4
//               24 ahead 8 | 32 ...
//
// 16 bytes of key and 32 of value fill 68 bytes of a 72-byte chunk. A head and all parts but the last fill a
// chunk of kChunkBytesMax; `next` and `head` are chunk addresses. A key never moves while its item lives.
// `ahead` is where the part kPartsAhead further on was when the chain was made, 0 for the last ones: whoever
// goes along the chain asks for its line. It may be out of date and is never followed.
//
// Who writes: the filler before the item is linked, afterwards the holder of the bucket lock, or of the
// item's (item_lock.h) to overwrite a value in place. Readers look without a lock (shared_bytes.h) and
// believe nothing before neither the bucket's version nor the CAS id have changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "store/chunk.h"
#include "store/expiry.h"
#include "store/shared_bytes.h"

namespace ringcached::store {

inline constexpr std::size_t kCasOffset = 0;
inline constexpr std::size_t kExpiryOffset = 8;
inline constexpr std::size_t kAccessOffset = 12;
inline constexpr std::size_t kItemHeaderBytes = 20;
inline constexpr std::size_t kChainBytesOffset = 20;
inline constexpr std::size_t kChainNextOffset = 24;
inline constexpr std::size_t kChainHeaderBytes = 32;
inline constexpr std::size_t kPartNextOffset = 0;
inline constexpr std::size_t kPartHeadOffset = 8;
inline constexpr std::size_t kPartUsedOffset = 20;
inline constexpr std::size_t kPartAheadOffset = 24;
inline constexpr std::size_t kPartHeaderBytes = 32;
inline constexpr unsigned kPartsAhead = 4;
inline constexpr std::size_t kClientFlagsBytes = 4;
inline constexpr std::size_t kKeyBytesMax = 250;
static_assert(kItemHeaderBytes == kStateOffset + sizeof(std::uint32_t));
static_assert(kItemHeaderBytes + 16 + 32 <= 72, "the reference item of the memory target");

// Marks in the state word.
inline constexpr std::uint32_t kStale = 1U << 12;      // invalidated by a meta delete, still served
inline constexpr std::uint32_t kTokenSent = 1U << 13;  // somebody was told to recache it
inline constexpr std::uint32_t kBinaryKey = 1U << 14;  // stored with a base64 key
inline constexpr std::uint32_t kHasFlags = 1U << 15;   // client flags are not 0 and stored
inline constexpr std::uint32_t kChained = 1U << 16;    // head of a chain
inline constexpr unsigned kValueBytesShift = 17, kValueBytesBits = 15;  // unchained only
static_assert(kMarksShift == 12 && kValueBytesShift + kValueBytesBits == 32);
static_assert(kChunkBytesMax - kItemHeaderBytes < (std::size_t{1} << kValueBytesBits));
// The longest header and key end inside the head of a chain.
static_assert(kChainHeaderBytes + kClientFlagsBytes + kKeyBytesMax < kChunkBytesMax);

inline constexpr std::uint32_t state_epoch(std::uint32_t state) {
  return (state >> kEpochShift) & ((1U << kEpochBits) - 1);
}
inline constexpr std::uint32_t with_kind(std::uint32_t state, ChunkKind kind) {
  return (state & ~7U) | static_cast<std::uint32_t>(kind);
}
// The word of an unchained item while `thread` overwrites it: generation, epoch and marks stay, and where the
// length was, the number of the thread is, so that nobody takes another's lock for its own.
inline constexpr std::uint32_t writing_word(std::uint32_t state, unsigned thread) {
  constexpr std::uint32_t kKept = (std::uint32_t{1} << kValueBytesShift) - 1;
  return with_kind(state & kKept, ChunkKind::kWriting) | thread << kValueBytesShift;
}

// Seconds of the access time are kept modulo 2^24 (194 days). What seems to lie ahead, by a thread whose
// clock has not ticked yet, is now; that takes a day off.
inline constexpr std::uint32_t kAccessMask = (1U << 24) - 1;
inline constexpr std::uint32_t idle_seconds(std::uint32_t access_word, CacheTime now) {
  const std::uint32_t idle = (now - (access_word >> 8)) & kAccessMask;
  constexpr std::uint32_t kAheadMax = 24 * 60 * 60;
  return idle > kAccessMask - kAheadMax ? 0 : idle;
}
inline constexpr std::uint32_t access_word(CacheTime now, std::size_t key_bytes) {
  return now << 8 | static_cast<std::uint32_t>(key_bytes);
}

// Where the key starts.
inline constexpr std::size_t key_offset(std::uint32_t state) {
  return ((state & kChained) != 0 ? kChainHeaderBytes : kItemHeaderBytes) +
         ((state & kHasFlags) != 0 ? kClientFlagsBytes : 0);
}
inline constexpr std::size_t unchained_bytes(std::size_t key_bytes, std::size_t value_bytes,
                                             std::uint32_t client_flags) {
  return kItemHeaderBytes + (client_flags != 0 ? kClientFlagsBytes : 0) + key_bytes + value_bytes;
}

// A copy of what precedes the key; as trustworthy as the moment it was taken.
struct ItemHeader {
  std::uint64_t cas = 0;
  CacheTime expiry = 0;
  std::uint32_t access = 0;
  std::uint32_t state = 0;
  std::uint32_t client_flags = 0;
  std::uint32_t value_bytes = 0;

  std::size_t key_bytes() const { return access & 0xff; }
  bool chained() const { return (state & kChained) != 0; }
  std::size_t value_offset() const { return key_offset(state) + key_bytes(); }
  // Bytes of the value that lie in the head's chunk.
  std::size_t head_value_bytes() const {
    if (!chained()) return value_bytes;
    const std::size_t room = kChunkBytesMax - value_offset();
    return room < value_bytes ? room : value_bytes;
  }
  std::size_t chunk_bytes() const { return chained() ? kChunkBytesMax : value_offset() + value_bytes; }
};

// The `bytes` after the start of the chunk lie in its page. A reader that saw a torn header asks this before
// it follows a length; pages are whole, so it cannot leave mapped memory then.
inline constexpr bool page_holds(ChunkAddress address, std::size_t bytes) {
  return (address * kGranuleBytes) % kPageBytes + bytes <= kPageBytes;
}

// What belongs to this id and state word.
inline ItemHeader read_header(const std::byte* item, ChunkAddress address, std::uint64_t cas,
                              std::uint32_t state) {
  ItemHeader header;
  header.cas = cas;
  header.state = state;
  header.access = shared_load32(item + kAccessOffset);
  header.expiry = shared_load32(item + kExpiryOffset);
  header.value_bytes =
      header.chained() ? shared_load32(item + kChainBytesOffset) : header.state >> kValueBytesShift;
  if ((header.state & kHasFlags) != 0 && page_holds(address, key_offset(header.state))) {
    header.client_flags = shared_load32(item + key_offset(header.state) - kClientFlagsBytes);
  }
  return header;
}

// `item` is the head of an item, or was one when its bucket was read. It is of one moment if the kind is not
// kWriting, and neither bucket nor CAS id have changed behind it.
inline ItemHeader read_header(const std::byte* item, ChunkAddress address) {
  const std::uint64_t cas = shared_load64(item + kCasOffset);
  read_fence();
  const std::uint32_t state = shared_load32(item + kStateOffset);
  read_fence();
  return read_header(item, address, cas, state);
}

// The item has this key, as far as can be told without its version.
inline bool has_key(const std::byte* item, ChunkAddress address, std::string_view key) {
  const std::uint32_t access = shared_load32(item + kAccessOffset);
  if ((access & 0xff) != key.size()) return false;
  const std::size_t offset = key_offset(shared_load32(item + kStateOffset));
  return page_holds(address, offset + key.size()) && equal_to_shared(item + offset, key.data(), key.size());
}

}  // namespace ringcached::store
