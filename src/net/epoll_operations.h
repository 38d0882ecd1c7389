// The operations of an epoll ring that have begun and wait for something, found by their place or their
// token.
//
// Places are reused; the memory grows to the largest number that ever waited at once. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "net/ring.h"

namespace ringcached::net {

struct EpollOperation {
  enum class Kind : std::uint8_t {
    kAccept,
    kReceive,
    kReceiveDirect,
    kReceiveDatagram,
    kPoll,
    kSend,
    kSendMessage,
    kSendSilently,
    kCancel,
    kTimeout,
    kPost,
    kArmWake,
  };

  Kind kind = Kind::kReceive;
  int descriptor = -1;
  Token token = 0;
  // Bytes to send, a message, pieces to fill, the shape of datagrams, the ring to post to.
  const void* memory = nullptr;
  // Bytes to send; the most to receive, once (0: no limit, multishot); pieces; nanoseconds: the delay, then
  // the deadline; the token to cancel or to post.
  std::uint64_t number = 0;
  std::int32_t result = 0;  // to post

  bool reads() const { return kind <= Kind::kPoll; }
};

class ParkedOperations {
 public:
  using Place = std::uint32_t;
  static constexpr Place kNone = UINT32_MAX;

  ParkedOperations() : buckets_(kBucketsMin, kNone) {}

  // Memory for so many at once, so that add() asks for none.
  void reserve(std::size_t count);
  Place add(const EpollOperation& operation);
  void remove(Place place);
  // One of the operations with this token, or kNone.
  Place find(Token token) const;
  // Valid until the next add().
  EpollOperation& at(Place place) { return entries_[place].operation; }
  // The link of a list the ring keeps (the sends of a descriptor); kNone after add().
  Place& next(Place place) { return entries_[place].next; }
  std::size_t count() const { return count_; }

 private:
  static constexpr std::size_t kBucketsMin = 64;  // a power of two

  struct Entry {
    EpollOperation operation;
    Place next = kNone;
    Place chain = kNone;  // in its bucket, or among the free places
  };

  std::size_t bucket_of(Token token) const;
  void grow_buckets(std::size_t count);

  std::vector<Entry> entries_;
  std::vector<Place> buckets_;
  Place free_ = kNone;
  std::size_t count_ = 0;
};

}  // namespace ringcached::net
