#include "server/daemon.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "server/signals.h"
#include "support/pipe.h"
#include "support/temporary_directory.h"

using namespace ringcached;
using namespace ringcached::server;
using ringcached::testing::Pipe;
using ringcached::testing::TemporaryDirectory;
using namespace std::chrono_literals;

namespace {

// The sanitizers' mlockall does nothing and succeeds.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

bool is_root() {
  return ::geteuid() == 0;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// The exit status of `body` run in a process of its own, 1000 + signal if one killed it.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  REQUIRE(child > 0);
  int state = 0;
  REQUIRE(::waitpid(child, &state, 0) == child);
  return WIFEXITED(state) ? WEXITSTATUS(state) : 1000 + WTERMSIG(state);
}

// What the shell sees of a start whose daemon does `body`.
int start_status(const std::function<void(Daemon&)>& body, bool keep_directory = false) {
  return in_child([&] {
    Result<Daemon> daemon = Daemon::detach(keep_directory);
    if (!daemon) return 99;
    if (daemon.value().is_parent()) return daemon.value().exit_code();
    body(daemon.value());
    ::_exit(0);
  });
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string link_target(const std::string& path) {
  std::error_code error;
  return std::filesystem::read_symlink(path, error).string();
}

// Where limits bind: as a user without capabilities.
bool become_nobody() {
  return !is_root() || switch_user("nobody", false).is_ok();
}

}  // namespace

TEST_SUITE("daemon") {
  TEST_CASE("a start is successful when the daemon says so, and not before") {
    const Pipe told;
    const int status = start_status([&](Daemon& daemon) {
      std::this_thread::sleep_for(50ms);
      told.put(::getsid(0) == ::getpid() ? 's' : '-');
      told.put(std::filesystem::current_path() == "/" ? 'd' : '-');
      told.put(link_target("/proc/self/fd/1") != "/dev/null" ? 'o' : '-');
      if (!daemon.ready()) return;
      for (const char* fd : {"0", "1", "2"}) {
        told.put(link_target(std::string("/proc/self/fd/") + fd) == "/dev/null" ? 'n' : '-');
      }
    });
    CHECK(status == 0);
    std::string letters;
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (letters.size() < 6 && std::chrono::steady_clock::now() < deadline) {
      if (const char c = told.take()) letters += c;
    }
    CHECK(letters == "sdonnn");
  }

  TEST_CASE("a start fails with the daemon's exit code, or with 71 when it dies without a word") {
    CHECK(start_status([](Daemon& daemon) { daemon.failed(67); }) == 67);
    CHECK(start_status([](Daemon&) { ::_exit(5); }) == 5);
    CHECK(start_status([](Daemon&) { ::_exit(0); }) == 71);
    CHECK(start_status([](Daemon&) { ::raise(SIGKILL); }) == 71);
  }

  TEST_CASE("-r keeps the directory") {
    const Pipe told;
    const std::filesystem::path here = std::filesystem::current_path();
    CHECK(start_status(
              [&](Daemon& daemon) {
                told.put(std::filesystem::current_path() == here ? 'y' : 'n');
                daemon.failed(3);
              },
              true) == 3);
    CHECK(told.take() == 'y');
  }

  TEST_CASE("exit codes are memcached's") {
    CHECK(exit_code_of(Status()) == 0);
    CHECK(exit_code_of({StatusCode::kInvalidArgument, ""}) == 64);
    CHECK(exit_code_of({StatusCode::kNotFound, ""}) == 67);
    CHECK(exit_code_of({StatusCode::kUnavailable, ""}) == 71);
  }
}

TEST_SUITE("pid_file") {
  TEST_CASE("it holds the process id and goes with its process") {
    const TemporaryDirectory directory;
    const std::string path = directory.path("a.pid");
    auto file = PidFile::create(path);
    REQUIRE(file);
    CHECK(read_file(path) == std::to_string(::getpid()) + "\n");
    CHECK_FALSE(std::filesystem::exists(path + ".tmp"));
    file.value().remove();
    CHECK_FALSE(std::filesystem::exists(path));
    file.value().remove();
  }

  TEST_CASE("another process's file is not removed") {
    const TemporaryDirectory directory;
    const std::string path = directory.path("a.pid");
    auto file = PidFile::create(path);
    REQUIRE(file);
    write_file(path, "1\n");
    file.value().remove();
    CHECK(read_file(path) == "1\n");
  }

  TEST_CASE("a living process of the same program keeps its file, a dead one loses it") {
    const TemporaryDirectory directory;
    const std::string path = directory.path("a.pid");
    const pid_t other = ::fork();
    if (other == 0) {
      ::pause();
      ::_exit(0);
    }
    REQUIRE(other > 0);
    write_file(path, std::to_string(other) + "\n");
    const auto refused = PidFile::create(path);
    CHECK_FALSE(refused.is_ok());
    CHECK(contains(refused.status().message(),
                   "-P " + path + ": process " + std::to_string(other) + " is running"));
    CHECK(read_file(path) == std::to_string(other) + "\n");
    ::kill(other, SIGKILL);
    int state = 0;
    REQUIRE(::waitpid(other, &state, 0) == other);
    CHECK(PidFile::create(path).is_ok());
    CHECK(read_file(path) == std::to_string(::getpid()) + "\n");
  }

  TEST_CASE("left-overs of any kind are replaced") {
    const TemporaryDirectory directory;
    const std::string path = directory.path("a.pid");
    for (const char* text : {"", "x", "-1\n", "0\n", "1\n", "99999999999999999999\n", "4194304\n"}) {
      write_file(path, text);
      INFO(text);
      CHECK(PidFile::create(path).is_ok());
      CHECK(read_file(path) == std::to_string(::getpid()) + "\n");
    }
  }

  TEST_CASE("a link in the way is replaced, not followed") {
    const TemporaryDirectory directory;
    const std::string path = directory.path("a.pid");
    write_file(directory.path("precious"), "keep");
    std::filesystem::create_symlink(directory.path("precious"), path + ".tmp");
    std::filesystem::create_symlink(directory.path("precious"), path);
    CHECK(PidFile::create(path).is_ok());
    CHECK(read_file(directory.path("precious")) == "keep");
    CHECK_FALSE(std::filesystem::is_symlink(path));
  }

  TEST_CASE("a failure names the file, the cause and the remedy, and leaves nothing") {
    const TemporaryDirectory directory;
    CHECK(PidFile::check(directory.path("a.pid")).is_ok());
    CHECK(std::filesystem::is_empty(directory.path("")));
    const Status missing = PidFile::create(directory.path("none/a.pid")).status();
    CHECK(PidFile::check(directory.path("none/a.pid")).message() == missing.message());
    CHECK(missing.message() ==
          "-P " + directory.path("none/a.pid") +
              ": cannot create it: No such file or directory; name a file in a directory this "
              "user may write to");
    std::filesystem::create_directory(directory.path("b.pid"));
    const Status taken = PidFile::create(directory.path("b.pid")).status();
    CHECK(contains(taken.message(), "cannot rename it into place: Is a directory"));
    CHECK(PidFile::check(directory.path("b.pid")).message() == taken.message());
    CHECK_FALSE(std::filesystem::exists(directory.path("b.pid.tmp")));
  }
}

TEST_SUITE("process_limits") {
  TEST_CASE("root must name a user that exists" * doctest::skip(!is_root())) {
    const Status unnamed = switch_user("", false);
    CHECK(unnamed.message().starts_with("can't run as root without the -u switch"));
    CHECK(exit_code_of(unnamed) == 64);
    const Status unknown = switch_user("no-such-user", false);
    CHECK(
        contains(unknown.message(), "can't find the user no-such-user to switch to; name an existing user"));
    CHECK(exit_code_of(unknown) == 67);
    CHECK(::geteuid() == 0);
  }

  TEST_CASE("root becomes the user for good, without other groups" * doctest::skip(!is_root())) {
    CHECK(in_child([] {
            const gid_t groups[] = {0, 1};
            if (::setgroups(2, groups) != 0) return 1;
            if (!switch_user("nobody", true)) return 2;
            if (::getuid() == 0 || ::geteuid() == 0 || ::getgid() == 0) return 3;
            if (::getgroups(0, nullptr) != 0) return 4;
            if (::setuid(0) == 0) return 5;
            // Not root any more: -u means nothing, as in memcached.
            return switch_user("", false) && switch_user("no-such-user", false) ? 0 : 6;
          }) == 0);
    CHECK(in_child([] { return switch_user("root", false) && ::geteuid() == 0 ? 0 : 1; }) == 0);
  }

  TEST_CASE("the descriptor limit is raised as far as needed, or the option is named") {
    const auto with_limit = [](rlim_t soft, rlim_t hard, auto body) {
      return in_child([=] {
        const rlimit limit{soft, hard};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0 || !become_nobody()) return 98;
        return body();
      });
    };
    CHECK(with_limit(64, 256, [] {
            if (!raise_descriptor_limit(100, 32)) return 1;
            rlimit now{};
            ::getrlimit(RLIMIT_NOFILE, &now);
            return now.rlim_cur == 132 && now.rlim_max == 256 ? 0 : 2;
          }) == 0);
    CHECK(with_limit(64, 256, [] { return raise_descriptor_limit(30, 32) ? 0 : 1; }) == 0);
    CHECK(with_limit(64, 256, [] {
            const Status status = raise_descriptor_limit(1000, 32);
            if (status) return 1;
            return contains(status.message(),
                            "-c 1000: failed to set rlimit for open files to 1032 (hard limit 256)") &&
                           contains(status.message(), "LimitNOFILE=")
                       ? 0
                       : 2;
          }) == 0);
  }

  TEST_CASE("core files are allowed as far as the hard limit goes") {
    const auto core_limit = [](rlim_t hard, bool expected) {
      return in_child([=] {
        const rlimit limit{0, hard};
        if (::setrlimit(RLIMIT_CORE, &limit) != 0 || !become_nobody()) return 98;
        const Status status = enable_core_dumps();
        if (status.is_ok() != expected) return 1;
        if (!expected) return contains(status.message(), "-r: failed to ensure corefile creation") ? 0 : 2;
        rlimit now{};
        ::getrlimit(RLIMIT_CORE, &now);
        return now.rlim_cur == hard ? 0 : 3;
      });
    };
    CHECK(core_limit(1 << 20, true) == 0);
    CHECK(core_limit(0, false) == 0);
  }

  TEST_CASE("memory that may not be locked is an error that names the limit" * doctest::skip(kSanitized)) {
    CHECK(in_child([] {
            const rlimit limit{0, 0};
            if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || !become_nobody()) return 98;
            const Status status = lock_memory();
            return !status && contains(status.message(), "-k: failed to lock memory") &&
                           contains(status.message(), "LimitMEMLOCK=")
                       ? 0
                       : 1;
          }) == 0);
  }

  TEST_CASE("the port file has memcached's lines") {
    const TemporaryDirectory directory;
    const std::string path = directory.path("ports");
    std::vector<ListenAddress> bound(3);
    bound[0].host = "127.0.0.1";
    bound[0].port = 37095;
    bound[1].host = "::1";
    bound[1].port = 39745;
    bound[2].kind = ListenAddress::Kind::kUnix;
    bound[2].path = "/run/x";
    REQUIRE(write_port_file(path, bound));
    CHECK(read_file(path) == "TCP INET: 37095\nTCP INET6: 39745\n");
    bound[0].kind = bound[1].kind = ListenAddress::Kind::kUdp;
    REQUIRE(write_port_file(path, bound));
    CHECK(read_file(path) == "UDP INET: 37095\nUDP INET6: 39745\n");
    REQUIRE(write_port_file(path, {}));
    CHECK(read_file(path).empty());
    const Status status = write_port_file(directory.path("none/ports"), bound);
    CHECK(contains(status.message(), "MEMCACHED_PORT_FILENAME"));
    CHECK(contains(status.message(), "No such file or directory"));
  }
}

TEST_SUITE("signals") {
  TEST_CASE("a stop, then a fast one; a reload stays a reload; the rest is ignored") {
    auto created = SignalSet::create();
    REQUIRE(created);
    SignalSet& signals = created.value();
    CHECK(signals.wait(0ms) == SignalEvent::kNone);
    const auto before = std::chrono::steady_clock::now();
    CHECK(signals.wait(20ms) == SignalEvent::kNone);
    CHECK(std::chrono::steady_clock::now() - before >= 20ms);

    ::kill(::getpid(), SIGPIPE);
    CHECK(signals.wait(0ms) == SignalEvent::kNone);
    ::kill(::getpid(), SIGHUP);
    CHECK(signals.wait() == SignalEvent::kReload);
    CHECK(signals.last_signal() == SIGHUP);
    ::kill(::getpid(), SIGUSR1);
    CHECK(signals.wait() == SignalEvent::kStop);
    CHECK(signals.last_signal() == SIGUSR1);
    ::kill(::getpid(), SIGHUP);
    CHECK(signals.wait() == SignalEvent::kReload);
    ::kill(::getpid(), SIGTERM);
    CHECK(signals.wait() == SignalEvent::kStopFast);
    CHECK(signals.last_signal() == SIGTERM);
    ::kill(::getpid(), SIGINT);
    CHECK(signals.wait() == SignalEvent::kStopFast);
    CHECK(signals.wait(0ms) == SignalEvent::kNone);
    CHECK(signals.last_signal() == 0);
  }

  TEST_CASE("each stopping signal begins a stop") {
    for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) {
      auto signals = SignalSet::create();
      REQUIRE(signals);
      ::kill(::getpid(), signal);
      CHECK(signals.value().wait(1s) == SignalEvent::kStop);
    }
  }

  TEST_CASE("another thread can ask for the stop, and a signal for a thread's process reaches the set") {
    auto signals = SignalSet::create();
    REQUIRE(signals);
    std::thread other([&] {
      std::this_thread::sleep_for(20ms);
      signals.value().request_stop();
    });
    CHECK(signals.value().wait() == SignalEvent::kStop);
    CHECK(signals.value().last_signal() == 0);
    other.join();
    std::thread sender([] { ::kill(::getpid(), SIGTERM); });
    CHECK(signals.value().wait() == SignalEvent::kStopFast);
    sender.join();
  }

  TEST_CASE("wake() wakes once, a descriptor with room does as long as it has; signals go first") {
    auto created = SignalSet::create();
    REQUIRE(created);
    SignalSet& signals = created.value();
    const Pipe pipe;
    signals.wake();
    signals.wake();
    CHECK(signals.wait() == SignalEvent::kWoken);
    CHECK(signals.wait(0ms) == SignalEvent::kNone);
    for (int i = 0; i < 3; ++i) CHECK(signals.wait(1s, pipe.writable()) == SignalEvent::kWoken);
    signals.wake();
    ::kill(::getpid(), SIGHUP);
    CHECK(signals.wait(1s, pipe.writable()) == SignalEvent::kReload);
    CHECK(signals.wait() == SignalEvent::kWoken);
    unsigned bytes = 0;
    for (; signals.wait(200ms, pipe.writable()) == SignalEvent::kWoken; ++bytes) pipe.put('x');
    CHECK(bytes >= 4096);  // a pipe with room in its last page counts as full
  }
}
