// Who a connection is with, in a form that fits a connection's slot and can be shown to other threads.
#pragma once

#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

namespace ringcached::net {

struct PeerAddress {
  sa_family_t family = AF_UNSPEC;
  std::uint16_t port = 0;             // host order; AF_INET and AF_INET6
  std::array<std::uint8_t, 16> ip{};  // network order; the first 4 for AF_INET

  // AF_UNSPEC for anything but IPv4, IPv6 and UNIX.
  static PeerAddress from(const sockaddr_storage& address);
  // "tcp:1.2.3.4:5", "tcp6:[::1]:5"; "unix:" and `unix_path` for AF_UNIX; "unknown" if the peer was gone
  // already.
  std::string name(const std::string& unix_path) const;
};

// What `stats conns` shows of a connection: written by its worker, read by any thread without a lock.
//
// A version that is odd while the record changes lets a reader notice that it read a mixture. Words are
// stored with release and loaded with acquire, so that a reader that saw a new word also sees the new
// version.
class PublishedConnection {
 public:
  enum class State : std::uint8_t { kRead, kParse, kWrite, kWatch, kClosing };
  struct Snapshot {
    int descriptor = -1;
    std::uint16_t listener = 0;
    PeerAddress peer;
    State state = State::kRead;
    std::uint32_t receive_tick = 0;  // of the last bytes from the client
  };

  // The worker.
  void open(int descriptor, std::uint16_t listener, const PeerAddress& peer, std::uint32_t tick);
  void close();
  void set_state(State state) { state_.store(state, std::memory_order_relaxed); }
  void set_receive_tick(std::uint32_t tick) { receive_tick_.store(tick, std::memory_order_relaxed); }
  std::uint32_t receive_tick() const { return receive_tick_.load(std::memory_order_relaxed); }
  std::uint16_t listener() const {
    return static_cast<std::uint16_t>(place_.load(std::memory_order_relaxed) >> 16);
  }
  PeerAddress peer() const;

  // Any thread. Nothing when the slot is free, or in the very moment of a change.
  std::optional<Snapshot> read() const;

 private:
  static constexpr int kClosed = -1;

  std::atomic<std::uint32_t> version_{0};
  std::atomic<std::int32_t> descriptor_{kClosed};
  std::atomic<std::uint64_t> ip_[2] = {};
  // port | listener << 16 | family << 32
  std::atomic<std::uint64_t> place_{0};
  std::atomic<std::uint32_t> receive_tick_{0};
  std::atomic<State> state_{State::kRead};
};

}  // namespace ringcached::net
