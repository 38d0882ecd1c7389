// An echo server from the public header alone: what comes in goes out, until SIGINT or SIGTERM.
//
//   echo_server [port]     prints the port it listens on; port 0 (the default) lets the kernel choose
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "ringcached/network.h"

namespace {

using namespace ringcached;

class EchoConnection final : public ConnectionHandler {
 public:
  Consumed on_data(Connection& connection, std::span<const char> input) override {
    connection.output().append({input.data(), input.size()});
    return {input.size(), connection.output_blocked() ? Next::kBlocked : Next::kReceive};
  }
};

class EchoWorker final : public WorkerHandler {
 public:
  std::unique_ptr<ConnectionHandler> on_open(Connection&) override {
    return std::make_unique<EchoConnection>();
  }
};

class EchoServer final : public NetworkHandler {
 public:
  std::unique_ptr<WorkerHandler> make_worker(unsigned) override { return std::make_unique<EchoWorker>(); }
};

int fail(const Status& status) {
  std::fprintf(stderr, "echo_server: %s\n", status.message().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  NetworkOptions options;
  options.listeners.push_back({.host = "127.0.0.1"});
  if (argc > 1) std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), options.listeners[0].port);

  // Blocked before any thread starts, so that they reach the sigwait below and nobody else.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);

  EchoServer server;
  auto network = Network::create(options, server);
  if (!network) return fail(network.status());
  if (Status status = network.value()->start(); !status) return fail(status);
  std::printf("listening on port %u\n", static_cast<unsigned>(network.value()->bound()[0].port));
  std::fflush(stdout);

  int signal = 0;
  sigwait(&signals, &signal);
  network.value()->stop();
  network.value()->join();
  return 0;
}
