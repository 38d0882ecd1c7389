#include "server/event_log.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/assert.h"
#include "store/expiry.h"

namespace ringcached::server {
namespace {

// Lines one worker may write between two of its turns: a fraction of a millisecond.
constexpr std::size_t kLinesPerPump = 1024;

}  // namespace

EventLog::EventLog(unsigned threads, std::size_t ring_bytes, std::size_t watcher_bytes)
    : ring_bytes_(ring_bytes), watcher_bytes_(watcher_bytes) {
  for (unsigned i = 0; i < threads; ++i) rings_.push_back(std::make_unique<WriterRings>());
}

template <typename Visit>
void EventLog::for_each_ring(Visit&& visit) const {
  for (const auto& rings : rings_) {
    visit(rings->requests);
    visit(rings->evictions);
  }
}

// --- Writers

void EventLog::record(unsigned thread, const Event& event, std::string_view text) {
  RC_DCHECK(thread < rings_.size());
  EventRing& ring = rings_[thread]->requests;
  text = text.substr(0, kEventTextBytesMax);
  EventRing::Put put = ring.put(event, text, numbers_);
  // One turn can bring more events than a ring holds.
  if (put == EventRing::Put::kFull) {
    pump();
    put = ring.put(event, text, numbers_);
  }
  if (put == EventRing::Put::kFull) drop(ring, event.stream);
}

void EventLog::on_eviction(unsigned arena, const store::Eviction& eviction) noexcept {
  EventRing& ring = rings_[arena]->evictions;
  Event event{.stream = EventStream::kEvictions, .fetched = eviction.fetched};
  event.value_bytes = eviction.value_bytes;
  event.ttl_seconds = eviction.expiry == store::kNeverExpires
                          ? -1
                          : static_cast<std::int32_t>(eviction.expiry - eviction.now);
  event.idle_seconds = eviction.idle_seconds;
  event.slab_class = eviction.slab_class;
  if (ring.put(event, eviction.key, numbers_) == EventRing::Put::kFull) drop(ring, event.stream);
}

void EventLog::drop(EventRing& ring, EventStream stream) {
  ring.count_dropped(stream);
  losses_.store(true, std::memory_order_release);
}

// --- Watchers

EventLog::JoinResult EventLog::join(StreamMask streams, Watcher*& watcher) {
  std::unique_ptr<Watcher> created = Watcher::create(streams, watcher_bytes_);
  if (created == nullptr) return JoinResult::kNoMemory;
  const std::lock_guard guard(lock_);
  const auto place = std::ranges::find_if(watchers_, [](const auto& taken) { return taken == nullptr; });
  if (place == watchers_.end()) return JoinResult::kTooMany;
  pass_on_losses();  // what was lost before is no loss of this one
  created->begin_at(numbers_.load(std::memory_order_relaxed));
  if (streams != 0 && !open_rings()) return JoinResult::kNoMemory;
  watcher = created.get();
  *place = std::move(created);
  watcher_count_.add();
  update_wanted();
  return JoinResult::kJoined;
}

void EventLog::leave(Watcher& watcher) {
  std::unique_ptr<Watcher> leaving;  // freed after the lock
  const std::lock_guard guard(lock_);
  const auto place =
      std::ranges::find_if(watchers_, [&](const auto& candidate) { return candidate.get() == &watcher; });
  RC_CHECK(place != watchers_.end());
  leaving = std::move(*place);
  watcher_count_.subtract();
  update_wanted();
  if (!wants_any(~StreamMask{0})) close_rings();
}

void EventLog::update_wanted() {
  StreamMask wanted = 0;
  for (const auto& watcher : watchers_) wanted |= watcher != nullptr ? watcher->streams() : 0;
  wanted_.store(wanted, std::memory_order_seq_cst);
  wants_evictions_.store((wanted & mask_of(EventStream::kEvictions)) != 0, std::memory_order_seq_cst);
}

bool EventLog::open_rings() {
  rings_open_.store(true, std::memory_order_relaxed);
  bool all = true;
  for_each_ring([&](EventRing& ring) { all = all && ring.open(ring_bytes_); });
  return all;  // else what is open is closed by tidy(), or used by the next
}

void EventLog::close_rings() {
  bool all = true;
  for_each_ring([&](EventRing& ring) { all = ring.close() && all; });
  rings_open_.store(!all, std::memory_order_relaxed);
}

void EventLog::tidy() {
  if (wants_any(~StreamMask{0}) || !rings_open_.load(std::memory_order_relaxed)) return;
  const std::unique_lock guard(lock_, std::try_to_lock);
  if (guard.owns_lock() && !wants_any(~StreamMask{0})) close_rings();
}

// --- The pump

bool EventLog::pump() {
  if (!wants_any(~StreamMask{0})) return false;
  const std::unique_lock guard(lock_, std::try_to_lock);
  return guard.owns_lock() && pump_locked();
}

bool EventLog::pump_locked() {
  const std::size_t count = rings_.size() * 2;
  std::size_t budget = kLinesPerPump;
  bool more = false;
  for (std::size_t i = 0; i < count && !more; ++i) {
    WriterRings& rings = *rings_[next_ring_ / 2];
    more = drain(next_ring_ % 2 == 0 ? rings.requests : rings.evictions, budget);
    // The one that took it all comes last next time.
    next_ring_ = (next_ring_ + 1) % count;
  }
  pass_on_losses();
  for (const auto& watcher : watchers_) {
    if (watcher != nullptr) watcher->tell_skipped();
  }
  return more;
}

// True if the budget was not enough.
bool EventLog::drain(EventRing& ring, std::size_t& budget) {
  while (ring.take(entry_)) {
    pass_on(entry_);
    if (--budget == 0) return true;
  }
  return false;
}

void EventLog::pass_on(const EventRing::Entry& entry) {
  std::array<char, kEventLineBytesMax> line;
  std::size_t line_bytes = 0;
  for (const auto& watcher : watchers_) {
    if (watcher == nullptr || !watcher->wants(entry.event)) continue;
    if (line_bytes == 0) {
      const char* end = write_event_line(line.data(), entry.event, {entry.text.data(), entry.text_bytes});
      line_bytes = static_cast<std::size_t>(end - line.data());
    }
    (watcher->offer({line.data(), line_bytes}) ? lines_sent_ : lines_skipped_).add();
  }
}

void EventLog::pass_on_losses() {
  if (!losses_.exchange(false, std::memory_order_acquire)) return;
  std::array<std::uint64_t, kEventStreams> sums{};
  for_each_ring([&](const EventRing& ring) {
    for (std::size_t i = 0; i < kEventStreams; ++i) sums[i] += ring.dropped(static_cast<EventStream>(i));
  });
  for (std::size_t i = 0; i < kEventStreams; ++i) {
    const std::uint64_t lost = sums[i] - std::exchange(losses_seen_[i], sums[i]);
    for (const auto& watcher : watchers_) {
      const bool concerned =
          watcher != nullptr && (watcher->streams() & mask_of(static_cast<EventStream>(i))) != 0;
      if (concerned) watcher->miss(lost);
    }
  }
}

EventFigures EventLog::figures() const {
  EventFigures figures;
  for_each_ring([&](const EventRing& ring) {
    figures.rings_written += ring.written();
    figures.rings_dropped += ring.dropped();
  });
  figures.lines_sent = lines_sent_.get();
  figures.lines_skipped = lines_skipped_.get();
  figures.watchers = watcher_count_.get();
  return figures;
}

}  // namespace ringcached::server
