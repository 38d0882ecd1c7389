// One walk over the items at a time, as memcached's crawler has it: a dump, which one worker produces, or a
// reaping pass, in which every worker looks through its own memory (upkeep.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "store/slab_classes.h"

namespace ringcached::server {

class Crawler;

// The right to walk. Move-only; given back by destruction, also when the client is gone in the middle.
class CrawlLease {
 public:
  CrawlLease() = default;
  CrawlLease(CrawlLease&& other) noexcept : crawler_(std::exchange(other.crawler_, nullptr)) {}
  CrawlLease& operator=(CrawlLease&& other) noexcept {
    std::swap(crawler_, other.crawler_);
    return *this;
  }
  ~CrawlLease();
  explicit operator bool() const { return crawler_ != nullptr; }

 private:
  friend class Crawler;
  explicit CrawlLease(Crawler* crawler) : crawler_(crawler) {}
  Crawler* crawler_ = nullptr;
};

// Any thread.
class Crawler {
 public:
  // Empty when somebody walks already.
  CrawlLease begin();

  // Starts a pass over `classes`, which is over when each of `workers` has called finish_part(). False when
  // somebody walks already.
  bool begin_pass(const store::SlabClassSet& classes, unsigned workers);
  // The number of passes started; a worker that sees a new one takes part in it.
  std::uint32_t pass() const { return pass_.load(std::memory_order_acquire); }
  // Of the pass under way.
  const store::SlabClassSet& classes() const { return classes_; }
  void finish_part();

  bool running() const { return busy_.load(std::memory_order_relaxed); }
  std::uint64_t starts() const { return starts_.load(std::memory_order_relaxed); }

 private:
  friend class CrawlLease;
  bool take();
  void release() { busy_.store(false, std::memory_order_release); }

  std::atomic<bool> busy_{false};
  std::atomic<std::uint64_t> starts_{0};
  std::atomic<std::uint32_t> pass_{0};
  std::atomic<unsigned> parts_left_{0};
  store::SlabClassSet classes_;  // written by who has taken the right, before pass_
};

}  // namespace ringcached::server
