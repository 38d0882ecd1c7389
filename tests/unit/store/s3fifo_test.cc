#include "store/s3fifo.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <list>
#include <random>
#include <unordered_map>
#include <vector>

namespace ringcached::store {
namespace {

using Trace = std::vector<std::uint32_t>;

// S3-FIFO with exact lists: promotion after one re-access, a counter up to 3, as many ghosts as the main
// queue's share.
class Reference {
 public:
  explicit Reference(std::size_t capacity) : capacity_(capacity) {}

  bool access(std::uint32_t key) {
    if (const auto found = uses_.find(key); found != uses_.end()) {
      found->second = std::min(found->second + 1, 3);
      return true;
    }
    if (uses_.size() >= capacity_) evict();
    uses_[key] = 0;
    if (const auto ghost = ghost_at_.find(key); ghost != ghost_at_.end()) {
      ghosts_.erase(ghost->second);
      ghost_at_.erase(ghost);
      main_.push_back(key);
    } else {
      small_.push_back(key);
    }
    return false;
  }

 private:
  void evict() {
    if (small_.size() * 10 >= capacity_ || main_.empty()) {
      while (!small_.empty()) {
        const std::uint32_t key = small_.front();
        small_.pop_front();
        if (uses_[key] == 0) {
          uses_.erase(key);
          remember(key);
          return;
        }
        uses_[key] = 0;
        main_.push_back(key);
      }
    }
    for (;;) {
      const std::uint32_t key = main_.front();
      main_.pop_front();
      if (uses_[key]-- == 0) {
        uses_.erase(key);
        return;
      }
      main_.push_back(key);
    }
  }
  void remember(std::uint32_t key) {
    ghosts_.push_back(key);
    ghost_at_[key] = std::prev(ghosts_.end());
    if (ghosts_.size() <= capacity_ * 9 / 10) return;
    ghost_at_.erase(ghosts_.front());
    ghosts_.pop_front();
  }

  std::size_t capacity_;
  std::list<std::uint32_t> small_, main_, ghosts_;
  std::unordered_map<std::uint32_t, int> uses_;
  std::unordered_map<std::uint32_t, std::list<std::uint32_t>::iterator> ghost_at_;
};

class ReferenceLru {
 public:
  explicit ReferenceLru(std::size_t capacity) : capacity_(capacity) {}
  bool access(std::uint32_t key) {
    const auto found = at_.find(key);
    if (found != at_.end()) {
      order_.splice(order_.end(), order_, found->second);
      return true;
    }
    if (at_.size() >= capacity_) {
      at_.erase(order_.front());
      order_.pop_front();
    }
    order_.push_back(key);
    at_[key] = std::prev(order_.end());
    return false;
  }

 private:
  std::size_t capacity_;
  std::list<std::uint32_t> order_;
  std::unordered_map<std::uint32_t, std::list<std::uint32_t>::iterator> at_;
};

// The unit with keys as entries.
class Tested {
 public:
  Tested(std::size_t capacity, const S3FifoOptions& options)
      : capacity_(capacity), policy_(blocks_, options) {}

  bool access(std::uint32_t key) {
    if (const auto found = uses_.find(key); found != uses_.end()) {
      found->second = std::min(found->second + 1, 3);
      return true;
    }
    while (uses_.size() >= capacity_) evict();
    uses_[key] = 0;
    REQUIRE(policy_.insert(key, key * 2654435761U).queued);
    return false;
  }
  const S3Fifo& policy() const { return policy_; }

 private:
  void evict() {
    const auto decide = [this](std::uint32_t key, Queue queue) -> S3Fifo::Candidate {
      int& uses = uses_.at(key);
      if (uses == 0) {
        uses_.erase(key);
        return {.verdict = Verdict::kEvicted, .fingerprint = key * 2654435761U};
      }
      uses = queue == Queue::kSmall ? 0 : uses - 1;
      return {.verdict = Verdict::kKept};
    };
    const auto result = policy_.evict(
        1U << 20, decide, [](std::uint32_t) {}, [](std::uint32_t) { CHECK(false); });
    REQUIRE(result.evicted);
  }

  std::size_t capacity_;
  FifoBlocks blocks_;
  S3Fifo policy_;
  std::unordered_map<std::uint32_t, int> uses_;
};

template <typename Cache>
double hit_percent(Cache& cache, const Trace& trace) {
  std::size_t hits = 0;
  for (const std::uint32_t key : trace) hits += cache.access(key) ? 1 : 0;
  return 100.0 * static_cast<double>(hits) / static_cast<double>(trace.size());
}

Trace zipf(std::uint32_t keys, double alpha, std::size_t length, unsigned seed) {
  std::vector<double> cumulated;
  double sum = 0;
  for (std::uint32_t i = 1; i <= keys; ++i) cumulated.push_back(sum += std::pow(i, -alpha));
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> pick(0, sum);
  Trace trace;
  for (std::size_t i = 0; i < length; ++i) {
    const auto at = std::lower_bound(cumulated.begin(), cumulated.end(), pick(random));
    trace.push_back(static_cast<std::uint32_t>(at - cumulated.begin()));
  }
  return trace;
}

// Zipf traffic, interrupted by scans over keys that never come again.
Trace with_scans(const Trace& base, std::size_t every, std::uint32_t scan_length) {
  Trace trace;
  std::uint32_t fresh = 1U << 24;
  for (std::size_t i = 0; i < base.size(); ++i) {
    trace.push_back(base[i]);
    for (std::uint32_t k = 0; i % every == 0 && k < scan_length; ++k) trace.push_back(fresh++);
  }
  return trace;
}

void check_near_reference(const Trace& trace, std::size_t capacity) {
  CAPTURE(capacity);
  Reference reference(capacity);
  Tested tested(capacity, {});
  const double expected = hit_percent(reference, trace);
  const double measured = hit_percent(tested, trace);
  CHECK(std::abs(measured - expected) <= 0.5);
}

TEST_SUITE("s3fifo") {
  TEST_CASE("hits as often as exact lists on Zipf traffic") {
    for (const double alpha : {0.7, 1.0, 1.3}) {
      CAPTURE(alpha);
      const Trace trace = zipf(10'000, alpha, 100'000, 11);
      check_near_reference(trace, 100);
      check_near_reference(trace, 1000);
    }
  }

  TEST_CASE("hits as often as exact lists when scans interrupt, and better than LRU") {
    const Trace trace = with_scans(zipf(10'000, 1.0, 100'000, 12), 2500, 1500);
    check_near_reference(trace, 150);
    check_near_reference(trace, 1000);
    Tested tested(1000, {});
    ReferenceLru lru(1000);
    CHECK(hit_percent(tested, trace) > hit_percent(lru, trace) + 3);
  }

  TEST_CASE("a loop longer than the cache") {
    Trace trace;
    for (int round = 0; round < 20; ++round) {
      for (std::uint32_t key = 0; key < 3000; ++key) trace.push_back(key);
    }
    check_near_reference(trace, 1000);
  }

  TEST_CASE("the LRU switch is close to exact LRU") {
    for (const double alpha : {0.7, 1.0}) {
      CAPTURE(alpha);
      const Trace trace = zipf(10'000, alpha, 100'000, 13);
      Tested tested(1000, {.lru = true});
      ReferenceLru lru(1000);
      const double measured = hit_percent(tested, trace);
      CHECK(std::abs(measured - hit_percent(lru, trace)) <= 2.0);
      CHECK(tested.policy().small().empty());
      CHECK(tested.policy().ghost().bytes() == 0);
    }
  }

  TEST_CASE("the number of tries is kept") {
    FifoBlocks blocks;
    S3Fifo policy(blocks, {});
    for (std::uint32_t i = 0; i < 1000; ++i) policy.insert(i, i);
    unsigned asked = 0;
    const auto kept = [&](std::uint32_t, Queue) -> S3Fifo::Candidate {
      ++asked;
      return {.verdict = Verdict::kKept};
    };
    const auto none = [](std::uint32_t) {};
    const auto result = policy.evict(64, kept, none, none);
    CHECK(!result.evicted);
    CHECK(result.tries == 64);
    CHECK(asked == 64);
    CHECK(result.promoted == 64);
    CHECK(policy.size() == 1000);
    CHECK(policy.main().size() == 64);
  }

  TEST_CASE("busy entries go back where they were, gone ones vanish") {
    FifoBlocks blocks;
    S3Fifo policy(blocks, {});
    for (std::uint32_t i = 0; i < 10; ++i) policy.insert(i, i);
    const auto none = [](std::uint32_t) {};
    const auto result = policy.evict(
        6,
        [](std::uint32_t entry, Queue) -> S3Fifo::Candidate {
          return {.verdict = entry % 2 == 0 ? Verdict::kBusy : Verdict::kGone};
        },
        none, none);
    CHECK(result.tries == 6);
    CHECK(policy.small().size() == 5);
    CHECK(policy.main().size() == 0);
  }

  TEST_CASE("an entry without memory is reported as lost") {
    FifoBlocks blocks;
    S3Fifo policy(blocks, {});
    blocks.set_blocks_max(1);
    for (std::uint32_t i = 0; i < FifoBlock::kEntries; ++i) REQUIRE(policy.insert(i, i).queued);
    CHECK(!policy.insert(1, 1).queued);
    std::vector<std::uint32_t> lost;
    policy.evict(
        3, [](std::uint32_t, Queue) -> S3Fifo::Candidate { return {.verdict = Verdict::kKept}; },
        [](std::uint32_t) {}, [&](std::uint32_t entry) { lost.push_back(entry); });
    CHECK(lost == std::vector<std::uint32_t>{0, 1, 2});
    CHECK(policy.size() == FifoBlock::kEntries - 3);
  }
}

}  // namespace
}  // namespace ringcached::store
