// One walk over the items at a time, as memcached's crawler has it: a dump, which one worker produces, or a
// reaping pass, in which every worker looks through its own memory (upkeep.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "base/clock.h"
#include "store/slab_classes.h"

namespace ringcached::server {

class Crawler;

// A dump goes at the pace of its reader. One that has read nothing for so long loses the right to walk to
// whoever asks for it next.
inline constexpr CacheTime kCrawlPatienceSeconds = 30;

// The right to walk. Move-only; given back by destruction, also when the client is gone in the middle.
class CrawlLease {
 public:
  CrawlLease() = default;
  CrawlLease(CrawlLease&& other) noexcept
      : crawler_(std::exchange(other.crawler_, nullptr)), ticket_(other.ticket_) {}
  CrawlLease& operator=(CrawlLease&& other) noexcept {
    std::swap(crawler_, other.crawler_);
    std::swap(ticket_, other.ticket_);
    return *this;
  }
  ~CrawlLease();
  explicit operator bool() const { return crawler_ != nullptr; }
  // Progress was made. False when somebody else has the right by now: the walk is over.
  bool renew(CacheTime now);

 private:
  friend class Crawler;
  CrawlLease(Crawler* crawler, std::uint32_t ticket) : crawler_(crawler), ticket_(ticket) {}
  Crawler* crawler_ = nullptr;
  std::uint32_t ticket_ = 0;
};

// Any thread.
class Crawler {
 public:
  // Empty when somebody walks already.
  CrawlLease begin(CacheTime now);

  // Starts a pass over `classes`, which is over when each of `workers` has called finish_part(). False when
  // somebody walks already.
  bool begin_pass(const store::SlabClassSet& classes, unsigned workers, CacheTime now);
  // The number of passes started; a worker that sees a new one takes part in it.
  std::uint32_t pass() const { return pass_.load(std::memory_order_acquire); }
  // Of the pass under way.
  const store::SlabClassSet& classes() const { return classes_; }
  void finish_part();

  bool running() const { return holder_.load(std::memory_order_relaxed) != kNobody; }
  std::uint64_t starts() const { return starts_.load(std::memory_order_relaxed); }

 private:
  friend class CrawlLease;
  // Who walks, and when he last made progress, in one word, so that nobody is taken for as late as whoever
  // had the right before him: the ticket in the upper half, the time in the lower.
  using Holder = std::uint64_t;
  static constexpr Holder kNobody = 0;
  // The time of a pass: it waits for no reader, and its classes_ must stay until it is through.
  static constexpr CacheTime kNeverLate = ~CacheTime{0};
  static Holder make_holder(std::uint32_t ticket, CacheTime progress) {
    return Holder{ticket} << 32 | progress;
  }
  static std::uint32_t ticket_of(Holder holder) { return static_cast<std::uint32_t>(holder >> 32); }
  static bool is_late(Holder holder, CacheTime now);

  // The ticket of the walk that begins; 0 when somebody walks already.
  std::uint32_t take(CacheTime now, CacheTime progress);
  bool renew(std::uint32_t ticket, CacheTime now);
  void release(std::uint32_t ticket);

  std::atomic<Holder> holder_{kNobody};
  std::atomic<std::uint64_t> starts_{0};
  std::atomic<std::uint32_t> tickets_{0};
  std::atomic<std::uint32_t> pass_{0};
  std::atomic<unsigned> parts_left_{0};
  store::SlabClassSet classes_;  // written by who has taken the right, before pass_
};

}  // namespace ringcached::server
