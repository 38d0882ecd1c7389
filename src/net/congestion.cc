#include "net/congestion.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "ringcached/network.h"

namespace ringcached::net {
namespace {

constexpr std::string_view kLoopbackCongestion = "reno";

bool is_loopback(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return ntohl(v4.sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
  }
  return address.sa_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
}

int set(int socket, std::string_view name) {
  const auto length = static_cast<socklen_t>(name.size());
  return setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, name.data(), length) == 0 ? 0 : errno;
}

bool names_algorithm(const std::string& wanted) {
  return wanted != kSystemCongestion && wanted != kAutoCongestion;
}

// " (there are: reno cubic)", or nothing where the kernel does not tell.
std::string list_of(const char* setting) {
  std::ifstream file(std::string("/proc/sys/net/ipv4/") + setting);
  std::string names;
  return std::getline(file, names) ? " (there are: " + names + ")" : "";
}

}  // namespace

Status check_congestion_control(const std::string& wanted) {
  if (!names_algorithm(wanted)) return {};
  int trial = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (trial < 0) trial = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (trial < 0) return {};  // opening the listeners will tell
  const int error = set(trial, wanted);
  close(trial);
  switch (error) {
    case 0:
      return {};
    case ENOENT:
      return {StatusCode::kUnavailable, "the kernel has no congestion control '" + wanted + "'" +
                                            list_of("tcp_available_congestion_control") +
                                            "; load its module or choose another one"};
    case EPERM:
      return {StatusCode::kUnavailable,
              "this user may not choose the congestion control '" + wanted + "'" +
                  list_of("tcp_allowed_congestion_control") +
                  "; add it to net.ipv4.tcp_allowed_congestion_control or choose another one"};
    default:
      return {StatusCode::kUnavailable, "congestion control '" + wanted + "': " + std::strerror(error)};
  }
}

int set_congestion_control(int socket, const sockaddr& address, const std::string& wanted) {
  if (names_algorithm(wanted)) return set(socket, wanted);
  // Connections are served without it, too.
  if (wanted == kAutoCongestion && is_loopback(address)) set(socket, kLoopbackCongestion);
  return 0;
}

}  // namespace ringcached::net
