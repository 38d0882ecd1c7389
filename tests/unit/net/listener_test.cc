#include "net/listener.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "support/temporary_directory.h"

using namespace ringcached;
using namespace ringcached::net;
using ringcached::testing::TemporaryDirectory;

namespace {

ListenAddress tcp(const char* host, std::uint16_t port = 0) {
  return {.host = host, .port = port};
}

ListenAddress udp(const char* host, std::uint16_t port = 0) {
  return {.kind = ListenAddress::Kind::kUdp, .host = host, .port = port};
}

ListenAddress unix_at(const std::string& path, unsigned mode = 0700) {
  return {.kind = ListenAddress::Kind::kUnix, .path = path, .unix_mode = mode};
}

std::string congestion_of(const Listener& listener) {
  char name[16] = "";
  socklen_t length = sizeof name;
  REQUIRE(getsockopt(listener.descriptor(), IPPROTO_TCP, TCP_CONGESTION, name, &length) == 0);
  return name;
}

// What the one listener of `host` gets if `wanted` is asked for.
std::string congestion_of(const char* host, const std::string& wanted) {
  auto listeners = open_listeners({tcp(host)}, {.congestion_control = wanted});
  REQUIRE_MESSAGE(listeners.is_ok(), listeners.status().message());
  return congestion_of(listeners.value().at(0));
}

std::string system_congestion() {
  std::ifstream file("/proc/sys/net/ipv4/tcp_congestion_control");
  std::string name;
  REQUIRE(std::getline(file, name));
  return name;
}

// A socket file whose owner is gone.
void leave_stale_socket(const std::string& path) {
  const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  REQUIRE(bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  close(descriptor);
}

}  // namespace

TEST_SUITE("listener") {
  TEST_CASE("congestion control: the cheapest on loopback, else the system's, or what is asked for") {
    CHECK(congestion_of("127.0.0.1", kAutoCongestion) == "reno");
    CHECK(congestion_of("127.1.2.3", kAutoCongestion) == "reno");
    CHECK(congestion_of("0.0.0.0", kAutoCongestion) == system_congestion());
    CHECK(congestion_of("127.0.0.1", kSystemCongestion) == system_congestion());
    CHECK(congestion_of("0.0.0.0", "reno") == "reno");
    if (auto v6 = open_listeners({tcp("::1")}, {}); v6.is_ok()) CHECK(congestion_of(v6.value()[0]) == "reno");

    const auto unknown = open_listeners({tcp("127.0.0.1")}, {.congestion_control = "vegetable"});
    CHECK(unknown.status().code() == StatusCode::kUnavailable);
    CHECK(unknown.status().message().find("the kernel has no congestion control 'vegetable' (there are: ") ==
          0);
    CHECK(unknown.status().message().find("reno") != std::string::npos);
  }

  TEST_CASE("an accepted connection has its listener's congestion control") {
    for (const char* wanted : {kAutoCongestion, kSystemCongestion}) {
      auto listeners = open_listeners({tcp("127.0.0.1")}, {.congestion_control = wanted});
      REQUIRE(listeners.is_ok());
      const Listener& listener = listeners.value()[0];
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(listener.bound().port);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      const int client = socket(AF_INET, SOCK_STREAM, 0);
      REQUIRE(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
      const Listener accepted(accept(listener.descriptor(), nullptr, nullptr), tcp("127.0.0.1"));
      CHECK(congestion_of(accepted) == congestion_of(listener));
      close(client);
    }
  }

  TEST_CASE("an ephemeral port is reported as it is") {
    auto listeners = open_listeners({tcp("127.0.0.1")}, {.backlog = 16});
    REQUIRE(listeners.is_ok());
    REQUIRE(listeners.value().size() == 1);
    const Listener& listener = listeners.value()[0];
    CHECK(listener.bound().port != 0);
    CHECK(listener.bound().host == "127.0.0.1");
    CHECK(listener.info().name == "tcp:127.0.0.1:" + std::to_string(listener.bound().port));
    CHECK(!listener.is_unix());
  }

  TEST_CASE("all addresses of a name get the same port") {
    auto listeners = open_listeners({tcp("*")}, {.backlog = 16});
    REQUIRE(listeners.is_ok());
    for (const Listener& listener : listeners.value()) {
      CHECK(listener.bound().port == listeners.value()[0].bound().port);
    }
    auto name = open_listeners({tcp("localhost")}, {.backlog = 16});
    CHECK(name.is_ok());
  }

  TEST_CASE("a port in use is refused by name, with the remedy, and nothing is left open") {
    auto first = open_listeners({tcp("127.0.0.1")}, {.backlog = 16});
    REQUIRE(first.is_ok());
    const std::uint16_t port = first.value()[0].bound().port;
    const auto second = open_listeners({tcp("127.0.0.1"), tcp("127.0.0.1", port)}, {.backlog = 16});
    REQUIRE(!second.is_ok());
    const std::string message = second.status().message();
    CHECK(second.status().code() == StatusCode::kUnavailable);
    CHECK(message.find("127.0.0.1:" + std::to_string(port)) != std::string::npos);
    CHECK(message.find("in use") != std::string::npos);
    CHECK(message.find("choose another port") != std::string::npos);
  }

  TEST_CASE("foreign addresses and unknown names are errors that say so") {
    const auto foreign = open_listeners({tcp("192.0.2.1", 11)}, {.backlog = 16});
    REQUIRE(!foreign.is_ok());
    CHECK(foreign.status().message().find("192.0.2.1:11") != std::string::npos);
    const auto unknown = open_listeners({tcp("no such host")}, {.backlog = 16});
    REQUIRE(!unknown.is_ok());
    // Not kNotFound: the process would exit with "no such user".
    CHECK(unknown.status().code() == StatusCode::kUnavailable);
    CHECK(unknown.status().message().find("no such host") != std::string::npos);
    const auto scopeless = open_listeners({tcp("fe80::1")}, {.backlog = 16});
    REQUIRE(!scopeless.is_ok());
    CHECK(scopeless.status().message().find("%eth0") != std::string::npos);
  }

  TEST_CASE("a UNIX socket has the mode asked for and is removed at the end") {
    const TemporaryDirectory directory;
    const std::string path = directory.path("socket");
    {
      auto listeners = open_listeners({unix_at(path, 0620)}, {.backlog = 16});
      REQUIRE(listeners.is_ok());
      struct stat file {};
      REQUIRE(stat(path.c_str(), &file) == 0);
      CHECK((file.st_mode & 0777) == 0620);
      CHECK(listeners.value()[0].info().name == "unix:" + path);
    }
    CHECK(!std::filesystem::exists(path));
  }

  TEST_CASE("a stale socket file is replaced; one that is answered and any other file are not") {
    const TemporaryDirectory directory;
    const std::string path = directory.path("socket");
    leave_stale_socket(path);
    auto owner = open_listeners({unix_at(path)}, {.backlog = 16});
    REQUIRE(owner.is_ok());
    const auto taken = open_listeners({unix_at(path)}, {.backlog = 16});
    REQUIRE(!taken.is_ok());
    CHECK(taken.status().message().find("the path is taken") != std::string::npos);
    CHECK(std::filesystem::exists(path));

    const std::string plain = directory.write("file", "precious");
    const auto file = open_listeners({unix_at(plain)}, {.backlog = 16});
    REQUIRE(!file.is_ok());
    CHECK(file.status().message().find("not a socket") != std::string::npos);
    CHECK(std::filesystem::file_size(plain) == 8);
  }

  TEST_CASE("a path that is too long, empty, or in no directory is an error") {
    const auto far = open_listeners({unix_at("/" + std::string(200, 'x'))}, {.backlog = 16});
    CHECK(far.status().code() == StatusCode::kInvalidArgument);
    CHECK(open_listeners({unix_at("")}, {.backlog = 16}).status().code() == StatusCode::kInvalidArgument);
    const TemporaryDirectory directory;
    const auto nowhere = open_listeners({unix_at(directory.path("none/socket"))}, {.backlog = 16});
    CHECK(nowhere.status().message().find("directory does not exist") != std::string::npos);
  }

  TEST_CASE("check_unix_path refuses what would be refused, makes nothing, and lets a server be") {
    const TemporaryDirectory directory;
    const std::string path = directory.path("socket");
    CHECK(check_unix_path(unix_at(path)).is_ok());
    CHECK(std::filesystem::is_empty(directory.path("")));
    {
      const auto owner = open_listeners({unix_at(path)}, {.backlog = 16});
      REQUIRE(owner.is_ok());
      CHECK(check_unix_path(unix_at(path)).is_ok());
      CHECK(std::filesystem::exists(path));
    }
    leave_stale_socket(path);
    CHECK(check_unix_path(unix_at(path)).is_ok());
    CHECK(std::filesystem::exists(path));
    directory.write("file", "precious");
    for (const std::string& bad : {std::string(), "/" + std::string(200, 'x'), directory.path("none/socket"),
                                   directory.path("file"), directory.path("file/socket")}) {
      INFO(bad);
      CHECK(check_unix_path(unix_at(bad)).message() ==
            open_listeners({unix_at(bad)}, {.backlog = 16}).status().message());
      CHECK_FALSE(check_unix_path(unix_at(bad)).is_ok());
    }
  }

  TEST_CASE("a socket file that was replaced by another one is left alone") {
    const TemporaryDirectory directory;
    const std::string path = directory.path("socket");
    {
      auto first = open_listeners({unix_at(path)}, {.backlog = 16});
      REQUIRE(first.is_ok());
      std::filesystem::remove(path);
      leave_stale_socket(path);
    }
    CHECK(std::filesystem::exists(path));
  }

  TEST_CASE("UDP: each worker has a socket of its own on one port, and another server is found") {
    auto sockets = open_datagram_sockets({tcp("127.0.0.1"), udp("127.0.0.1"), udp("127.0.0.1")}, 3);
    REQUIRE(sockets.is_ok());
    REQUIRE(sockets.value().size() == 6);
    const std::uint16_t port = sockets.value()[0].bound().port;
    CHECK(port != 0);
    for (int i = 0; i < 3; ++i) {
      const Listener& socket = sockets.value()[static_cast<std::size_t>(i)];
      CHECK(socket.bound().port == port);
      CHECK(socket.info().name == "udp:127.0.0.1:" + std::to_string(port));
      CHECK(sockets.value()[static_cast<std::size_t>(i) + 3].bound().port != port);
    }
    const auto second = open_datagram_sockets({udp("127.0.0.1", port)}, 2);
    REQUIRE_FALSE(second.is_ok());
    CHECK(second.status().message() ==
          "cannot listen on UDP 127.0.0.1:" + std::to_string(port) +
              ": the port is in use; stop the other server or choose another port");
    CHECK(open_listeners({udp("127.0.0.1")}, {.backlog = 16}).value().empty());
  }
}
