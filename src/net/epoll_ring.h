// The epoll ring from inside: ring_epoll.cc has its turn, epoll_transfers.cc the sends and receives.
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "net/buffer_block.h"
#include "net/epoll_inbox.h"
#include "net/epoll_operations.h"
#include "net/socket_ring.h"
#include "ringcached/status.h"

namespace ringcached::net {

class EpollRing final : public SocketRing {
 public:
  EpollRing() = default;
  ~EpollRing() override;

  // 0 or a negated errno.
  int create(const RingOptions& options);

  Status enable() override;
  int prepare(int descriptor, unsigned operations) override;
  void accept_multishot(int listener, Token token) override;
  void receive_multishot(int socket, Token token) override;
  void receive_once(int socket, std::uint32_t bytes_max, Token token) override;
  void receive_direct(int socket, std::span<const iovec> pieces, Token token) override;
  void receive_datagram_multishot(int socket, const msghdr& shape, Token token) override;
  void send(int socket, std::span<const char> data, Token token) override;
  void send_silently(int socket, std::span<const char> data, Token token) override;
  bool silent_sends_settled() const override { return silent_queued_ == 0 && ready() == 0; }
  void send_message(int socket, const msghdr& message, Token token) override;
  void cancel(Token target, Token token) override;
  void timeout(std::chrono::nanoseconds delay, Token token) override;
  void poll_readable_multishot(int descriptor, Token token) override;
  void post(Ring& target, std::int32_t result, Token target_token, Token token) override;
  void arm_wake(Token token) override;
  void wake() override { inbox_.wake(); }
  std::span<char> buffer(std::uint16_t id) override { return buffers_.buffer(id); }
  void return_buffers(std::span<const std::uint16_t> ids) override;
  int submit_and_wait(unsigned completions_min, std::chrono::nanoseconds timeout) override;
  int submit_and_gather(unsigned enough, std::chrono::microseconds min_wait) override;
  int submit_and_spin(std::chrono::nanoseconds limit) override;
  unsigned reap(std::span<Completion> out) override;
  int close_socket(int socket) override;

 private:
  using Place = ParkedOperations::Place;
  static constexpr Place kNone = ParkedOperations::kNone;
  static constexpr std::size_t kEventBatch = 256;

  // What is known of a descriptor.
  struct Watch {
    Place reader = kNone;         // the one operation that accepts, receives or polls
    Place first_send = kNone;     // sends that wait for room, oldest first
    bool registered = false;      // with epoll
    bool wants_writable = false;  // registered for EPOLLOUT, too
    bool readable = false;        // as far as known there is something left to read
    bool thorough = false;        // more than plain bytes: to be read until there is nothing left
    bool stream_drains = false;   // short_read_drains()
    bool unfinished = false;      // in unfinished_
    unsigned promised = 0;        // by prepare()
  };
  struct Timer {
    std::uint64_t deadline_ns;
    Place place;
    bool operator<(const Timer& other) const { return deadline_ns > other.deadline_ns; }  // earliest on top
  };

  void queue(const EpollOperation& operation);
  void submit();
  void start(const EpollOperation& operation);
  void start_reader(const EpollOperation& operation);
  void start_send(const EpollOperation& operation);
  void send_silently_now(const EpollOperation& operation);
  void start_cancel(const EpollOperation& operation);
  void start_timeout(EpollOperation operation);
  void start_wake(const EpollOperation& operation);
  void park_send(const EpollOperation& operation);

  Watch& watch_of(int descriptor);
  int register_watch(int descriptor, Watch& watch, bool writable);
  // The room of one that ends an operation is promised, or taken from others' where nothing was.
  void complete(Token token, std::int32_t result, std::uint32_t flags = 0) {
    if (completions_.size() == completions_.capacity()) drop_reaped();
    completions_.push_back({token, result, flags});
  }
  void drop_reaped();
  bool has_room();
  void end(Place place, std::int32_t result, std::uint32_t flags = 0);
  void unlink_send(Place place);
  void forget_timer(Place place);

  unsigned ready() const { return static_cast<unsigned>(completions_.size() - reaped_); }
  int wait(unsigned completions_min, std::chrono::nanoseconds timeout, bool submitted);
  int fetch_events(int limit_ms);
  int limit_ms(std::uint64_t end_ns) const;
  void on_event(const epoll_event& event);
  void on_inbox();
  void expire_timers();
  void continue_unfinished();

  void read(int descriptor);
  void read_once(Watch& watch);
  void accept_once(Watch& watch, const EpollOperation& operation);
  void receive_some(Watch& watch, const EpollOperation& operation);
  void receive_direct_once(Watch& watch, const EpollOperation& operation);
  void receive_datagram_once(Watch& watch, const EpollOperation& operation);
  static void note_short_read(Watch& watch, std::size_t bytes, std::size_t room);
  bool filled(Watch& watch, const EpollOperation& operation, long bytes);
  std::uint16_t open_buffer();
  void resume_sends(int descriptor);

  std::vector<EpollOperation> queue_;
  std::size_t silent_queued_ = 0;  // silent sends in it
  std::size_t queue_max_ = 0;
  // Room for promised_ and room_ more: those that come with kMore and from other rings. Where there is no
  // memory for more of these, they wait until some were reaped.
  std::vector<Completion> completions_;
  std::size_t reaped_ = 0;  // of completions_
  std::size_t room_ = 0;
  std::size_t promised_ = 0;    // operations, by prepare()
  std::size_t prepared_ = 0;    // descriptors
  bool posts_left_ = false;     // in inbox_, for want of room
  std::vector<Watch> watches_;  // by descriptor
  ParkedOperations parked_;
  std::vector<Timer> timers_;    // a heap
  std::vector<int> unfinished_;  // descriptors that had more to read when their turn was over
  std::vector<int> continued_;
  Place wake_ = kNone;
  bool sharp_timers_ = false;                // the owner's thread, see submit_and_gather()
  bool looked_ = false;                      // for events, in the last turn
  std::vector<std::uint16_t> free_buffers_;  // the last one given back is the first one used: it is cached
  BufferBlock buffers_;
  EpollInbox inbox_;
  int epoll_ = -1;
  bool enabled_ = false;
  std::array<epoll_event, kEventBatch> events_;
};

}  // namespace ringcached::net
