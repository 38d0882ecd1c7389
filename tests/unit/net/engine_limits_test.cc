// The engine at its limits, over real sockets and threads.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "support/temporary_directory.h"
#include "test_client.h"

using namespace ringcached;
using namespace ringcached::testing;

namespace {

bool answers(TestClient& client) {
  return client.send("eping\n") && client.receive(5) == "ping\n";
}

// Lowers the limit on open descriptors for a while.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t limit) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lower{limit, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &lower);
  }
  ~DescriptorLimit() { setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit before_{};
};

// Takes every descriptor that is left.
class DescriptorHoard {
 public:
  DescriptorHoard() {
    for (int descriptor; (descriptor = dup(STDERR_FILENO)) >= 0;) descriptors_.push_back(descriptor);
  }
  ~DescriptorHoard() {
    for (const int descriptor : descriptors_) close(descriptor);
  }
  DescriptorHoard(const DescriptorHoard&) = delete;
  DescriptorHoard& operator=(const DescriptorHoard&) = delete;

 private:
  std::vector<int> descriptors_;
};

// Its second worker finds no memory, on the caller's thread or on its own.
class WithoutMemory final : public NetworkHandler {
 public:
  explicit WithoutMemory(bool on_start) : on_start_(on_start) {}
  std::unique_ptr<WorkerHandler> make_worker(unsigned worker) override {
    if (worker == 1 && !on_start_) throw std::bad_alloc();
    return std::make_unique<Worker>(worker == 1);
  }

 private:
  class Worker final : public WorkerHandler {
   public:
    explicit Worker(bool fails) : fails_(fails) {}
    void on_start() override {
      if (fails_) throw std::bad_alloc();
    }
    std::unique_ptr<ConnectionHandler> on_open(Connection&) override { return nullptr; }

   private:
    bool fails_;
  };
  bool on_start_;
};

}  // namespace

TEST_SUITE("engine_limits") {
  TEST_CASE("a start that lacks memory fails with a word, whatever thread found none") {
    for (const bool on_start : {false, true}) {
      WithoutMemory handler(on_start);
      auto network = Network::create(loopback_options(), handler);
      REQUIRE(network.is_ok());
      const Status status = network.value()->start();
      CHECK(status.code() == StatusCode::kOutOfMemory);
      CHECK(status.message() == "out of memory");
    }
  }

  TEST_CASE("beyond the limit a client gets the refusal line and the end, and is counted") {
    NetworkOptions options = loopback_options();
    options.connections_max = 3;
    options.refusal_line = "ERROR Too many open connections\r\n";
    LineServer server(options);
    std::vector<TestClient> clients;
    for (int i = 0; i < 3; ++i) {
      clients.push_back(TestClient::tcp(server.port()));
      CHECK(answers(clients.back()));
    }
    for (int i = 0; i < 5; ++i) CHECK(TestClient::tcp(server.port()).receive_all() == options.refusal_line);
    CHECK(server.network().stats().rejected_connections == 5);
    CHECK(server.network().stats().total_connections == 3);
    clients.pop_back();
    CHECK(server.wait_for([](const NetworkStats& stats) { return stats.current_connections == 2; }));
    TestClient again = TestClient::tcp(server.port());
    CHECK(answers(again));
  }

  TEST_CASE("without refuse_fast the server stops accepting at the limit and goes on below it") {
    NetworkOptions options = loopback_options();
    options.connections_max = 2;
    options.refuse_fast = false;
    LineServer server(options);
    std::vector<TestClient> clients;
    for (int i = 0; i < 2; ++i) {
      clients.push_back(TestClient::tcp(server.port()));
      CHECK(answers(clients.back()));
    }
    CHECK(server.wait_for([](const NetworkStats& stats) { return !stats.accepting; }));
    CHECK(server.network().stats().listen_disabled == 1);
    TestClient waiting = TestClient::tcp(server.port());  // in the backlog
    CHECK(waiting.connected());
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    CHECK(server.network().stats().total_connections == 2);
    clients.pop_back();
    CHECK(answers(waiting));
    CHECK(server.network().stats().time_in_listen_disabled_us >= 20'000);
    CHECK(server.network().stats().rejected_connections == 0);
  }

  TEST_CASE("out of descriptors the server pauses without spinning, and recovers") {
    // Before the server starts: an armed accept keeps the limit of its arming.
    const DescriptorLimit limit(256);
    LineServer server(loopback_options(1));
    TestClient first = TestClient::tcp(server.port());
    CHECK(answers(first));
    std::vector<TestClient> clients;
    for (int i = 0; i < 8; ++i) clients.push_back(TestClient::unconnected());
    bool connected = true;
    bool paused = server.wait_for([](const NetworkStats& stats) { return stats.accepting; });
    bool served = false;
    std::uint64_t errors = 0;
    {
      const DescriptorHoard hoard;
      for (TestClient& client : clients) connected = client.connect_tcp(server.port()) && connected;
      // Checked below: what a test tool does at a failure may need descriptors itself.
      paused = server.wait_for([](const NetworkStats& stats) { return stats.listen_disabled >= 2; });
      served = answers(first);
      const std::uint64_t before = server.network().stats().accept_errors;
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      errors = server.network().stats().accept_errors - before;
    }
    CHECK(connected);
    CHECK(paused);
    CHECK(served);
    CHECK(errors > 0);
    CHECK(errors <= 25);  // one try per 10 ms
    for (TestClient& client : clients) CHECK(answers(client));
    CHECK(server.wait_for([](const NetworkStats& stats) { return stats.accepting; }));
    CHECK(server.network().stats().time_in_listen_disabled_us > 0);
  }

  TEST_CASE("idle clients are closed after the timeout, but not those on a UNIX socket or active ones") {
    const TemporaryDirectory directory;
    NetworkOptions options = loopback_options(1);
    options.listeners.push_back({.kind = ListenAddress::Kind::kUnix, .path = directory.path("socket")});
    options.idle_timeout = std::chrono::seconds(1);
    LineServer server(options);
    TestClient idle = TestClient::tcp(server.port());
    TestClient active = TestClient::tcp(server.port());
    TestClient local = TestClient::unix_socket(directory.path("socket"));
    CHECK(answers(idle));
    const auto begin = std::chrono::steady_clock::now();
    while (server.network().stats().idle_kicks == 0 &&
           std::chrono::steady_clock::now() - begin < std::chrono::seconds(4)) {
      CHECK(answers(active));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(1000));
    CHECK(server.network().stats().idle_kicks == 1);
    CHECK(idle.receive_all().empty());
    CHECK(answers(active));
    CHECK(answers(local));
    CHECK(server.reasons[static_cast<int>(CloseReason::kIdleTimeout)] == 1);
  }

  TEST_CASE("several listeners: IPv4, IPv6 and UNIX") {
    const TemporaryDirectory directory;
    NetworkOptions options = loopback_options();
    options.listeners.push_back({.host = "::1"});
    options.listeners.push_back({.kind = ListenAddress::Kind::kUnix, .path = directory.path("socket")});
    LineServer server(options);
    TestClient v4 = TestClient::tcp(server.port(0));
    TestClient v6 = TestClient::tcp(server.port(1), "::1");
    TestClient local = TestClient::unix_socket(directory.path("socket"));
    CHECK(answers(v4));
    CHECK(answers(v6));
    CHECK(answers(local));
    std::string peers;
    for (const ConnectionInfo& info : server.network().connections()) {
      if (!info.is_listener) peers += info.peer + " via " + info.listener + "\n";
    }
    CHECK(peers.find("tcp:127.0.0.1:") != std::string::npos);
    CHECK(peers.find("tcp6:[::1]:") != std::string::npos);
    CHECK(peers.find("unix:" + directory.path("socket") + " via unix:") != std::string::npos);
    server.stop_and_join();
    CHECK(!std::filesystem::exists(directory.path("socket")));
  }

  TEST_CASE("more clients than receive buffers are all served") {
    NetworkOptions options = loopback_options(1);
    options.receive_buffers = 2;
    options.receive_buffer_bytes = 128;
    LineServer server(options);
    std::vector<TestClient> clients;
    for (int i = 0; i < 40; ++i) clients.push_back(TestClient::tcp(server.port()));
    const std::string text(500, 'u');
    for (int round = 0; round < 5; ++round) {
      for (TestClient& client : clients) REQUIRE(client.send("e" + text + "\n"));
      for (TestClient& client : clients) CHECK(client.receive(501) == text + "\n");
    }
    CHECK(server.network().stats().receive_buffers_exhausted > 0);
  }

  TEST_CASE("an idle connection holds no output block, and statistics may be read at any time") {
    LineServer server(loopback_options());
    std::atomic<bool> done{false};
    std::thread reader([&] {
      while (!done) {
        server.network().stats();
        server.network().connections();
      }
    });
    for (int i = 0; i < 300; ++i) {
      TestClient client = TestClient::tcp(server.port());
      CHECK(answers(client));
    }
    done = true;
    reader.join();
    CHECK(server.wait_for([](const NetworkStats& stats) { return stats.output_blocks == 0; }));
  }

  TEST_CASE("impossible options are refused by name") {
    LineServer handler(loopback_options());
    NetworkOptions options = loopback_options();
    options.receive_buffers = 3;
    CHECK(Network::create(options, handler).status().message().find("receive_buffers") != std::string::npos);
    options = loopback_options();
    options.listeners.clear();
    CHECK(!Network::create(options, handler).is_ok());
    options = loopback_options();
    options.connections_max = ~0U;
    CHECK(Network::create(options, handler).status().message().find("connections_max") != std::string::npos);
    options = loopback_options();
    options.output_low_water = options.output_high_water + 1;
    CHECK(Network::create(options, handler).status().message().find("output_low_water") != std::string::npos);
    for (const auto member : {&NetworkOptions::min_wait, &NetworkOptions::spin}) {
      for (const int wait_us : {-1, 1'000'001}) {
        options = loopback_options();
        options.*member = std::chrono::microseconds(wait_us);
        CHECK(Network::create(options, handler).status().message().find("min_wait and spin") !=
              std::string::npos);
      }
    }
    options = loopback_options();
    options.listeners[0].port = handler.port();
    CHECK(Network::create(options, handler).status().message().find("in use") != std::string::npos);
  }
}
