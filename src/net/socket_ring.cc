#include "net/socket_ring.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

namespace ringcached::net {

namespace {

constexpr unsigned kReceiveBuffersMax = 1U << 15;  // the kernel's limit for a buffer ring

}  // namespace

Status check_sizes(const RingOptions& options) {
  const bool buffers_valid = options.receive_buffers == 0 || (std::has_single_bit(options.receive_buffers) &&
                                                              options.receive_buffers <= kReceiveBuffersMax &&
                                                              options.receive_buffer_bytes != 0);
  if (options.submission_entries != 0 && options.completion_entries >= options.submission_entries &&
      buffers_valid) {
    return {};
  }
  return {StatusCode::kInvalidArgument,
          "ring sizes: submission_entries must be at least 1 and at most completion_entries; receive_buffers "
          "must be 0 or a power of two up to 32768, of at least 1 byte each"};
}

int SocketRing::close_socket(int socket) {
  return result_of(close(socket));
}

int SocketRing::shutdown_socket(int socket, int how) {
  return result_of(shutdown(socket, how));
}

int SocketRing::configure_accepted(int socket, bool tcp) {
  const int on = 1;
  if (!tcp) {
    int type = 0;
    socklen_t length = sizeof(type);
    return result_of(getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &length));
  }
  if (setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) return -errno;
  return result_of(setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)));
}

int SocketRing::peer_address(int socket, sockaddr_storage& address, socklen_t& length) {
  length = sizeof(address);
  return result_of(getpeername(socket, reinterpret_cast<sockaddr*>(&address), &length));
}

int SocketRing::peek(int socket) {
  char byte;
  return result_of(static_cast<int>(::recv(socket, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT)));
}

int SocketRing::send_now(int socket, std::span<const char> data) {
  return result_of(
      ::send(socket, data.data(), std::min(data.size(), kSendBytesMax), MSG_NOSIGNAL | MSG_DONTWAIT));
}

}  // namespace ringcached::net
