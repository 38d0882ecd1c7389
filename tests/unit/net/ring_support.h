// Loopback sockets and turns for tests on real rings. Everything is bounded in time.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/kernel_features.h"
#include "net/ring_epoll.h"
#include "net/ring_uring.h"

namespace ringcached::net::testing {

inline constexpr std::chrono::milliseconds kPatience{3000};

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    reset();
    value_ = std::exchange(other.value_, -1);
    return *this;
  }
  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }
  void reset() {
    if (value_ >= 0) close(value_);
    value_ = -1;
  }

 private:
  int value_ = -1;
};

// A listener on an ephemeral port of 127.0.0.1.
class Loopback {
 public:
  Loopback() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address_);
    ready_ = bind(listener_.get(), reinterpret_cast<sockaddr*>(&address_), length) == 0 &&
             listen(listener_.get(), 128) == 0 &&
             getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address_), &length) == 0;
  }
  bool ready() const { return ready_; }
  int listener() const { return listener_.get(); }
  Descriptor connect() const {
    Descriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval limit{3, 0};
    setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (::connect(client.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof(address_)) != 0)
      client.reset();
    return client;
  }
  // A connected pair: the client's end and the server's.
  std::pair<Descriptor, Descriptor> pair() const {
    Descriptor client = connect();
    Descriptor server(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    return {std::move(client), std::move(server)};
  }

 private:
  Descriptor listener_;
  sockaddr_in address_{};
  bool ready_ = false;
};

inline const Features& features() {
  static const Features found = probe_features();
  return found;
}

// For doctest::skip(): aloud, as a skipped case of the report.
inline bool no_uring() {
  return !features().available;
}

// The implementations over the kernel, for cases that hold for each of them (TEST_CASE_TEMPLATE).
struct Uring {
  static bool available() { return !no_uring(); }
  static Result<std::unique_ptr<Ring>> create(const RingOptions& options) {
    return create_uring(options, features());
  }
};
struct Epoll {
  static bool available() { return true; }
  static Result<std::unique_ptr<Ring>> create(const RingOptions& options) {
    return create_epoll_ring(options);
  }
};
// For the first line of such a case; aloud.
template <typename Backend>
bool skipped() {
  if (!Backend::available()) MESSAGE("skipped: this kernel has no io_uring");
  return !Backend::available();
}

template <typename Backend>
std::unique_ptr<Ring> make_ring(const RingOptions& options = {}) {
  auto ring = Backend::create(options);
  if (!ring || !ring.value()->enable()) return nullptr;
  return std::move(ring.value());
}

// As submit_and_wait(1, limit), again when interrupted: work that another ring of this thread has left behind
// does that to system calls.
inline int wait_for_one(Ring& ring, std::chrono::nanoseconds limit) {
  int result = -EINTR;
  while (result == -EINTR) result = ring.submit_and_wait(1, limit);
  return result;
}

// Turns until at least `count` completions came, or patience is over.
inline std::vector<Completion> collect(Ring& ring, std::size_t count) {
  std::vector<Completion> all;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (all.size() < count && std::chrono::steady_clock::now() < end) {
    ring.submit_and_wait(1, std::chrono::milliseconds(100));
    Completion batch[16];
    const unsigned reaped = ring.reap(batch);
    all.insert(all.end(), batch, batch + reaped);
  }
  return all;
}

inline std::string receive_exactly(int socket, std::size_t bytes) {
  std::string text(bytes, '\0');
  std::size_t have = 0;
  while (have < bytes) {
    const ssize_t count = recv(socket, text.data() + have, bytes - have, 0);
    if (count <= 0) break;
    have += static_cast<std::size_t>(count);
  }
  text.resize(have);
  return text;
}

}  // namespace ringcached::net::testing

TYPE_TO_STRING(ringcached::net::testing::Uring);
TYPE_TO_STRING(ringcached::net::testing::Epoll);
