// Values that arrive in pieces: one chunk, or a chain that grows with them.
#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "store/store_core.h"

namespace ringcached::store {

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
  tail_ = std::exchange(other.tail_, kNoChunk);
  tail_offset_ = other.tail_offset_;
  tail_limit_ = other.tail_limit_;
  remaining_ = std::exchange(other.remaining_, 0);
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
  tail_ = kNoChunk;
  remaining_ = 0;
}

// The next chunk of the chain, as large as needed for what is still to come.
bool PendingStore::add_part() {
  StoreCore& core = *thread_->core;
  const std::size_t used = std::min(remaining_, kChunkBytesMax - kPartHeaderBytes);
  const Chunk part = core.allocate(*thread_, core.classes.class_for(kPartHeaderBytes + used));
  if (!part) return false;
  std::byte* chunk = core.item(part.address);
  shared_store64(chunk + kPartNextOffset, kNoChunk);
  shared_store64(chunk + kPartHeadOffset, head_.address);
  shared_store32(chunk + kPartUsedOffset, static_cast<std::uint32_t>(used));
  chunk_state(chunk).store(static_cast<std::uint32_t>(ChunkKind::kPart) | part.generation << kGenerationShift,
                           std::memory_order_release);
  const std::size_t link = tail_ == head_.address ? kChainNextOffset : kPartNextOffset;
  shared_store64(core.item(tail_) + link, part.address);
  tail_ = part.address;
  tail_offset_ = kPartHeaderBytes;
  tail_limit_ = static_cast<std::uint32_t>(kPartHeaderBytes + used);
  return true;
}

bool PendingStore::write(std::span<const char> bytes) {
  if (thread_ == nullptr) return false;
  RC_CHECK(bytes.size() <= remaining_);
  while (!bytes.empty()) {
    if (tail_offset_ == tail_limit_ && !add_part()) {
      discard();
      return false;
    }
    const std::size_t piece = std::min<std::size_t>(bytes.size(), tail_limit_ - tail_offset_);
    copy_to_shared(thread_->core->item(tail_) + tail_offset_, bytes.data(), piece);
    tail_offset_ += static_cast<std::uint32_t>(piece);
    remaining_ -= piece;
    bytes = bytes.subspan(piece);
  }
  return true;
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
  pending.tail_ = draft.chunk.address;
  pending.tail_offset_ = static_cast<std::uint32_t>(offset);
  pending.tail_limit_ = static_cast<std::uint32_t>(draft.chained ? kChunkBytesMax : offset + value_bytes);
  pending.remaining_ = value_bytes;
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
