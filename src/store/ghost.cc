#include "store/ghost.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

namespace ringcached::store {
namespace {

// Of a bucket's 20 slots 16 are meant to be filled: the Poisson tail beyond 20 loses 2 %.
constexpr std::size_t kEntriesPerBucket = 16;
// A table remembers for this many units of time; the rest of what 8 bits can tell apart means "outdated". A
// bucket gets about 16 visits per capacity insertions, so practically none is left alone until outdated looks
// young again.
constexpr std::uint32_t kEpochs = 64;

// The bucket is chosen by the high bits.
std::uint16_t tag_of(std::uint32_t fingerprint) {
  return static_cast<std::uint16_t>(fingerprint);
}

}  // namespace

bool Ghost::Table::create(std::size_t for_capacity) {
  const std::size_t count = (for_capacity + kEntriesPerBucket - 1) / kEntriesPerBucket;
  if (!memory.map(count * sizeof(Bucket))) return false;
  bucket_count = static_cast<std::uint32_t>(count);
  capacity = for_capacity;
  epoch_length = static_cast<std::uint32_t>((for_capacity + kEpochs - 1) / kEpochs);
  epochs_valid = static_cast<std::uint32_t>((for_capacity + epoch_length - 1) / epoch_length);
  return true;
}

Ghost::Bucket& Ghost::Table::bucket_of(std::uint32_t fingerprint) {
  const auto index = static_cast<std::size_t>((std::uint64_t{fingerprint} * bucket_count) >> 32);
  return reinterpret_cast<Bucket*>(memory.start())[index];
}

void Ghost::Table::drop_outdated(Bucket& bucket) {
  for (std::uint32_t left = bucket.filled; left != 0; left &= left - 1) {
    const int slot = std::countr_zero(left);
    if (static_cast<std::uint8_t>(epoch - bucket.times[slot]) < epochs_valid) continue;
    bucket.filled &= ~(1U << slot);
    --filled;
  }
}

void Ghost::Table::insert(std::uint32_t fingerprint) {
  if (in_epoch == epoch_length) {
    in_epoch = 0;
    ++epoch;
  }
  ++in_epoch;
  Bucket& bucket = bucket_of(fingerprint);
  drop_outdated(bucket);
  int slot = std::countr_one(bucket.filled);
  if (slot == static_cast<int>(Bucket::kSlots)) {
    const auto age = [&](std::uint8_t time) { return static_cast<std::uint8_t>(epoch - time); };
    const auto* oldest = std::max_element(std::begin(bucket.times), std::end(bucket.times),
                                          [&](std::uint8_t a, std::uint8_t b) { return age(a) < age(b); });
    slot = static_cast<int>(oldest - bucket.times);
  } else {
    bucket.filled |= 1U << slot;
    ++filled;
  }
  bucket.tags[slot] = tag_of(fingerprint);
  bucket.times[slot] = epoch;
}

bool Ghost::Table::take(std::uint32_t fingerprint) {
  if (bucket_count == 0) return false;
  Bucket& bucket = bucket_of(fingerprint);
  drop_outdated(bucket);
  for (std::uint32_t left = bucket.filled; left != 0; left &= left - 1) {
    const int slot = std::countr_zero(left);
    if (bucket.tags[slot] != tag_of(fingerprint)) continue;
    bucket.filled &= ~(1U << slot);
    --filled;
    return true;
  }
  return false;
}

void Ghost::insert(std::uint32_t fingerprint, std::size_t capacity) {
  capacity = std::clamp<std::size_t>(capacity, 1, ~std::uint32_t{0});
  const bool fits =
      capacity <= current_.capacity + current_.capacity / 8 && capacity >= current_.capacity / 2;
  const bool resizing = previous_.memory.bytes() != 0 || next_.memory.bytes() != 0;
  if (!fits && !resizing && next_.create(capacity)) next_populated_ = 0;
  if (next_.memory.bytes() != 0) {
    next_populated_ = next_.memory.populate(next_populated_, kBytesPerCall);
    if (next_populated_ == next_.memory.bytes()) resize();
  }
  if (previous_left_ != 0) {
    --previous_left_;
  } else if (previous_.memory.bytes() != 0) {
    previous_.bucket_count = 0;
    previous_.filled = 0;
    previous_.memory.shrink(kBytesPerCall);
  }
  if (current_.bucket_count != 0) current_.insert(fingerprint);
}

void Ghost::resize() {
  previous_ = std::exchange(current_, std::move(next_));
  next_ = Table();
  previous_left_ = std::min(previous_.capacity, current_.capacity);
}

bool Ghost::take(std::uint32_t fingerprint) {
  return current_.take(fingerprint) || (previous_left_ != 0 && previous_.take(fingerprint));
}

}  // namespace ringcached::store
