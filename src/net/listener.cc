#include "net/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "net/address.h"
#include "net/congestion.h"

namespace ringcached::net {
namespace {

// With port 0: how often to try for a port that is free on all addresses of a name.
constexpr int kEphemeralAttempts = 16;

// The kernel takes the rings of a killed process apart some time after the process is gone, and as long as
// one is left with an accept armed, its listening socket lives. Who starts again at once waits for that; who
// finds another server there is told so a moment later.
class TakenPatience {
 public:
  // Sleeps, unless the patience is over.
  bool again() {
    if (std::chrono::steady_clock::now() >= end_) return false;
    std::this_thread::sleep_for(kPause);
    return true;
  }

 private:
  static constexpr std::chrono::milliseconds kPatience{2000}, kPause{10};
  const std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + kPatience;
};

struct AddressListDeleter {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using AddressList = std::unique_ptr<addrinfo, AddressListDeleter>;

std::string display(const ListenAddress& address) {
  const std::string host = address.host.empty() ? "*" : address.host;
  const std::string transport = address.kind == ListenAddress::Kind::kUdp ? "UDP " : "";
  const std::string port = std::to_string(address.port);
  return transport + (host.find(':') == std::string::npos ? host + ":" + port : "[" + host + "]:" + port);
}

Status address_error(const ListenAddress& address, const char* step, int error) {
  std::string message = "cannot listen on " + display(address) + ": ";
  switch (error) {
    case EADDRINUSE:
      return {StatusCode::kUnavailable,
              message + "the port is in use; stop the other server or choose another port"};
    case EACCES:
      return {StatusCode::kUnavailable,
              message + "no permission; ports below 1024 need CAP_NET_BIND_SERVICE, choose a higher one"};
    case EADDRNOTAVAIL:
      return {StatusCode::kUnavailable,
              message + "this machine has no such address; check the listen address"};
    case EINVAL:
      return {StatusCode::kUnavailable, message +
                                            "the address cannot be bound; a link-local one needs its "
                                            "interface, as in [fe80::1%eth0]:11211"};
    case EMFILE:
    case ENFILE:
      return {StatusCode::kUnavailable, message + "too many open files; raise the limit (ulimit -n)"};
    default:
      return {StatusCode::kInternal, message + step + ": " + std::strerror(error)};
  }
}

Status unix_error(const ListenAddress& address, const char* step, int error) {
  std::string message = "cannot listen on unix:" + address.path + ": ";
  switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
      return {StatusCode::kUnavailable, message + "no permission; choose a directory this user may write to"};
    case ENOENT:
    case ENOTDIR:
      return {StatusCode::kUnavailable,
              message + "the directory does not exist; create it or choose another path"};
    case EADDRINUSE:
      return {StatusCode::kUnavailable,
              message + "the path is taken; stop the server that uses it or choose another path"};
    default:
      return {StatusCode::kInternal, message + step + ": " + std::strerror(error)};
  }
}

Result<AddressList> resolve(const ListenAddress& address) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = address.kind == ListenAddress::Kind::kUdp ? SOCK_DGRAM : SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  const bool all = address.host.empty() || address.host == "*";
  addrinfo* list = nullptr;
  const int error =
      getaddrinfo(all ? nullptr : address.host.c_str(), std::to_string(address.port).c_str(), &hints, &list);
  if (error == 0) return AddressList(list);
  const std::string reason = error == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(error);
  return Status(StatusCode::kUnavailable, "cannot listen on " + display(address) + ": " + reason +
                                              "; give an address or a name that resolves");
}

void set_port(sockaddr* address, std::uint16_t port) {
  if (address->sa_family == AF_INET) reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(port);
  if (address->sa_family == AF_INET6) reinterpret_cast<sockaddr_in6*>(address)->sin6_port = htons(port);
}

// Else any free port will do.
bool names_port(const sockaddr& address) {
  if (address.sa_family == AF_INET) return reinterpret_cast<const sockaddr_in&>(address).sin_port != 0;
  return address.sa_family == AF_INET6 && reinterpret_cast<const sockaddr_in6&>(address).sin6_port != 0;
}

void close_keeping_errno(int descriptor) {
  const int error = errno;
  if (descriptor >= 0) ::close(descriptor);
  errno = error;
}

// The address the socket is bound to, with the real port.
ListenAddress bound_address(int descriptor, const ListenAddress& asked) {
  ListenAddress bound = asked;
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) != 0) return bound;
  const PeerAddress own = PeerAddress::from(address);
  char text[INET6_ADDRSTRLEN] = "";
  if (inet_ntop(own.family, own.ip.data(), text, sizeof text) != nullptr) bound.host = text;
  bound.port = own.port;
  return bound;
}

// A bound socket in `descriptor`, or the step that failed with errno set. `early_option` of SOL_SOCKET is set
// before the socket is bound; 0: none.
const char* bind_to(const addrinfo& address, int early_option, int& descriptor) {
  const int on = 1;
  descriptor = socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC, address.ai_protocol);
  if (descriptor < 0) return "socket";
  if (early_option != 0 && setsockopt(descriptor, SOL_SOCKET, early_option, &on, sizeof on) != 0)
    return "setsockopt";
  // An IPv6 listener takes IPv6 only: the IPv4 address has a listener of its own.
  if (address.ai_family == AF_INET6 &&
      setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) {
    return "IPV6_V6ONLY";
  }
  for (TakenPatience patience;;) {
    if (bind(descriptor, address.ai_addr, address.ai_addrlen) == 0) return nullptr;
    if (errno != EADDRINUSE || !names_port(*address.ai_addr) || !patience.again()) return "bind";
  }
}

// Opens the sockets of one address and appends them; on failure the step, with errno set and nothing
// appended.
using OpenAddress =
    std::function<const char*(addrinfo& address, const ListenAddress& asked, std::vector<Listener>& opened)>;

const char* listen_on(const StreamOptions& options, const addrinfo& address, const ListenAddress& asked,
                      std::vector<Listener>& opened) {
  int descriptor = -1;
  const char* step = bind_to(address, SO_REUSEADDR, descriptor);
  if (step == nullptr) {
    errno = set_congestion_control(descriptor, *address.ai_addr, options.congestion_control);
    if (errno != 0) step = "TCP_CONGESTION";
  }
  if (step == nullptr && ::listen(descriptor, options.backlog) != 0) step = "listen";
  if (step == nullptr) {
    opened.emplace_back(descriptor, bound_address(descriptor, asked));
    return nullptr;
  }
  close_keeping_errno(descriptor);
  return step;
}

// One socket for each worker, all bound to one address. The first is bound without SO_REUSEPORT, so that
// another server on the address is an error; only then are others let in.
const char* receive_on(unsigned workers, addrinfo& address, const ListenAddress& asked,
                       std::vector<Listener>& opened) {
  const int on = 1;
  std::vector<Listener> sockets;
  for (unsigned worker = 0; worker < workers; ++worker) {
    int descriptor = -1;
    const char* step = bind_to(address, worker == 0 ? 0 : SO_REUSEPORT, descriptor);
    if (step == nullptr && worker == 0 &&
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) {
      step = "SO_REUSEPORT";
    }
    if (step != nullptr) {
      close_keeping_errno(descriptor);
      return step;
    }
    sockets.emplace_back(descriptor, bound_address(descriptor, asked));
    set_port(address.ai_addr, sockets.front().bound().port);
  }
  for (Listener& socket : sockets) opened.push_back(std::move(socket));
  return nullptr;
}

// The sockets of all addresses of the list. EADDRINUSE with `ephemeral` asks the caller to try again.
Status open_all(const ListenAddress& asked, addrinfo* list, const OpenAddress& open,
                std::vector<Listener>& listeners, int& error) {
  std::uint16_t port = asked.port;
  Status failure;
  error = 0;
  for (addrinfo* address = list; address != nullptr; address = address->ai_next) {
    set_port(address->ai_addr, port);
    const char* step = open(*address, asked, listeners);
    if (step == nullptr) {
      port = listeners.back().bound().port;
      continue;
    }
    error = errno;
    failure = address_error(asked, step, error);
    // A machine without IPv6 (or IPv4) still serves the other addresses of the name.
    if (error != EAFNOSUPPORT && error != EADDRNOTAVAIL) return failure;
  }
  return listeners.empty() ? failure : Status();
}

Result<std::vector<Listener>> open_address(const ListenAddress& asked, const OpenAddress& open) {
  auto list = resolve(asked);
  if (!list) return list.status();
  const bool ephemeral = asked.port == 0;
  for (int attempt = 1;; ++attempt) {
    std::vector<Listener> listeners;
    int error = 0;
    Status status = open_all(asked, list.value().get(), open, listeners, error);
    if (status) return listeners;
    if (!ephemeral || error != EADDRINUSE || attempt == kEphemeralAttempts) return status;
  }
}

// 0 when somebody listens there, else the errno of connecting.
int probe_unix(const sockaddr_un& address) {
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return errno;
  const int connected = connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = connected == 0 ? 0 : errno;
  ::close(probe);
  return error;
}

Status check_length(const ListenAddress& asked) {
  constexpr std::size_t kRoom = sizeof sockaddr_un::sun_path;
  if (!asked.path.empty() && asked.path.size() < kRoom) return {};
  return {StatusCode::kInvalidArgument, "cannot listen on unix:" + asked.path + ": the path must have 1 to " +
                                            std::to_string(kRoom - 1) + " bytes"};
}

// Whether a socket file is there; anything else in the way is an error.
Result<bool> find_socket(const ListenAddress& asked) {
  struct stat file {};
  if (lstat(asked.path.c_str(), &file) != 0) {
    if (errno == ENOENT) return false;
    return unix_error(asked, "stat", errno);
  }
  if (S_ISSOCK(file.st_mode)) return true;
  return Status(StatusCode::kUnavailable,
                "cannot listen on unix:" + asked.path +
                    ": a file that is not a socket is there; remove it or choose another path");
}

// Removes a socket file nobody answers on; anything else in the way is an error.
Status clear_path(const ListenAddress& asked, const sockaddr_un& address) {
  const Result<bool> found = find_socket(asked);
  if (!found) return found.status();
  if (!found.value()) return {};
  int error = probe_unix(address);
  for (TakenPatience patience; (error == 0 || error == EAGAIN) && patience.again();)
    error = probe_unix(address);
  if (error == ENOENT) return {};
  const bool taken = error == 0 || error == EAGAIN;
  if (error != ECONNREFUSED) return unix_error(asked, "connect", taken ? EADDRINUSE : error);
  if (unlink(asked.path.c_str()) != 0) return unix_error(asked, "unlink", errno);
  return {};
}

}  // namespace

Result<Listener> listen_unix(const ListenAddress& asked, int backlog) {
  Status status = check_length(asked);
  if (!status) return status;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, asked.path.data(), asked.path.size());
  status = clear_path(asked, address);
  if (!status) return status;
  const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return unix_error(asked, "socket", errno);
  if (bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    status = unix_error(asked, "bind", errno);
    ::close(descriptor);
    return status;
  }
  Listener listener(descriptor, asked);
  struct stat file {};
  if (stat(asked.path.c_str(), &file) == 0) {
    listener.file_device_ = file.st_dev;
    listener.file_inode_ = file.st_ino;
  }
  // The mode is set before listen(), so that nobody gets in by the mode the umask left.
  if (chmod(asked.path.c_str(), asked.unix_mode) != 0) return unix_error(asked, "chmod", errno);
  if (::listen(descriptor, backlog) != 0) return unix_error(asked, "listen", errno);
  return listener;
}

Status check_unix_path(const ListenAddress& asked) {
  Status status = check_length(asked);
  if (!status) return status;
  const Result<bool> found = find_socket(asked);
  if (!found) return found.status();
  const std::string directory = std::filesystem::path(asked.path).parent_path().string();
  if (faccessat(AT_FDCWD, directory.empty() ? "." : directory.c_str(), W_OK | X_OK, AT_EACCESS) == 0)
    return {};
  return unix_error(asked, "bind", errno);
}

Listener::Listener(Listener&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      bound_(std::move(other.bound_)),
      file_device_(std::exchange(other.file_device_, 0)),
      file_inode_(std::exchange(other.file_inode_, 0)) {}

Listener::~Listener() {
  if (descriptor_ >= 0) ::close(descriptor_);
  struct stat file {};
  if (file_inode_ == 0 || stat(bound_.path.c_str(), &file) != 0) return;
  if (file.st_dev == file_device_ && file.st_ino == file_inode_) unlink(bound_.path.c_str());
}

int Listener::release_descriptor() {
  return std::exchange(descriptor_, -1);
}

ListenerInfo Listener::info() const {
  ListenerInfo info;
  info.is_unix = is_unix();
  info.path = bound_.path;
  info.descriptor = descriptor_;
  info.tag = bound_.tag;
  if (is_unix()) {
    info.name = "unix:" + bound_.path;
    return info;
  }
  const std::string transport = bound_.kind == ListenAddress::Kind::kUdp ? "udp" : "tcp";
  if (bound_.host.find(':') != std::string::npos) {
    info.name = transport + "6:[" + bound_.host + "]:" + std::to_string(bound_.port);
  } else {
    info.name = transport + ":" + bound_.host + ":" + std::to_string(bound_.port);
  }
  return info;
}

Result<std::vector<Listener>> open_listeners(const std::vector<ListenAddress>& addresses,
                                             const StreamOptions& options) {
  const OpenAddress listen = [&options](addrinfo& address, const ListenAddress& asked,
                                        std::vector<Listener>& opened) {
    return listen_on(options, address, asked, opened);
  };
  const auto is_tcp = [](const ListenAddress& address) { return address.kind == ListenAddress::Kind::kTcp; };
  if (std::any_of(addresses.begin(), addresses.end(), is_tcp)) {
    if (Status status = check_congestion_control(options.congestion_control); !status) return status;
  }
  std::vector<Listener> all;
  for (const ListenAddress& address : addresses) {
    if (address.kind == ListenAddress::Kind::kUdp) continue;
    if (address.kind == ListenAddress::Kind::kUnix) {
      auto listener = listen_unix(address, options.backlog);
      if (!listener) return listener.status();
      all.push_back(std::move(listener.value()));
      continue;
    }
    auto listeners = open_address(address, listen);
    if (!listeners) return listeners.status();
    for (Listener& listener : listeners.value()) all.push_back(std::move(listener));
  }
  return all;
}

Result<std::vector<Listener>> open_datagram_sockets(const std::vector<ListenAddress>& addresses,
                                                    unsigned workers) {
  const OpenAddress receive = [workers](addrinfo& address, const ListenAddress& asked,
                                        std::vector<Listener>& opened) {
    return receive_on(workers, address, asked, opened);
  };
  std::vector<Listener> all;
  for (const ListenAddress& address : addresses) {
    if (address.kind != ListenAddress::Kind::kUdp) continue;
    auto sockets = open_address(address, receive);
    if (!sockets) return sockets.status();
    for (Listener& socket : sockets.value()) all.push_back(std::move(socket));
  }
  return all;
}

}  // namespace ringcached::net
