// Listening sockets: TCP over IPv4 and IPv6, UNIX sockets, and the UDP sockets of the workers.
#pragma once

#include <string>
#include <vector>

#include "net/worker_context.h"
#include "ringcached/network.h"
#include "ringcached/status.h"

namespace ringcached::net {

// Owns a bound, listening (or datagram) descriptor, and the socket file of a UNIX one.
class Listener {
 public:
  Listener(int descriptor, ListenAddress bound) : descriptor_(descriptor), bound_(std::move(bound)) {}
  ~Listener();
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&&) = delete;
  Listener(const Listener&) = delete;

  int descriptor() const { return descriptor_; }
  const ListenAddress& bound() const { return bound_; }
  bool is_unix() const { return bound_.kind == ListenAddress::Kind::kUnix; }
  // "tcp:127.0.0.1:11211", "tcp6:[::1]:11211", "unix:/path", "udp:..." and "udp6:..." as the TCP ones
  ListenerInfo info() const;
  // Gives the descriptor away; the destructor still removes the socket file.
  int release_descriptor();

 private:
  friend Result<Listener> listen_unix(const ListenAddress& address, int backlog);

  int descriptor_;
  ListenAddress bound_;
  // The socket file as we made it; another one of the same name is not ours to remove.
  unsigned long file_device_ = 0, file_inode_ = 0;
};

// As NetworkOptions has them.
struct StreamOptions {
  int backlog = 1024;
  std::string congestion_control = kAutoCongestion;
};

// Opens all TCP and UNIX ones, a name that stands for several addresses giving several listeners. With port 0
// all addresses of one entry get the same port. On failure none is left open; the message names address,
// cause and remedy.
Result<std::vector<Listener>> open_listeners(const std::vector<ListenAddress>& addresses,
                                             const StreamOptions& options);

// Whether a socket file could be made at the path of `address`, without making it: refused with the words of
// open_listeners(). A server that listens there is no fault, it may be the one that is to be replaced.
Status check_unix_path(const ListenAddress& address);

// Opens all UDP ones, `workers` sockets for each address, in this order: those of the first address, one for
// each worker, then those of the next. The kernel spreads the datagrams over the sockets of an address by
// their source, so one client's reach one worker. Another server on the address is found, although the
// sockets share it among themselves.
Result<std::vector<Listener>> open_datagram_sockets(const std::vector<ListenAddress>& addresses,
                                                    unsigned workers);

}  // namespace ringcached::net
