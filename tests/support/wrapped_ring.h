// A ring behind which another one does the work; every call of it goes through Around::call().
#pragma once

#include <memory>
#include <utility>

#include "net/ring.h"
#include "support/failing_heap.h"

namespace ringcached::testing {

template <typename Around>
class WrappedRing : public net::Ring {
 public:
  explicit WrappedRing(std::unique_ptr<net::Ring> ring) : ring_(std::move(ring)) {}

  Status enable() override {
    return Around::call([&] { return ring_->enable(); });
  }
  int prepare(int descriptor, unsigned operations) override {
    return Around::call([&] { return ring_->prepare(descriptor, operations); });
  }
  void accept_multishot(int listener, net::Token token) override {
    Around::call([&] { ring_->accept_multishot(listener, token); });
  }
  void receive_multishot(int socket, net::Token token) override {
    Around::call([&] { ring_->receive_multishot(socket, token); });
  }
  void receive_once(int socket, std::uint32_t bytes_max, net::Token token) override {
    Around::call([&] { ring_->receive_once(socket, bytes_max, token); });
  }
  void receive_direct(int socket, std::span<const iovec> pieces, net::Token token) override {
    Around::call([&] { ring_->receive_direct(socket, pieces, token); });
  }
  void receive_datagram_multishot(int socket, const msghdr& shape, net::Token token) override {
    Around::call([&] { ring_->receive_datagram_multishot(socket, shape, token); });
  }
  void send(int socket, std::span<const char> data, net::Token token) override {
    Around::call([&] { ring_->send(socket, data, token); });
  }
  void send_silently(int socket, std::span<const char> data, net::Token token) override {
    Around::call([&] { ring_->send_silently(socket, data, token); });
  }
  bool silent_sends_settled() const override { return ring_->silent_sends_settled(); }
  void send_message(int socket, const msghdr& message, net::Token token) override {
    Around::call([&] { ring_->send_message(socket, message, token); });
  }
  void cancel(net::Token target, net::Token token) override {
    Around::call([&] { ring_->cancel(target, token); });
  }
  void timeout(std::chrono::nanoseconds delay, net::Token token) override {
    Around::call([&] { ring_->timeout(delay, token); });
  }
  void poll_readable_multishot(int descriptor, net::Token token) override {
    Around::call([&] { ring_->poll_readable_multishot(descriptor, token); });
  }
  void post(net::Ring& target, std::int32_t result, net::Token target_token, net::Token token) override {
    Around::call([&] { ring_->post(target, result, target_token, token); });
  }
  void arm_wake(net::Token token) override {
    Around::call([&] { ring_->arm_wake(token); });
  }
  void wake() override {
    Around::call([&] { ring_->wake(); });
  }
  std::span<char> buffer(std::uint16_t id) override {
    return Around::call([&] { return ring_->buffer(id); });
  }
  void return_buffers(std::span<const std::uint16_t> ids) override {
    Around::call([&] { ring_->return_buffers(ids); });
  }
  int submit_and_wait(unsigned completions_min, std::chrono::nanoseconds timeout) override {
    return Around::call([&] { return ring_->submit_and_wait(completions_min, timeout); });
  }
  int submit_and_gather(unsigned enough, std::chrono::microseconds min_wait) override {
    return Around::call([&] { return ring_->submit_and_gather(enough, min_wait); });
  }
  int submit_and_spin(std::chrono::nanoseconds limit) override {
    return Around::call([&] { return ring_->submit_and_spin(limit); });
  }
  unsigned reap(std::span<net::Completion> out) override {
    return Around::call([&] { return ring_->reap(out); });
  }
  int close_socket(int socket) override {
    return Around::call([&] { return ring_->close_socket(socket); });
  }
  int shutdown_socket(int socket, int how) override {
    return Around::call([&] { return ring_->shutdown_socket(socket, how); });
  }
  int configure_accepted(int socket, bool tcp) override {
    return Around::call([&] { return ring_->configure_accepted(socket, tcp); });
  }
  int peek(int socket) override {
    return Around::call([&] { return ring_->peek(socket); });
  }
  int peer_address(int socket, sockaddr_storage& address, socklen_t& length) override {
    return Around::call([&] { return ring_->peer_address(socket, address, length); });
  }
  int send_now(int socket, std::span<const char> data) override {
    return Around::call([&] { return ring_->send_now(socket, data); });
  }

 private:
  std::unique_ptr<net::Ring> ring_;
};

// Whose memory is no business of the test: what the ring behind it allocates is not counted and does not fail
// (FailingHeap).
struct WithoutFailures {
  template <typename Step>
  static auto call(Step step) {
    return FailingHeap::exempt(step);
  }
};
using ExemptRing = WrappedRing<WithoutFailures>;

}  // namespace ringcached::testing
