// The eviction side of the store: what the arenas ask when they need memory back.
#include "base/hash.h"
#include "store/store_core.h"

namespace ringcached::store {

std::uint64_t StoreCore::hash_at(ChunkAddress address) const {
  const std::byte* chunk = item(address);
  const std::size_t offset = key_offset(shared_load32(chunk + kStateOffset));
  const std::size_t key_bytes = shared_load32(chunk + kAccessOffset) & 0xff;
  if (!page_holds(address, offset + key_bytes)) return 0;
  char key[256];
  copy_from_shared(key, chunk + offset, key_bytes);
  return hash_key({key, key_bytes}, seed);
}

namespace {

// A used item gets another round. What is left of its counter, or nothing to spare it for.
bool spared(const StoreCore& core, const Existing& existing, Queue queue) {
  const std::uint64_t slot = existing.slot->load(std::memory_order_relaxed);
  const std::uint64_t frequency = slot_frequency(slot);
  if (frequency == 0) return false;
  const bool lower = queue == Queue::kMain && !core.options.lru;
  existing.slot->store(with_frequency(slot, lower ? frequency - 1 : 0), std::memory_order_relaxed);
  return true;
}

ItemOwner::Decision evicted(const Existing& existing, std::uint64_t hash, CacheTime now) {
  const std::uint64_t slot = existing.slot->load(std::memory_order_relaxed);
  ItemOwner::Decision decision;
  decision.verdict = Verdict::kEvicted;
  decision.fingerprint = fingerprint_of(hash);
  decision.expired = !existing.alive();
  decision.has_expiry = existing.header.expiry != kNeverExpires;
  decision.fetched = (slot & kSlotFetched) != 0;
  decision.active = slot_frequency(slot) > 0;
  decision.idle_seconds = idle_seconds(existing.header.access, now);
  return decision;
}

void count_eviction(StoreCounters& counters, const ItemOwner::Decision& decision) {
  if (decision.expired) {
    counters.reclaimed.add();
    return;
  }
  counters.evictions.add();
  if (!decision.fetched) counters.evicted_unfetched.add();
  if (decision.active) counters.evicted_active.add();
}

}  // namespace

// The item is unlinked and its chunks are still there: nobody else reads or frees them.
void ArenaOwner::report(const Existing& existing, const Decision& decision, CacheTime now) const {
  const ItemHeader& header = existing.header;
  char key[256];
  copy_from_shared(key, core_.item(existing.address) + key_offset(header.state), header.key_bytes());
  core_.eviction_observer->on_eviction(arena_, {.key = {key, header.key_bytes()},
                                                .value_bytes = header.value_bytes,
                                                .expiry = header.expiry,
                                                .now = now,
                                                .idle_seconds = decision.idle_seconds,
                                                .fetched = decision.fetched,
                                                .slab_class = core_.class_of(header)});
}

ItemOwner::Decision ArenaOwner::try_evict(ChunkAddress chunk, std::uint32_t generation, Queue queue,
                                          bool force) {
  const std::byte* head = core_.item(chunk);
  const auto there = [&] {
    const std::uint32_t state =
        shared_load32(head + kStateOffset);  // it may be another arena's, and free by now
    return is_linked(chunk_kind(state)) && chunk_generation(state) == generation;
  };
  if (!there()) return {};
  const std::uint64_t hash = core_.hash_at(chunk);
  const CacheTime now = core_.latest_now.load(std::memory_order_relaxed);
  Existing existing;
  Decision decision;
  {
    LockedBucket bucket(*core_.index, hash);
    existing = core_.examine_at(bucket.find_address(chunk), now);
    if (existing.slot == nullptr || !there()) return {};
    if (existing.alive() && !force && spared(core_, existing, queue)) return {.verdict = Verdict::kKept};
    const bool pinnable = existing.header.value_bytes >= kPinBytesMin;
    if (pinnable && core_.pool->pins(chunk).load(std::memory_order_relaxed) != 0)
      return {.verdict = Verdict::kBusy};
    decision = evicted(existing, hash, now);
    core_.unlink(ledger_, bucket, existing);
  }
  core_.index->count(-1, ledger_.index);
  count_eviction(ledger_.counters, decision);
  if (core_.eviction_observer != nullptr && core_.eviction_observer->wants_evictions() && !decision.expired)
      [[unlikely]] {
    report(existing, decision, now);
  }
  if (!core_.release_parts(existing)) return {};  // a reader was faster: its pin has the item now
  return decision;
}

void ArenaOwner::expect_eviction(ChunkAddress chunk) {
  core_.index->prefetch(core_.hash_at(chunk));
}

ChunkAddress ArenaOwner::head_of(ChunkAddress part) {
  const std::byte* chunk = core_.item(part);
  if (chunk_kind(shared_load32(chunk + kStateOffset)) != ChunkKind::kPart) return kNoChunk;
  const ChunkAddress head = shared_load64(chunk + kPartHeadOffset);
  const bool linked = chunk_kind(shared_load32(core_.item(head) + kStateOffset)) == ChunkKind::kItem;
  return linked ? head : kNoChunk;
}

bool ArenaOwner::was_used(ChunkAddress chunk, bool clear) {
  LockedBucket bucket(*core_.index, core_.hash_at(chunk));
  std::atomic<std::uint64_t>* const slot = bucket.find_address(chunk);
  if (slot == nullptr) return false;
  const std::uint64_t frequency = slot_frequency(slot->load(std::memory_order_relaxed));
  // Whoever overwrites the item in place changes the slot, too, and is not waited for.
  if (clear && frequency != 0) slot->fetch_and(~kSlotFrequencyMask, std::memory_order_relaxed);
  return frequency != 0;
}

void ArenaOwner::await_writers(ChunkAddress page) {
  core_.page_guard->await_none_in(page, kPageBytes);
}

void ArenaOwner::free_elsewhere(ChunkAddress chunk) {
  core_.free_chunk(nullptr, chunk);
}

}  // namespace ringcached::store
