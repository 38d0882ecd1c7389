// A pipe whose ends close with it.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <string>
#include <utility>

namespace ringcached::testing {

class Pipe {
 public:
  Pipe() { REQUIRE(::pipe2(ends_.data(), O_CLOEXEC) == 0); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    stop_reading();
    ::close(ends_[1]);
  }

  int writable() const { return ends_[1]; }
  void put(char c) const { [[maybe_unused]] const ssize_t written = ::write(ends_[1], &c, 1); }
  // What is in it now, up to `bytes_max`; does not wait.
  std::string read(std::size_t bytes_max = std::size_t{1} << 20) const {
    ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
    std::string text(bytes_max, '\0');
    const ssize_t got = ::read(ends_[0], text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }
  // 0 when nothing was put.
  char take() const {
    const std::string one = read(1);
    return one.empty() ? '\0' : one.front();
  }
  void stop_reading() {
    if (ends_[0] >= 0) ::close(std::exchange(ends_[0], -1));
  }

 private:
  std::array<int, 2> ends_{};
};

}  // namespace ringcached::testing
