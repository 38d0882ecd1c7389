// The way of an accepted descriptor from the acceptor to a worker.
//
// By MSG_RING the descriptor travels as the result of a completion in the worker's ring; by eventfd it goes
// through a lock-free queue and the worker is woken. Either way a descriptor is at every moment owned by one
// side, and one that cannot be delivered is tried with the next worker, later again, and closed in the end.
//
// A worker's load is what it was given less what it says it has closed, so connections on their way count.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/counter.h"
#include "base/slot_pool.h"
#include "net/ring.h"
#include "net/token.h"
#include "ringcached/network.h"

namespace ringcached::net {

struct AcceptedDescriptor {
  int descriptor = -1;
  std::uint16_t listener = 0;
};

// A bounded queue with one producer (the acceptor) and one consumer (the worker).
class HandoffQueue {
 public:
  static constexpr std::uint32_t kCapacity = 1024;

  HandoffQueue() : entries_(std::make_unique<AcceptedDescriptor[]>(kCapacity)) {}

  // The producer. False when full.
  bool push(AcceptedDescriptor accepted) {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) == kCapacity) return false;
    entries_[tail % kCapacity] = accepted;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  // The consumer. False when empty.
  bool pop(AcceptedDescriptor& accepted) {
    const std::uint32_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire)) return false;
    accepted = entries_[head % kCapacity];
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

 private:
  std::unique_ptr<AcceptedDescriptor[]> entries_;
  alignas(64) std::atomic<std::uint32_t> head_{0};
  alignas(64) std::atomic<std::uint32_t> tail_{0};
};

// Where a worker takes descriptors in.
struct HandoffPort {
  Ring* ring = nullptr;
  HandoffQueue* queue = nullptr;
  const Counter* connections_closed = nullptr;  // written by the worker
};

// The acceptor's side. One thread.
class HandoffSender {
 public:
  // Posts under way at a time.
  static constexpr std::uint32_t kPostsMax = 8192;

  // `ring` is the acceptor's.
  HandoffSender(Ring& ring, Handoff way, Placement placement, std::vector<HandoffPort> ports);

  // Owns the descriptor from now on. Picks the worker. Never lacks memory: a descriptor for which there is
  // none counts as abandoned.
  void send(AcceptedDescriptor accepted);
  // The completion of a post (Operation::kPost).
  void on_post(const Completion& completion);
  // Tries those again that no worker took; call now and then while waiting() is not zero.
  void retry();
  // Closes those that no worker took.
  void abandon_waiting();

  // Descriptors that are neither with a worker nor closed.
  std::uint32_t in_flight() const { return posts_.taken(); }
  std::size_t waiting() const { return waiting_.size(); }
  // Delivered to worker `worker` since the start.
  std::uint64_t delivered(unsigned worker) const { return delivered_[worker]; }
  // Closed for want of a worker, or of memory to wait for one, since the last call.
  unsigned take_abandoned();
  // Any thread.
  std::uint64_t retries() const { return retries_.get(); }

 private:
  // How often every worker is tried until a descriptor is given up: with retry() every 10 ms, more than a
  // second without a taker.
  static constexpr std::size_t kRoundsMax = 128;

  struct Pending {
    AcceptedDescriptor accepted;
    unsigned worker = 0;
    std::uint32_t attempts = 0;
  };

  unsigned choose_worker();
  std::uint64_t load(unsigned worker) const;
  void place(Pending pending);
  void attempt(Pending pending);
  void turned_down(Pending pending);
  void refused(Pending pending);
  void give_up(const Pending& pending);

  Ring& ring_;
  const Handoff way_;
  const Placement placement_;
  const std::vector<HandoffPort> ports_;
  unsigned next_worker_ = 0;
  SlotPool<Pending> posts_;
  std::vector<Pending> waiting_, retried_;
  std::vector<std::uint64_t> given_;  // delivered, or a post is under way
  std::vector<std::uint64_t> delivered_;
  unsigned abandoned_ = 0;
  Counter retries_;
};

}  // namespace ringcached::net
