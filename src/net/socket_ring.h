// What every ring over real descriptors does alike: the plain system calls of the seam, and the check of
// sizes.
#pragma once

#include <cerrno>
#include <span>

#include "net/ring.h"
#include "ringcached/status.h"

namespace ringcached::net {

inline constexpr std::size_t kSendBytesMax =
    0x7FFF'F000;  // the kernel's limit for one transfer (MAX_RW_COUNT)

// Of a system call: its value, or the negated errno.
inline int result_of(long return_value) {
  return return_value < 0 ? -errno : static_cast<int>(return_value);
}

// kInvalidArgument names what cannot be.
Status check_sizes(const RingOptions& options);

class SocketRing : public Ring {
 public:
  int close_socket(int socket) override;
  int shutdown_socket(int socket, int how) override;
  int configure_accepted(int socket, bool tcp) override;
  int peer_address(int socket, sockaddr_storage& address, socklen_t& length) override;
  int peek(int socket) override;
  int send_now(int socket, std::span<const char> data) override;
};

}  // namespace ringcached::net
