// The example of the public header, as a program.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "test_client.h"

using namespace ringcached::testing;

namespace {

class EchoProgram {
 public:
  EchoProgram() {
    const char* path = std::getenv("RINGCACHED_ECHO_SERVER");
    REQUIRE_MESSAGE(path != nullptr, "RINGCACHED_ECHO_SERVER must name the program");
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    child_ = fork();
    if (child_ == 0) {
      dup2(pipe_ends[1], STDOUT_FILENO);
      close(pipe_ends[0]);
      close(pipe_ends[1]);
      execl(path, path, "0", nullptr);
      _exit(127);
    }
    close(pipe_ends[1]);
    std::string line;
    char byte = 0;
    while (read(pipe_ends[0], &byte, 1) == 1 && byte != '\n') line.push_back(byte);
    close(pipe_ends[0]);
    const std::string_view text = "listening on port ";
    REQUIRE(line.starts_with(text));
    std::from_chars(line.data() + text.size(), line.data() + line.size(), port);
  }
  ~EchoProgram() {
    if (child_ > 0) end(SIGKILL);
  }
  // The exit status as waitpid gives it.
  int end(int signal) {
    int status = -1;
    kill(child_, signal);
    waitpid(child_, &status, 0);
    child_ = -1;
    return status;
  }

  std::uint16_t port = 0;

 private:
  pid_t child_ = -1;
};

}  // namespace

TEST_SUITE("echo_server") {
  TEST_CASE("echoes to many clients, more than the sockets hold, and ends at SIGTERM") {
    EchoProgram program;
    std::vector<TestClient> clients;
    for (int i = 0; i < 20; ++i) clients.push_back(TestClient::tcp(program.port));
    for (TestClient& client : clients) REQUIRE(client.send("hello"));
    for (TestClient& client : clients) CHECK(client.receive(5) == "hello");

    std::string bytes(8'000'000, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 + i / 1000);
    std::thread writer([&] {
      clients[0].send(bytes);
      clients[0].half_close();
    });
    CHECK((clients[0].receive_all() == bytes));
    writer.join();

    const int status = program.end(SIGTERM);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    bool reset = false;
    CHECK(clients[1].receive_all(&reset).empty());
    CHECK(!reset);
  }
}
