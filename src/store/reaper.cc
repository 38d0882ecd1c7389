#include "store/reaper.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/assert.h"
#include "base/spin_lock.h"
#include "store/store_core.h"

namespace ringcached::store {

// What a visit to a page gathers, under the arena's lock.
struct Reaper::Visit {
  StoreCore& core;
  CacheTime now;
  std::vector<ChunkAddress>& found;
  CacheTime earliest = ~CacheTime{0};
  std::size_t items = 0;
  bool linking = false;

  static void on_chunk(void* context, ChunkAddress chunk, std::uint32_t state) {
    auto& visit = *static_cast<Visit*>(context);
    if (chunk_kind(state) == ChunkKind::kLinking) {
      visit.linking = true;
      return;
    }
    const ItemHeader header = read_header(visit.core.item(chunk), chunk);
    ++visit.items;
    if (visit.core.vitality(header, visit.now) != Lookup::kHit) {
      visit.found.push_back(chunk);
    } else if (header.expiry != kNeverExpires) {
      visit.earliest = std::min(visit.earliest, header.expiry);
    }
  }
};

namespace {

constexpr std::size_t kChunksPerPageMax = kPageBytes / kChunkBytesMin;
// A look at a chunk in passing costs about an eighth of unlinking one.
constexpr std::size_t kLooksPerUnit = 8;
// Buckets asked for ahead of use: they lie anywhere in the index.
constexpr std::size_t kPrefetchBatch = 16;
// Epochs in use from which on every flush frees some; a step of that; and the epochs that are left to flushes
// of other threads between preparing one and doing it.
constexpr std::uint64_t kPurgeFrom = StoreCore::kEpochs / 4;
constexpr std::size_t kPurgeStep = 512;
constexpr std::uint64_t kEpochsSpare = 8;

void note(std::atomic<std::uint32_t>& earliest, CacheTime expiry) {
  std::uint32_t known = earliest.load(std::memory_order_relaxed);
  while (expiry < known && !earliest.compare_exchange_weak(known, expiry, std::memory_order_acq_rel)) {
  }
}

}  // namespace

unsigned StoreCore::reap(ThreadState& thread, ChunkAddress address, CacheTime time) {
  Existing existing;
  {
    LockedBucket bucket(*index, hash_at(address));
    existing = examine_at(bucket.find_address(address), time);
    if (existing.slot == nullptr || existing.alive()) return 0;
    unlink(thread.ledger, bucket, existing);
  }
  count_item(thread, -1);
  retire(thread, existing);
  return class_of(existing.header);
}

// Unlinks what is in `found`, from its end; tells the class of each to `on_reaped`. Returns the units used.
template <typename OnReaped>
std::size_t reap_all_of(StoreCore& core, ThreadState& thread, std::vector<ChunkAddress>& found, CacheTime now,
                        std::size_t chunks_max, OnReaped&& on_reaped) {
  const std::size_t count = std::min(found.size(), chunks_max);
  for (std::size_t i = 0; i < count; ++i) {
    if (i % kPrefetchBatch == 0) {
      const std::size_t batch = std::min(kPrefetchBatch, count - i);
      for (std::size_t j = 1; j <= batch; ++j) core.index->prefetch(core.hash_at(found[found.size() - j]));
    }
    if (const unsigned slab_class = core.reap(thread, found.back(), now); slab_class != 0)
      on_reaped(slab_class);
    found.pop_back();
  }
  return count;
}

std::size_t Reaper::reap_found(ThreadState& thread, CacheTime now, std::size_t chunks_max) {
  return reap_all_of(*thread.core, thread, found_, now, chunks_max, [&](unsigned slab_class) {
    thread.ledger.counters.reaper_reclaimed.add();
    thread.ledger.classes[slab_class].reaper_reclaimed.add();
  });
}

void Reaper::open() {
  found_.reserve(kChunksPerPageMax);
}

// The page's word is reset first: what is noted while we look, or by items we see, is not lost.
std::size_t Reaper::visit_page(ThreadState& thread, CacheTime now) {
  visited_writer_ = false;
  const PageId page = thread.arena->page_at(page_);
  if (page == kNoPage) return 1;
  PageInfo& info = thread.core->pool->info(page);
  const CacheTime before = info.earliest_expiry.load(std::memory_order_relaxed);
  // A page that changes hands meanwhile has class 0 or another, which is in the set or not: no harm.
  const bool wanted = everything_ || crawl_[info.slab_class.load(std::memory_order_relaxed)];
  if (before > now && !wanted) return 1;
  const CacheTime noted = info.earliest_expiry.exchange(~CacheTime{0}, std::memory_order_acq_rel);
  Visit visit{*thread.core, now, found_};
  const std::size_t chunks = thread.arena->visit_page(page_, &Visit::on_chunk, &visit);
  // Pages that left the arena meanwhile have others in their places.
  note(info.earliest_expiry, thread.arena->page_at(page_) == page ? visit.earliest : noted);
  const unsigned slab_class = info.slab_class.load(std::memory_order_relaxed);
  visited_writer_ = visit.linking;
  thread.ledger.counters.reaper_checked.add(visit.items);
  if (slab_class != PageInfo::kNoClass) thread.ledger.classes[slab_class].reaper_checked.add(visit.items);
  return chunks / kLooksPerUnit + 1;
}

// The next pass. Downwards, because a page that leaves an arena is replaced by its last one.
void Reaper::begin_pass(ThreadState& thread) {
  pass_epoch_ = thread.core->epoch.load(std::memory_order_acquire);
  full_fence();
  everything_ = pass_epoch_ != clean_epoch_.load(std::memory_order_relaxed);
  page_ = thread.arena->pages();
}

void Reaper::begin_crawl(ThreadState& thread, const SlabClassSet& classes) {
  begin_pass(thread);
  crawl_ = classes;
}

bool Reaper::step(ThreadState& thread, CacheTime now, std::size_t chunks_max) {
  std::size_t used = 0;
  bool fresh_pass = false;  // a pass that began in this call and found nothing to do is the end
  for (;;) {
    used += reap_found(thread, now, chunks_max - used);
    if (used >= chunks_max) return true;
    if (page_ == 0) {
      finish_pass();
      if (fresh_pass && !found_in_pass_) return false;
      begin_pass(thread);
      fresh_pass = true;
      found_in_pass_ = false;
      if (page_ == 0) {
        finish_pass();
        return false;
      }
    }
    --page_;
    used += visit_page(thread, now);
    found_in_pass_ = found_in_pass_ || !found_.empty();
    if (everything_ && visited_writer_) {
      ++page_;  // once more when it has linked what it has there, perhaps to an epoch that has passed
      return true;
    }
    if (used >= chunks_max) return true;
  }
}

void Reaper::finish_pass() {
  if (everything_) raise_clean_epoch(pass_epoch_);
  everything_ = false;
  crawl_.reset();
}

void Reaper::raise_clean_epoch(std::uint64_t epoch) {
  std::uint64_t known = clean_epoch_.load(std::memory_order_relaxed);
  while (known < epoch && !clean_epoch_.compare_exchange_weak(known, epoch, std::memory_order_release)) {
  }
}

Reaper::PageLook Reaper::collect_dead(StoreCore& core, Arena& arena, std::size_t page,
                                      std::vector<ChunkAddress>& found) {
  RC_DCHECK(found.empty() && found.capacity() >= kChunksPerPageMax);
  Visit visit{core, core.latest_now.load(std::memory_order_relaxed), found};
  const std::size_t chunks = arena.visit_page(page, &Visit::on_chunk, &visit);
  return {chunks, visit.linking};
}

std::uint64_t StoreCore::epochs_in_use() const {
  const std::uint64_t next = epoch.load(std::memory_order_relaxed) + 1;
  std::uint64_t most = 0;
  for (unsigned id = 0; id < attached.load(std::memory_order_acquire); ++id)
    most = std::max(most, next - states[id]->reaper.clean_epoch());
  return most;
}

// Items of this epoch and of older ones have to go if the current one is `epoch`; none while there are few.
std::uint64_t epoch_to_free(std::uint64_t epoch) {
  return epoch < kPurgeFrom ? 0 : epoch + 1 - kPurgeFrom;
}

void EpochPurge::open() {
  found_.reserve(kChunksPerPageMax);
}

// The arena that is furthest behind.
bool EpochPurge::begin(const StoreCore& core) {
  epoch_ = core.epoch.load(std::memory_order_acquire);
  full_fence();
  std::uint64_t oldest = epoch_to_free(epoch_);
  for (unsigned id = 0; id < core.attached.load(std::memory_order_acquire); ++id) {
    Reaper& reaper = core.states[id]->reaper;
    if (oldest == 0 || reaper.clean_epoch() > oldest) continue;
    oldest = reaper.clean_epoch();
    reaper_ = &reaper;
    arena_ = id;
  }
  if (reaper_ == nullptr) return false;
  page_ = core.arenas[arena_]->pages();
  return true;
}

bool EpochPurge::step(ThreadState& thread, std::size_t chunks_max) {
  StoreCore& core = *thread.core;
  for (std::size_t used = 0; used < chunks_max;) {
    if (reaper_ == nullptr && !begin(core)) {
      pages_owed_.store(0, std::memory_order_relaxed);
      return true;
    }
    used += reap_all_of(core, thread, found_, core.latest_now.load(std::memory_order_relaxed),
                        chunks_max - used, [](unsigned) {});
    if (!found_.empty()) return true;
    if (page_ == 0) {
      std::exchange(reaper_, nullptr)->raise_clean_epoch(epoch_);
      continue;
    }
    const Reaper::PageLook look = Reaper::collect_dead(core, *core.arenas[arena_], page_ - 1, found_);
    if (look.linking) return false;
    --page_;
    note_page();
    used += look.chunks / kLooksPerUnit + 1;
  }
  return true;
}

void EpochPurge::note_page() {
  const std::size_t owed = pages_owed_.load(std::memory_order_relaxed);
  if (owed != 0) pages_owed_.store(owed - 1, std::memory_order_relaxed);
}

void EpochPurge::share_out(const StoreCore& core, std::uint64_t epochs_left) {
  const std::uint64_t oldest = epoch_to_free(core.epoch.load(std::memory_order_relaxed));
  std::size_t pages = 0;
  for (unsigned id = 0; id < core.attached.load(std::memory_order_acquire); ++id) {
    const Reaper& reaper = core.states[id]->reaper;
    if (oldest == 0 || reaper.clean_epoch() > oldest) continue;
    pages += &reaper == reaper_ ? page_ : core.arenas[id]->pages();
  }
  const std::uint64_t flushes = std::max<std::uint64_t>(epochs_left, 1);
  pages_owed_.store((pages + flushes - 1) / flushes, std::memory_order_relaxed);
}

// For who can wait: true when a flush now is a matter of a moment, and the next ones will not have to make up
// for it.
bool StoreCore::prepare_flush(ThreadState& thread) {
  if (epochs_in_use() < kPurgeFrom) return true;
  if (!std::exchange(thread.purged_in_turn, true)) {
    const std::unique_lock guard(flush_lock_, std::try_to_lock);
    if (guard) purge_.step(thread, kPurgeStep);
  }
  const std::uint64_t in_use = epochs_in_use();
  return in_use < kPurgeFrom || (in_use + kEpochsSpare < kEpochs && !purge_.owes());
}

void StoreCore::flush(ThreadState& thread) {
  const std::lock_guard guard(flush_lock_);
  std::uint64_t writes = 0;
  for (unsigned id = 0; id < attached.load(std::memory_order_acquire); ++id) {
    writes += states[id]->ledger.writes.get();
  }
  if (writes == writes_at_flush_) return;  // nothing was stored since the last one
  // Before the next number comes to mean an old epoch, everything of that one must be gone.
  Backoff backoff;
  while (epochs_in_use() >= kEpochs) {
    if (!purge_.step(thread, kPurgeStep)) backoff.pause();
  }
  writes_at_flush_ = writes;
  epoch.fetch_add(1, std::memory_order_release);
  const std::uint64_t in_use = epochs_in_use();
  if (in_use >= kPurgeFrom) purge_.share_out(*this, kEpochs - std::min(kEpochs, in_use + kEpochsSpare));
}

}  // namespace ringcached::store
