#include "net/epoll_operations.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/assert.h"

namespace ringcached::net {

std::size_t ParkedOperations::bucket_of(Token token) const {
  constexpr std::uint64_t kGoldenRatio = 0x9E37'79B9'7F4A'7C15;
  return static_cast<std::size_t>((token * kGoldenRatio) >> 32) & (buckets_.size() - 1);
}

ParkedOperations::Place ParkedOperations::add(const EpollOperation& operation) {
  if (count_ == buckets_.size()) grow_buckets(2 * count_);
  Place place = free_;
  if (place == kNone) {
    place = static_cast<Place>(entries_.size());
    entries_.emplace_back();
  } else {
    free_ = entries_[place].chain;
  }
  Place& bucket = buckets_[bucket_of(operation.token)];
  entries_[place] = {operation, kNone, bucket};
  bucket = place;
  ++count_;
  return place;
}

void ParkedOperations::remove(Place place) {
  Entry& entry = entries_[place];
  Place* link = &buckets_[bucket_of(entry.operation.token)];
  while (*link != place) {
    RC_CHECK(*link != kNone);
    link = &entries_[*link].chain;
  }
  *link = entry.chain;
  entry.chain = free_;
  free_ = place;
  --count_;
}

ParkedOperations::Place ParkedOperations::find(Token token) const {
  Place place = buckets_[bucket_of(token)];
  while (place != kNone && entries_[place].operation.token != token) place = entries_[place].chain;
  return place;
}

void ParkedOperations::reserve(std::size_t count) {
  if (entries_.capacity() < count) entries_.reserve(std::max(count, 2 * entries_.capacity()));
  if (buckets_.size() < count) grow_buckets(std::bit_ceil(count));
}

void ParkedOperations::grow_buckets(std::size_t count) {
  std::vector<Place> larger(count, kNone);
  const std::vector<Place> heads = std::exchange(buckets_, std::move(larger));
  for (Place place : heads) {
    while (place != kNone) {
      const Place following = entries_[place].chain;
      Place& bucket = buckets_[bucket_of(entries_[place].operation.token)];
      entries_[place].chain = bucket;
      bucket = place;
      place = following;
    }
  }
}

}  // namespace ringcached::net
