#include "store/lane.h"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "base/assert.h"
#include "store/poison.h"

namespace ringcached::store {
namespace {

// place_of() divides offsets in a page by multiplying: exact because an offset has 18 bits and the rounding
// error of the reciprocal, offset / 2^kReciprocalShift, stays below 1 / kChunkBytesMax.
constexpr unsigned kReciprocalShift = 40;
static_assert(kPageBytes * kChunkBytesMax < std::uint64_t{1} << kReciprocalShift);

// Bytes of a free chunk that stay readable: link and state word.
constexpr std::size_t kFreeChunkHead = kStateOffset + sizeof(std::uint32_t);

// Of a chunk about to be evicted: with its first byte, the lines of an item's header and the start of its
// key.
constexpr std::size_t kShortHeadBytes = 40;

// Dropping starts when more than half of the entries are stale, and so many on top, so that short queues are
// left alone; or when parked chunks begin to matter. One block is looked at per so many changes: a pass over
// n entries ends within n / 8 changes, before as many new stale ones have come.
constexpr std::size_t kStaleSlack = 512;
constexpr std::size_t kParkedSlack = 64;
constexpr std::size_t kParkedFraction = 16;
constexpr unsigned kChangesPerCompactStep = 32;
constexpr unsigned kChangesPerUrgentStep = 4;
constexpr unsigned kUnparkSteps = 32;

std::uint32_t state_word(ChunkKind kind, std::uint32_t generation) {
  return static_cast<std::uint32_t>(kind) | generation << kGenerationShift;
}

}  // namespace

Lane::Lane(const Config& config, PagePool& pool, FifoBlocks& blocks)
    : pool_(pool),
      arena_(config.arena),
      slab_class_(config.slab_class),
      number_(config.number),
      chunk_bytes_(config.chunk_bytes),
      chunks_per_page_(static_cast<unsigned>(kPageBytes / config.chunk_bytes)),
      chunk_bits_(static_cast<unsigned>(std::bit_width(chunks_per_page_ - 1))),
      slots_max_(std::min(config.slots_max, 1U << (32 - kEntryGenerationBits - chunk_bits_))),
      reciprocal_(((std::uint64_t{1} << kReciprocalShift) + config.chunk_bytes - 1) / config.chunk_bytes),
      policy_(blocks, config.policy) {}

Lane::Place Lane::place_of(ChunkAddress chunk) const {
  const std::uint64_t offset = chunk * kGranuleBytes % kPageBytes;
  return {pool_.info(pool_.page_of(chunk)).slot.load(std::memory_order_relaxed),
          static_cast<std::uint32_t>(offset * reciprocal_ >> kReciprocalShift)};
}

ChunkAddress Lane::address_of(Place place) const {
  return (std::uint64_t{table_[place.slot].page} * kPageBytes + place.chunk * chunk_bytes_) / kGranuleBytes;
}

bool Lane::prepare() {
  if (full() || (vacant_ == 0 && !table_.reserve(slots_ + std::size_t{1}))) return false;
  LanePage& entry = table_[next_slot()];
  if (entry.marks == nullptr) {
    entry.marks.reset(new (std::nothrow) std::uint8_t[(chunks_per_page_ + 1) / 2]());
  }
  return entry.marks != nullptr;
}

bool Lane::attach(PageId page, std::uint32_t index) {
  if (!prepare()) return false;
  const std::uint32_t slot = next_slot();
  LanePage& entry = table_[slot];
  if (vacant_ != 0) {
    vacant_ = entry.next;
  } else {
    ++slots_;
  }
  entry.page = page;
  entry.first = page == 0 ? 1 : 0;
  entry.fresh = entry.first;
  entry.leaving = false;
  entry.used = 0;
  entry.free_head = 0;
  entry.index = index;
  entry.looked_at = 0;
  entry.use_known = false;
  entry.last_share = 0;
  PageInfo& info = pool_.info(page);
  info.arena.store(static_cast<std::uint16_t>(arena_), std::memory_order_relaxed);
  info.lane.store(static_cast<std::uint8_t>(number_), std::memory_order_relaxed);
  info.slot.store(slot, std::memory_order_relaxed);
  info.slab_class.store(static_cast<std::uint8_t>(slab_class_),
                        std::memory_order_release);  // last, see publish
  poison(pool_.page_address(page), kPageBytes);
  ++pages_;
  capacity_ += chunks_per_page_ - entry.first;
  list_page(slot);
  return true;
}

PageId Lane::detach(std::uint32_t slot) {
  LanePage& page = table_[slot];
  RC_CHECK(page.page != kNoPage && page.used == 0);
  for (std::uint32_t chunk = page.first; parked_ != 0 && chunk < page.fresh; ++chunk) {
    if (marks_of(page, chunk) == kAllMarks) --parked_;
  }
  if (page.listed) unlist_page(slot);
  --pages_;
  capacity_ -= chunks_per_page_ - page.first;
  const PageId id = std::exchange(page.page, kNoPage);
  if (page.entries == 0) page.marks.reset();
  page.next = std::exchange(vacant_, slot + 1);
  unpoison(pool_.page_address(id), kPageBytes);
  pool_.info(id).slab_class.store(PageInfo::kNoClass, std::memory_order_relaxed);
  return id;
}

void Lane::set_leaving(std::uint32_t slot, bool leaving) {
  LanePage& page = table_[slot];
  RC_CHECK(page.page != kNoPage && page.leaving != leaving);
  page.leaving = leaving;
  if (page.listed) unlist_page(slot);
  if (!leaving && (page.free_head != 0 || page.fresh < chunks_per_page_)) list_page(slot);
}

std::uint32_t Lane::next_victim(unsigned pages_looked_at) {
  std::uint32_t best = ~0U;
  for (std::uint32_t steps = 0; steps < slots_ && pages_looked_at != 0; ++steps) {
    const std::uint32_t slot = victim_ = (victim_ + 1) % slots_;
    if (table_[slot].page == kNoPage) continue;
    --pages_looked_at;
    if (best == ~0U || table_[slot].used < table_[best].used) best = slot;
  }
  return best;
}

void Lane::list_page(std::uint32_t slot) {
  LanePage& page = table_[slot];
  page.listed = true;
  page.prev = 0;
  page.next = std::exchange(roomy_, slot + 1);
  if (page.next != 0) table_[page.next - 1].prev = slot + 1;
}

void Lane::unlist_page(std::uint32_t slot) {
  LanePage& page = table_[slot];
  page.listed = false;
  if (page.next != 0) table_[page.next - 1].prev = page.prev;
  (page.prev != 0 ? table_[page.prev - 1].next : roomy_) = page.next;
}

Chunk Lane::take() {
  while (roomy_ != 0) {
    const std::uint32_t slot = roomy_ - 1;
    const Chunk chunk = take_from(slot);
    const LanePage& page = table_[slot];
    if (page.free_head == 0 && page.fresh == chunks_per_page_) unlist_page(slot);
    if (chunk) return chunk;
  }
  return {};
}

// Empty when the page had but one fresh chunk and that must be parked.
Chunk Lane::take_from(std::uint32_t slot) {
  LanePage& page = table_[slot];
  std::uint32_t chunk = 0, generation = 0;
  std::byte* memory = nullptr;
  if (page.free_head != 0) {
    chunk = page.free_head - 1;
    memory = pointer(page, chunk);
    page.free_head = static_cast<std::uint32_t>(chunk_link(memory).load(std::memory_order_relaxed));
    generation = chunk_generation(chunk_state(memory).load(std::memory_order_relaxed));
  } else {
    chunk = page.fresh++;
    memory = pointer(page, chunk);
    const std::uint8_t marks = marks_of(page, chunk);
    unpoison(memory, kFreeChunkHead);
    if (marks == kAllMarks) {
      chunk_state(memory).store(state_word(ChunkKind::kFree, 0), std::memory_order_relaxed);
      ++parked_;
      return {};
    }
    generation = static_cast<std::uint32_t>(std::countr_one(marks));
  }
  unpoison(memory, chunk_bytes_);
  chunk_state(memory).store(state_word(ChunkKind::kFilling, generation), std::memory_order_relaxed);
  ++page.used;
  ++used_;
  return {address_of({slot, chunk}), generation};
}

bool Lane::put(ChunkAddress address) {
  const Place place = place_of(address);
  LanePage& page = table_[place.slot];
  RC_DCHECK(address_of(place) == address);
  std::byte* const memory = pointer(page, place.chunk);
  const std::uint32_t state = chunk_state(memory).load(std::memory_order_relaxed);
  RC_CHECK(chunk_kind(state) != ChunkKind::kFree);
  const std::uint32_t generation = chunk_generation(state);
  const std::uint8_t marks = marks_of(page, place.chunk);
  if ((marks >> generation & 1) != 0) ++stale_;
  --page.used;
  --used_;
  if (marks == kAllMarks) {
    chunk_state(memory).store(state_word(ChunkKind::kFree, generation), std::memory_order_relaxed);
    poison(memory + kFreeChunkHead, chunk_bytes_ - kFreeChunkHead);
    ++parked_;
  } else {
    std::uint32_t next = (generation + 1) % kGenerations;
    while ((marks >> next & 1) != 0) next = (next + 1) % kGenerations;
    list_free(place.slot, place.chunk, next);
  }
  return page.used == 0;
}

void Lane::list_free(std::uint32_t slot, std::uint32_t chunk, std::uint32_t generation) {
  LanePage& page = table_[slot];
  std::byte* const memory = pointer(page, chunk);
  chunk_state(memory).store(state_word(ChunkKind::kFree, generation), std::memory_order_relaxed);
  chunk_link(memory).store(std::exchange(page.free_head, chunk + 1), std::memory_order_relaxed);
  poison(memory + kFreeChunkHead, chunk_bytes_ - kFreeChunkHead);
  if (!page.listed && !page.leaving) list_page(slot);
}

ChunkAddress Lane::oldest(Queue queue) const {
  constexpr std::size_t kEntriesLookedAt = 64;
  const FifoQueue& entries = queue == Queue::kSmall ? policy_.small() : policy_.main();
  std::uint32_t entry = 0;
  for (std::size_t ahead = 0; ahead < kEntriesLookedAt && entries.peek(ahead, entry); ++ahead) {
    if (look_at(entry) == EntryState::kItem) return address_of(place_of_entry(entry));
  }
  return kNoChunk;
}

S3Fifo::Insertion Lane::publish(Chunk chunk, std::uint32_t fingerprint) {
  const Place place = place_of(chunk.address);
  LanePage& page = table_[place.slot];
  // Removed, freed and perhaps handed out again since it was linked: then there is nothing to queue.
  if (place.chunk >= page.fresh) return {.queued = true};
  const std::uint32_t state = chunk_state(pointer(page, place.chunk)).load(std::memory_order_relaxed);
  const bool gone = chunk_kind(state) == ChunkKind::kFree || chunk_generation(state) != chunk.generation;
  if (gone || (marks_of(page, place.chunk) >> chunk.generation & 1) != 0) return {.queued = true};

  const S3Fifo::Insertion result = policy_.insert(entry_of(place, chunk.generation), fingerprint);
  if (result.queued) {
    flip_mark(page, place.chunk, chunk.generation);
    ++page.entries;
  }
  return result;
}

Lane::EntryState Lane::look_at(std::uint32_t entry) const {
  const Place place = place_of_entry(entry);
  const LanePage& page = table_[place.slot];
  // The slot may have another page now: one that has not handed out as many chunks, or the first of all,
  // whose first chunk is left out.
  if (page.page == kNoPage || place.chunk >= page.fresh || place.chunk < page.first)
    return EntryState::kStale;
  const std::uint32_t state = chunk_state(pointer(page, place.chunk)).load(std::memory_order_relaxed);
  if (chunk_kind(state) == ChunkKind::kFree || chunk_generation(state) != generation_of_entry(entry)) {
    return EntryState::kStale;
  }
  return is_linked(chunk_kind(state)) ? EntryState::kItem : EntryState::kUnlinked;
}

void Lane::prefetch(std::uint32_t entry) const {
  const Place place = place_of_entry(entry);
  const LanePage& page = table_[place.slot];
  if (page.page == kNoPage) return;
  const std::byte* const chunk = pointer(page, place.chunk);
  __builtin_prefetch(chunk);
  __builtin_prefetch(chunk + kShortHeadBytes);
}

// The entry has left the queues.
void Lane::forget(std::uint32_t entry, EntryState state) {
  const Place place = place_of_entry(entry);
  LanePage& page = table_[place.slot];
  const std::uint32_t generation = generation_of_entry(entry);
  const bool was_full = marks_of(page, place.chunk) == kAllMarks;
  flip_mark(page, place.chunk, generation);
  --page.entries;
  if (state == EntryState::kStale) --stale_;
  if (page.page == kNoPage) {
    if (page.entries == 0) page.marks.reset();
    return;
  }
  if (!was_full || place.chunk >= page.fresh || place.chunk < page.first) return;
  const std::uint32_t word = chunk_state(pointer(page, place.chunk)).load(std::memory_order_relaxed);
  if (chunk_kind(word) != ChunkKind::kFree) return;
  --parked_;
  list_free(place.slot, place.chunk, generation);
}

bool Lane::compact_step() {
  return policy_.compact_step([this](std::uint32_t entry) { prefetch(entry); },
                              [this](std::uint32_t entry) {
                                const EntryState state = look_at(entry);
                                if (state == EntryState::kItem) return true;
                                forget(entry, state);
                                return false;
                              });
}

void Lane::compact_if_due() {
  if (!compacting_) {
    const bool many_stale = stale_ * 2 > policy_.size() + kStaleSlack;
    const bool many_parked = parked_ > kParkedSlack && parked_ > capacity_ / kParkedFraction;
    if (!many_stale && !many_parked) return;
    compacting_ = true;
  }
  // Pages that left may have made most entries stale at once.
  const bool mostly_stale = stale_ * 4 > policy_.size() * 3;
  if (++compact_credit_ < (mostly_stale ? kChangesPerUrgentStep : kChangesPerCompactStep)) return;
  compact_credit_ = 0;
  compacting_ = compact_step();
}

bool Lane::unpark() {
  for (unsigned step = 0; step < kUnparkSteps && parked_ != 0 && roomy_ == 0; ++step) compact_step();
  return roomy_ != 0;
}

}  // namespace ringcached::store
