#include "bench/exact_policies.h"

#include <algorithm>
#include <deque>
#include <queue>
#include <utility>

namespace ringcached::bench {
namespace {

using Accesses = std::vector<std::uint32_t>;

template <typename Cache>
std::uint64_t count_hits(Cache&& cache, const Accesses& accesses) {
  std::uint64_t hits = 0;
  for (const std::uint32_t key : accesses) hits += cache.access(key) ? 1 : 0;
  return hits;
}

class Fifo {
 public:
  Fifo(std::size_t keys, std::size_t capacity) : capacity_(capacity), cached_(keys) {}

  bool access(std::uint32_t key) {
    if (cached_[key]) return true;
    if (order_.size() == capacity_) {
      cached_[order_.front()] = false;
      order_.pop_front();
    }
    cached_[key] = true;
    order_.push_back(key);
    return false;
  }

 private:
  std::size_t capacity_;
  std::vector<bool> cached_;
  std::deque<std::uint32_t> order_;
};

class Lru {
 public:
  // The list is a ring through the entry behind the last key.
  Lru(std::size_t keys, std::size_t capacity)
      : capacity_(capacity),
        end_(static_cast<std::uint32_t>(keys)),
        cached_(keys),
        older_(keys + 1, end_),
        newer_(keys + 1, end_) {}

  bool access(std::uint32_t key) {
    const bool hit = cached_[key];
    if (hit) {
      unlink(key);
    } else if (count_ == capacity_) {
      const std::uint32_t oldest = newer_[end_];
      unlink(oldest);
      cached_[oldest] = false;
    } else {
      ++count_;
    }
    cached_[key] = true;
    const std::uint32_t newest = older_[end_];
    older_[key] = newest;
    newer_[key] = end_;
    newer_[newest] = key;
    older_[end_] = key;
    return hit;
  }

 private:
  void unlink(std::uint32_t key) {
    newer_[older_[key]] = newer_[key];
    older_[newer_[key]] = older_[key];
  }

  std::size_t capacity_;
  std::size_t count_ = 0;
  std::uint32_t end_;
  std::vector<bool> cached_;
  std::vector<std::uint32_t> older_, newer_;
};

class S3Fifo {
 public:
  S3Fifo(std::size_t keys, std::size_t capacity, unsigned promoting_uses)
      : capacity_(capacity),
        ghosts_max_(capacity - capacity / kSmallPart),
        promoting_uses_(promoting_uses),
        cached_(keys),
        uses_(keys),
        remembered_(keys) {}

  bool access(std::uint32_t key) {
    if (cached_[key]) {
      uses_[key] = static_cast<std::uint8_t>(std::min(uses_[key] + 1, kUsesMax));
      return true;
    }
    if (small_.size() + main_.size() == capacity_) evict();
    cached_[key] = true;
    uses_[key] = 0;
    if (remembered_[key] != 0) {
      remembered_[key] = 0;
      --ghost_count_;
      main_.push_back(key);
    } else {
      small_.push_back(key);
    }
    return false;
  }

 private:
  static constexpr std::size_t kSmallPart = 10;
  static constexpr int kUsesMax = 3;

  void evict() {
    if (main_.empty() || small_.size() * kSmallPart >= capacity_) {
      while (!small_.empty()) {
        const std::uint32_t key = take(small_);
        if (uses_[key] < promoting_uses_) {
          cached_[key] = false;
          remember(key);
          return;
        }
        uses_[key] = 0;
        main_.push_back(key);
      }
    }
    for (;;) {
      const std::uint32_t key = take(main_);
      if (uses_[key] == 0) {
        cached_[key] = false;
        return;
      }
      --uses_[key];
      main_.push_back(key);
    }
  }

  // Entries of keys that came back stay in the queue and are told by their time.
  void remember(std::uint32_t key) {
    remembered_[key] = ++ghost_time_;
    ghosts_.emplace_back(key, ghost_time_);
    ++ghost_count_;
    while (ghost_count_ > ghosts_max_) {
      const auto [oldest, time] = ghosts_.front();
      ghosts_.pop_front();
      if (remembered_[oldest] != time) continue;
      remembered_[oldest] = 0;
      --ghost_count_;
    }
  }

  static std::uint32_t take(std::deque<std::uint32_t>& queue) {
    const std::uint32_t key = queue.front();
    queue.pop_front();
    return key;
  }

  std::size_t capacity_, ghosts_max_;
  unsigned promoting_uses_;
  std::vector<bool> cached_;
  std::vector<std::uint8_t> uses_;
  std::vector<std::uint64_t> remembered_;  // when; 0: not
  std::deque<std::uint32_t> small_, main_;
  std::deque<std::pair<std::uint32_t, std::uint64_t>> ghosts_;
  std::size_t ghost_count_ = 0;
  std::uint64_t ghost_time_ = 0;
};

std::uint64_t belady_hits(const Accesses& accesses, std::size_t keys, std::size_t capacity) {
  // A key that never comes again comes after everything else.
  const std::size_t never = accesses.size();
  std::vector<std::size_t> next(accesses.size()), seen_at(keys, never);
  for (std::size_t i = accesses.size(); i-- > 0;) {
    next[i] = seen_at[accesses[i]];
    seen_at[accesses[i]] = i;
  }
  // Entries of earlier accesses stay in the heap and are told by their time of reuse.
  std::priority_queue<std::pair<std::size_t, std::uint32_t>> latest;
  std::vector<std::size_t> reuse(keys);
  std::vector<bool> cached(keys);
  std::size_t count = 0;
  std::uint64_t hits = 0;
  for (std::size_t i = 0; i < accesses.size(); ++i) {
    const std::uint32_t key = accesses[i];
    hits += cached[key] ? 1 : 0;
    while (!cached[key] && count == capacity) {
      const auto [time, victim] = latest.top();
      latest.pop();
      if (!cached[victim] || reuse[victim] != time) continue;
      cached[victim] = false;
      --count;
    }
    count += cached[key] ? 0 : 1;
    cached[key] = true;
    reuse[key] = next[i];
    latest.emplace(next[i], key);
  }
  return hits;
}

}  // namespace

std::string_view policy_name(Policy policy) {
  switch (policy) {
    case Policy::kFifo:
      return "fifo";
    case Policy::kLru:
      return "lru";
    case Policy::kS3Fifo:
      return "s3fifo";
    case Policy::kS3FifoOnce:
      return "s3fifo_once";
    case Policy::kBelady:
      break;
  }
  return "belady";
}

std::uint64_t hits_of(Policy policy, const Accesses& accesses, std::size_t keys, std::size_t capacity) {
  switch (policy) {
    case Policy::kFifo:
      return count_hits(Fifo(keys, capacity), accesses);
    case Policy::kLru:
      return count_hits(Lru(keys, capacity), accesses);
    case Policy::kS3Fifo:
      return count_hits(S3Fifo(keys, capacity, 2), accesses);
    case Policy::kS3FifoOnce:
      return count_hits(S3Fifo(keys, capacity, 1), accesses);
    case Policy::kBelady:
      break;
  }
  return belady_hits(accesses, keys, capacity);
}

}  // namespace ringcached::bench
