// Values that arrive in pieces: one chunk, or a chain that grows with them.
#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "store/store_core.h"

namespace ringcached::store {

namespace {

// Lent to whoever begins a value, if it is that large.
constexpr std::size_t kRoomBytesMin = std::size_t{128} << 10;

}  // namespace

PendingStore::PendingStore(PendingStore&& other) noexcept {
  *this = std::move(other);
}

PendingStore& PendingStore::operator=(PendingStore&& other) noexcept {
  if (this == &other) return *this;
  discard();
  thread_ = std::exchange(other.thread_, nullptr);
  head_ = std::exchange(other.head_, Chunk{});
  slab_class_ = other.slab_class_;
  chained_ = other.chained_;
  client_flags_ = other.client_flags_;
  value_bytes_ = other.value_bytes_;
  write_ = std::exchange(other.write_, {});
  last_ = std::exchange(other.last_, kNoChunk);
  latest_ = other.latest_;
  parts_ = other.parts_;
  remaining_ = std::exchange(other.remaining_, 0);
  without_chunk_ = std::exchange(other.without_chunk_, 0);
  return *this;
}

PendingStore::~PendingStore() {
  discard();
}

void PendingStore::discard() {
  if (thread_ == nullptr) return;
  thread_->core->discard(*thread_, StoreCore::draft_of(*this));
  thread_ = nullptr;
  head_ = {};
  write_ = {};
  last_ = kNoChunk;
  remaining_ = without_chunk_ = 0;
}

// One more chunk at the end of the chain, as large as needed for what has none yet.
bool PendingStore::add_part() {
  static_assert(std::tuple_size_v<decltype(latest_)> == kPartsAhead);
  StoreCore& core = *thread_->core;
  const std::size_t used = std::min(without_chunk_, kChunkBytesMax - kPartHeaderBytes);
  const Chunk part = core.allocate(*thread_, core.classes.class_for(kPartHeaderBytes + used));
  if (!part) return false;
  std::byte* chunk = core.item(part.address);
  shared_store64(chunk + kPartNextOffset, kNoChunk);
  shared_store64(chunk + kPartAheadOffset, kNoChunk);
  shared_store64(chunk + kPartHeadOffset, head_.address);
  shared_store32(chunk + kPartUsedOffset, static_cast<std::uint32_t>(used));
  chunk_state(chunk).store(static_cast<std::uint32_t>(ChunkKind::kPart) | part.generation << kGenerationShift,
                           std::memory_order_release);
  const std::size_t link = last_ == head_.address ? kChainNextOffset : kPartNextOffset;
  shared_store64(core.item(last_) + link, part.address);
  ChunkAddress& earlier = latest_[parts_++ % kPartsAhead];
  if (parts_ > kPartsAhead) shared_store64(core.item(earlier) + kPartAheadOffset, part.address);
  earlier = last_ = part.address;
  without_chunk_ -= used;
  return true;
}

// From a chunk that is full to the next one. False if there is none and none to be had.
bool PendingStore::advance(Cursor& cursor) {
  if (cursor.chunk == last_ && (without_chunk_ == 0 || !add_part())) return false;
  StoreCore& core = *thread_->core;
  const std::size_t link = cursor.chunk == head_.address ? kChainNextOffset : kPartNextOffset;
  cursor.chunk = shared_load64(core.item(cursor.chunk) + link);
  cursor.offset = kPartHeaderBytes;
  cursor.limit = kPartHeaderBytes + shared_load32(core.item(cursor.chunk) + kPartUsedOffset);
  return true;
}

std::span<char> PendingStore::memory_at(const Cursor& cursor) const {
  return {reinterpret_cast<char*>(thread_->core->item(cursor.chunk)) + cursor.offset,
          cursor.limit - cursor.offset};
}

bool PendingStore::write(std::span<const char> bytes) {
  if (thread_ == nullptr) return false;
  RC_CHECK(bytes.size() <= remaining_);
  while (!bytes.empty()) {
    if (write_.offset == write_.limit && !advance(write_)) {
      discard();
      return false;
    }
    const std::size_t piece = std::min<std::size_t>(bytes.size(), write_.limit - write_.offset);
    copy_to_shared(thread_->core->item(write_.chunk) + write_.offset, bytes.data(), piece);
    write_.offset += static_cast<std::uint32_t>(piece);
    remaining_ -= piece;
    bytes = bytes.subspan(piece);
  }
  return true;
}

// Whoever announces a value and falls silent shall not hold much more memory than what has come of it.
std::size_t PendingStore::room(std::span<std::span<char>> pieces) {
  if (thread_ == nullptr) return 0;
  const std::size_t bytes_max = std::max(value_bytes_ - remaining_, kRoomBytesMin);
  std::size_t count = 0;
  std::size_t bytes = 0;
  Cursor cursor = write_;
  while (count < pieces.size() && bytes < std::min(remaining_, bytes_max)) {
    if (cursor.offset == cursor.limit && !advance(cursor)) break;
    pieces[count] = memory_at(cursor);
    bytes += pieces[count++].size();
    cursor.offset = cursor.limit;
  }
  return count;
}

void PendingStore::placed(std::size_t bytes) {
  RC_CHECK(thread_ != nullptr && bytes <= remaining_);
  remaining_ -= bytes;
  while (bytes > write_.limit - write_.offset) {
    bytes -= write_.limit - write_.offset;
    RC_CHECK(write_.chunk != last_ && advance(write_));
  }
  write_.offset += static_cast<std::uint32_t>(bytes);
}

Draft StoreCore::draft_of(const PendingStore& pending) {
  return {pending.head_, pending.slab_class_, pending.client_flags_, pending.value_bytes_, pending.chained_};
}

// Whether a chain of a value that would need one chunk of `unchained_bytes` fits if there is nothing else.
bool StoreCore::fits_memory(std::size_t unchained_bytes) const {
  constexpr std::size_t kPerPage = kPageBytes / kChunkBytesMax;
  const std::size_t chain_bytes = unchained_bytes + (kChainHeaderBytes - kItemHeaderBytes);
  const std::size_t in_parts = chain_bytes > kChunkBytesMax ? chain_bytes - kChunkBytesMax : 0;
  const std::size_t largest = 1 + in_parts / (kChunkBytesMax - kPartHeaderBytes);
  const bool has_rest = in_parts % (kChunkBytesMax - kPartHeaderBytes) != 0;
  const std::size_t pages = pool->limit_bytes() / kPageBytes - (has_rest ? 1 : 0);
  return largest < pages * kPerPage;  // the first chunk of the first page is not used
}

StoreResult StoreCore::begin(ThreadState& thread, const StoreRequest& request, std::size_t value_bytes,
                             CacheTime time, PendingStore& pending) {
  const std::string_view key = request.key.bytes;
  if (exceeds_limit(request, value_bytes)) return reject(thread, request, StoreResult::kTooLarge, time);
  const std::size_t chunk_bytes = unchained_bytes(key.size(), value_bytes, request.client_flags);
  Draft draft{
      {}, 0, request.client_flags, static_cast<std::uint32_t>(value_bytes), chunk_bytes > kChunkBytesMax};
  draft.slab_class = classes.class_for(std::min(chunk_bytes, kChunkBytesMax));
  // What could not fit into all the memory there is would only throw out everything else.
  if (!draft.chained || fits_memory(chunk_bytes)) draft.chunk = allocate(thread, draft.slab_class);
  if (!draft.chunk) return reject(thread, request, StoreResult::kNoMemory, time);
  write_head(draft, key);

  const std::size_t offset =
      key_offset((draft.chained ? kChained : 0) | (draft.client_flags != 0 ? kHasFlags : 0)) + key.size();
  pending.discard();
  pending.thread_ = &thread;
  pending.head_ = draft.chunk;
  pending.slab_class_ = draft.slab_class;
  pending.chained_ = draft.chained;
  pending.client_flags_ = draft.client_flags;
  pending.value_bytes_ = draft.value_bytes;
  const std::size_t limit = draft.chained ? kChunkBytesMax : offset + value_bytes;
  pending.write_ = {draft.chunk.address, static_cast<std::uint32_t>(offset),
                    static_cast<std::uint32_t>(limit)};
  pending.last_ = draft.chunk.address;
  pending.parts_ = 0;
  pending.remaining_ = value_bytes;
  pending.without_chunk_ = value_bytes - (limit - offset);
  return StoreResult::kStored;
}

StoreResult StoreCore::commit(ThreadState& thread, const StoreRequest& request, PendingStore& pending,
                              CacheTime time) {
  RC_CHECK(pending.thread_ == &thread && pending.remaining_ == 0);
  const Draft draft = draft_of(pending);
  if (request.mode != StoreMode::kAppend && request.mode != StoreMode::kPrepend) {
    pending.thread_ = nullptr;
    return link(thread, request, draft, time);
  }
  ItemHeader header;
  header.state = (draft.chained ? kChained : 0) | (draft.client_flags != 0 ? kHasFlags : 0);
  header.access = access_word(time, request.key.bytes.size());
  header.value_bytes = draft.value_bytes;
  std::vector<std::string_view> pieces;
  visit_value(*this, item(draft.chunk.address), header,
              [&](std::span<const char> piece) { pieces.emplace_back(piece.data(), piece.size()); });
  const StoreResult result = join(thread, request, pieces, time);
  pending.discard();
  return result;
}

StoreResult Store::begin(StoreThread& thread, const StoreRequest& request, std::size_t value_bytes,
                         CacheTime now, PendingStore& pending) {
  impl_->see_time(now);
  thread.impl_->last_class = 0;
  thread.impl_->seen = Lookup::kMiss;
  return impl_->begin(*thread.impl_, request, value_bytes, now, pending);
}

StoreResult Store::commit(StoreThread& thread, const StoreRequest& request, PendingStore&& pending,
                          CacheTime now) {
  impl_->see_time(now);
  thread.impl_->last_class = 0;
  return impl_->commit(*thread.impl_, request, pending, now);
}

}  // namespace ringcached::store
