#include "test_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>

namespace ringcached::testing {
namespace {

constexpr int kPatienceSeconds = 10;

int patient_socket(int family) {
  const int descriptor = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{kPatienceSeconds, 0};
  setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return descriptor;
}

bool connect_patiently(int descriptor, const sockaddr* address, socklen_t length) {
  if (connect(descriptor, address, length) == 0) return true;
  if (errno != EINTR) return false;
  // Interrupted, it goes on by itself.
  pollfd writable{descriptor, POLLOUT, 0};
  int error = 0;
  socklen_t error_length = sizeof error;
  return poll(&writable, 1, kPatienceSeconds * 1000) == 1 &&
         getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &error_length) == 0 && error == 0;
}

int connected_socket(int family, const sockaddr* address, socklen_t length) {
  const int descriptor = patient_socket(family);
  if (connect_patiently(descriptor, address, length)) return descriptor;
  close(descriptor);
  return -1;
}

// Calls again what a signal interrupted. The kernel also interrupts a thread once when a ring it used is
// taken down.
template <typename Call>
ssize_t uninterrupted(Call call) {
  for (;;) {
    const ssize_t result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

const std::string& filler() {
  static const std::string bytes(1 << 20, 'x');
  return bytes;
}

class LineHandler final : public ConnectionHandler {
 public:
  explicit LineHandler(LineServer& server) : server_(server) { ++server_.opened; }

  Consumed on_data(Connection& connection, std::span<const char> input) override {
    const std::string_view all(input.data(), input.size());
    std::size_t used = 0;
    for (unsigned lines = 0;; ++lines) {
      const std::size_t end = all.find('\n', used);
      if (end == std::string_view::npos) return {used, Next::kReceive};
      if (connection.output_blocked()) return {used, Next::kBlocked};
      if (lines >= 20 && connection.others_waiting()) return {used, Next::kYield};
      const std::string_view line = all.substr(used, end - used);
      used = end + 1;
      if (!answer(connection.output(), line)) return {used, Next::kClose};
    }
  }
  void on_end_of_stream(Connection&) override { ++server_.ends; }
  void on_close(Connection&, CloseReason reason) override {
    ++server_.closed;
    ++server_.reasons[static_cast<int>(reason)];
  }

 private:
  bool answer(Output& output, std::string_view line) {
    if (line.starts_with('e')) {
      output.append(line.substr(1));
      output.append("\n");
      return true;
    }
    std::size_t bytes = 0;
    if (!line.starts_with('b')) return false;
    std::from_chars(line.data() + 1, line.data() + line.size(), bytes);
    for (; bytes > 0; bytes -= std::min(bytes, filler().size())) {
      ++server_.pinned;
      output.reference({filler().data(), std::min(bytes, filler().size())}, {release, &server_, nullptr});
    }
    return true;
  }
  static void release(void* owner, void*) { ++static_cast<LineServer*>(owner)->released; }

  LineServer& server_;
};

class LineWorker final : public WorkerHandler {
 public:
  explicit LineWorker(LineServer& server) : server_(server) {}
  std::unique_ptr<ConnectionHandler> on_open(Connection&) override {
    return std::make_unique<LineHandler>(server_);
  }
  void on_start() override { ++server_.started; }
  void on_stop() override { ++server_.stopped; }
  void on_tick() override { ++server_.ticks; }
  bool on_turn() override {
    ++server_.turns;
    return false;
  }

 private:
  LineServer& server_;
};

}  // namespace

TestClient TestClient::tcp(std::uint16_t port, const char* host) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
    return TestClient(connected_socket(AF_INET, reinterpret_cast<sockaddr*>(&v4), sizeof v4));
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  inet_pton(AF_INET6, host, &v6.sin6_addr);
  return TestClient(connected_socket(AF_INET6, reinterpret_cast<sockaddr*>(&v6), sizeof v6));
}

TestClient TestClient::unconnected() {
  return TestClient(patient_socket(AF_INET));
}

bool TestClient::connect_tcp(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connect_patiently(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address);
}

TestClient TestClient::unix_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
  return TestClient(connected_socket(AF_UNIX, reinterpret_cast<sockaddr*>(&address), sizeof address));
}

TestClient::~TestClient() {
  if (descriptor_ >= 0) close(descriptor_);
}

bool TestClient::send(const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t part = uninterrupted(
        [&] { return ::send(descriptor_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL); });
    if (part <= 0) return false;
    sent += static_cast<std::size_t>(part);
  }
  return true;
}

std::size_t TestClient::send_some(const std::string& bytes) {
  const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

std::string TestClient::receive(std::size_t bytes) {
  std::string got(bytes, '\0');
  std::size_t count = 0;
  while (count < bytes) {
    const ssize_t part =
        uninterrupted([&] { return recv(descriptor_, got.data() + count, bytes - count, 0); });
    if (part <= 0) break;
    count += static_cast<std::size_t>(part);
  }
  got.resize(count);
  return got;
}

std::string TestClient::receive_all(bool* reset) {
  std::string got;
  char buffer[65536];
  for (;;) {
    const ssize_t part = uninterrupted([&] { return recv(descriptor_, buffer, sizeof buffer, 0); });
    if (part < 0 && reset != nullptr) *reset = true;
    if (part <= 0) return got;
    got.append(buffer, static_cast<std::size_t>(part));
  }
}

void TestClient::half_close() {
  shutdown(descriptor_, SHUT_WR);
}

void TestClient::reset() {
  const linger now{1, 0};
  setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(std::exchange(descriptor_, -1));
}

NetworkOptions loopback_options(unsigned workers) {
  NetworkOptions options;
  const char* backend = std::getenv("RINGCACHED_TEST_IO");
  if (backend != nullptr && std::string_view(backend) == "epoll") options.io_backend = IoBackend::kEpoll;
  options.listeners.push_back({.host = "127.0.0.1"});
  options.workers = workers;
  options.ring_entries = 128;
  options.receive_buffers = 16;
  options.receive_buffer_bytes = 4096;
  options.tick = std::chrono::milliseconds(20);
  return options;
}

LineServer::LineServer(NetworkOptions options) {
  auto network = Network::create(options, *this);
  if (!network) throw std::runtime_error(network.status().message());
  network_ = std::move(network.value());
  if (Status status = network_->start(); !status) throw std::runtime_error(status.message());
}

LineServer::~LineServer() {
  if (network_ != nullptr) stop_and_join();
}

void LineServer::stop_and_join() {
  network_->stop();
  network_->join();
}

bool LineServer::wait_for(const std::function<bool(const NetworkStats&)>& done) const {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(kPatienceSeconds);
  while (std::chrono::steady_clock::now() < end) {
    if (done(network_->stats())) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

std::unique_ptr<WorkerHandler> LineServer::make_worker(unsigned) {
  return std::make_unique<LineWorker>(*this);
}

}  // namespace ringcached::testing
