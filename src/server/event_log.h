// From the threads where something happens to the clients that watch (spec 10).
//
//   worker threads  -> one ring each --+
//   arenas (evictions) -> one ring each-+-> pump -> a bounded buffer per watcher -> its worker -> its socket
//
// While nobody watches, all there is to it is one relaxed load per request, and no memory. The pump is run by
// the workers between their turns, whoever gets its lock; nobody waits for it. Loss is counted where it
// happens: in a full ring (nobody pumped), or at a full watcher (it does not read).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/counter.h"
#include "base/spin_lock.h"
#include "server/event.h"
#include "server/event_ring.h"
#include "server/watcher.h"
#include "store/store.h"

namespace ringcached::server {

struct EventFigures {
  std::uint64_t rings_written = 0, rings_dropped = 0;  // log_worker_*
  std::uint64_t lines_sent = 0, lines_skipped = 0;     // log_watcher_*
  std::uint64_t watchers = 0;
};

class EventLog final : public store::EvictionObserver {
 public:
  static constexpr std::size_t kWatchersMax = 20;

  // `threads`: writers are numbered 0 to threads - 1, and so are arenas.
  EventLog(unsigned threads, std::size_t ring_bytes, std::size_t watcher_bytes);

  // --- Whoever may have something to tell. Any thread.
  bool wants(EventStream stream) const { return wants_any(mask_of(stream)); }
  bool wants_any(StreamMask streams) const {
    return (wanted_.load(std::memory_order_relaxed) & streams) != 0;
  }
  // The writer `thread`, on its thread. A longer text is cut.
  void record(unsigned thread, const Event& event, std::string_view text);
  void on_eviction(unsigned arena, const store::Eviction& eviction) noexcept override;

  // --- Watchers come and go. Any thread; rare, so these do wait for the lock. Nobody else does.
  enum class JoinResult : std::uint8_t { kJoined, kTooMany, kNoMemory };
  JoinResult join(StreamMask streams, Watcher*& watcher);
  // The watcher is gone when this returns.
  void leave(Watcher& watcher);

  // --- Any thread, never waits.
  // Passes a bounded number of events on. True if more are waiting.
  bool pump();
  // Frees what a leaving watcher could not.
  void tidy();
  EventFigures figures() const;

 private:
  struct WriterRings {
    EventRing requests, evictions;
  };
  bool pump_locked();
  bool drain(EventRing& ring, std::size_t& budget);
  void pass_on(const EventRing::Entry& entry);
  void pass_on_losses();
  void update_wanted();
  bool open_rings();
  void close_rings();
  void drop(EventRing& ring, EventStream stream);
  template <typename Visit>
  void for_each_ring(Visit&& visit) const;

  const std::size_t ring_bytes_, watcher_bytes_;
  std::vector<std::unique_ptr<WriterRings>> rings_;
  std::atomic<StreamMask> wanted_{0};
  std::atomic<std::uint64_t> numbers_{1};
  std::atomic<bool> losses_{false};      // a ring has dropped something since the last look
  std::atomic<bool> rings_open_{false};  // some hold memory

  // Under the lock.
  SpinLock lock_;
  std::array<std::unique_ptr<Watcher>, kWatchersMax> watchers_;
  std::array<std::uint64_t, kEventStreams> losses_seen_{};
  std::size_t next_ring_ = 0;
  EventRing::Entry entry_;
  Counter lines_sent_, lines_skipped_, watcher_count_;
};

}  // namespace ringcached::server
