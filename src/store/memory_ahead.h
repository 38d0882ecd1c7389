// Puts memory behind the addresses that the store is about to grow into (pages for items, buckets of the
// index), on a thread of its own. The kernel has to find and clear memory when it is touched first, and may
// take milliseconds where memory is short, or where a hypervisor has to find it first; nobody's turn waits
// for that.
//
// It keeps a little ahead of what is in use, far less than the thousandth part of a large cache. Where it
// does not keep up, or the kernel cannot (before 5.14), the first touch gets memory as ever.
//
// Here is also where memory can be had in huge pages, which makes requests cheaper (docs/performance.md):
// finding one may take the kernel milliseconds, while it moves other memory together, and a thread that
// serves must not wait for that.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace ringcached::store {

class HashIndex;
class PagePool;

class MemoryAhead {
 public:
  // What huge pages are for. Whatever is got ahead comes in transparent ones where a whole one lies ahead;
  // pages of slab classes from `large_class` on also where this thread is overtaken.
  struct HugePages {
    bool wanted = false;
    unsigned large_class = 0;
  };
  // Both must outlive it.
  MemoryAhead(PagePool& pool, HashIndex& index, HugePages huge_pages);
  ~MemoryAhead();
  MemoryAhead(const MemoryAhead&) = delete;
  MemoryAhead& operator=(const MemoryAhead&) = delete;

  // Without a thread to be had nothing runs ahead.
  void start();
  // For whoever uses memory up, once per turn: a few loads; wakes the thread when there is something to do.
  void look() {
    if (started_ && behind() && !asked_.load(std::memory_order_relaxed)) wake();
  }
  // Of items: 10 ms at two million small ones per second.
  static constexpr std::size_t kPagesAhead = 4;
  // One piece of at most kPieceBytes, or a huge page; false: there is enough. What the thread does, one
  // caller at a time.
  static constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
  bool step();

 private:
  bool behind() const;
  bool populate_items(unsigned part);
  void wake();
  void run();
  void await_use();

  PagePool& pool_;
  HashIndex& index_;
  const HugePages huge_pages_;
  bool started_ = false;
  std::vector<std::size_t>
      populated_;  // bytes from the start of each range: the pool's parts, buckets, overflow
  // What is in use when the next step is due.
  std::atomic<std::size_t> pages_due_{1}, buckets_due_{0}, overflow_due_{0};
  std::atomic<bool> asked_{false}, stopping_{false};
  std::thread thread_;
};

}  // namespace ringcached::store
