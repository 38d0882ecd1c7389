// A connected socket to a server, for the load generator and for replaying traces.
#pragma once

#include <cstdint>
#include <string>

namespace ringcached::bench {

// Where a server listens: `unix_path` if it is not empty, else host and port.
struct ServerAddress {
  std::string host = "127.0.0.1";  // IPv4
  std::uint16_t port = 11211;
  std::string unix_path;
};

// A blocking stream socket, closed on exec, without Nagle's delay. -1 with errno set.
int connect_to_server(const ServerAddress& address);

}  // namespace ringcached::bench
