// Blocking clients and a small line server for tests of the engine over real sockets. Everything is bounded
// in time.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "ringcached/network.h"

namespace ringcached::testing {

class TestClient {
 public:
  static TestClient tcp(std::uint16_t port, const char* host = "127.0.0.1");
  static TestClient unix_socket(const std::string& path);
  // A socket to be connected by connect_tcp(), when none could be made any more.
  static TestClient unconnected();
  bool connect_tcp(std::uint16_t port);
  TestClient(TestClient&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
  TestClient& operator=(TestClient&&) = delete;
  ~TestClient();

  bool connected() const { return descriptor_ >= 0; }
  // False when the server is gone, or took nothing for 10 s.
  bool send(const std::string& bytes);
  // As much as the socket takes without waiting; the number of bytes.
  std::size_t send_some(const std::string& bytes);
  // Exactly `bytes`, or less at the end of the stream, an error, or after 10 s.
  std::string receive(std::size_t bytes);
  // Up to the end of the stream. `reset` is set if it ended by a reset.
  std::string receive_all(bool* reset = nullptr);
  void half_close();
  // Closes with a reset.
  void reset();

 private:
  explicit TestClient(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

// Lines ending in '\n':  "e<text>" is answered by "<text>\n"; "b<n>" by n bytes 'x', referenced; "q" closes;
// anything else closes too.
class LineServer final : public NetworkHandler {
 public:
  explicit LineServer(NetworkOptions options);
  ~LineServer() override;

  Network& network() { return *network_; }
  std::uint16_t port(std::size_t listener = 0) const { return network_->bound().at(listener).port; }
  void stop_and_join();
  // Waits until `done` holds, 10 s at most.
  bool wait_for(const std::function<bool(const NetworkStats&)>& done) const;

  std::unique_ptr<WorkerHandler> make_worker(unsigned worker) override;

  std::atomic<int> opened{0}, closed{0}, pinned{0}, released{0}, ends{0}, started{0}, stopped{0}, ticks{0},
      turns{0};
  std::atomic<int> reasons[5] = {};

 private:
  std::unique_ptr<Network> network_;
};

// On epoll if the environment says RINGCACHED_TEST_IO=epoll.
NetworkOptions loopback_options(unsigned workers = 2);

}  // namespace ringcached::testing
