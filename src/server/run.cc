#include "server/run.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "base/address_space.h"
#include "base/log.h"
#include "config/settings.h"
#include "net/kernel_features.h"
#include "server/authentication.h"
#include "server/daemon.h"
#include "server/server.h"
#include "server/signals.h"

namespace ringcached::server {
namespace {

// Descriptors the server needs beside its clients': standard streams, log, rings, eventfds, listeners, and
// room for connections that are being refused.
constexpr std::uint64_t kOwnDescriptors = 128;
constexpr std::uint64_t kDescriptorsPerWorker = 4;
constexpr std::uint64_t kWorkersUnknown = 64;

// How soon a changed password file of SASL is noticed. The look at it is one system call of the main thread.
constexpr std::chrono::milliseconds kPasswordFileInterval{1000};

void say(const std::string& line) {
  std::fprintf(stderr, "ringcached: %s\n", line.c_str());
}

std::string text_of(const config::Change& change) {
  return change.key + ": " + change.from + " -> " + change.to;
}

// Everything between the parsed command line and the exit status, in the order it is built; destroyed in
// reverse.
class Process {
 public:
  Process(const config::Config& config, int argc, const char* const* argv)
      : config_(config),
        reloaded_(config),
        argc_(argc),
        argv_(argv),
        log_(static_cast<int>(config.process.verbosity)) {}

  int run() {
    if (config_.process.daemonize) {
      auto daemon = Daemon::detach(config_.process.core_dumps);
      if (!daemon) return refuse(daemon.status(), exit_code_of(daemon.status()));
      daemon_.emplace(std::move(daemon.value()));
      if (daemon_->is_parent()) return daemon_->exit_code();
    }
    auto authentication = Authentication::open(config_, log_);
    if (!authentication) return refuse(authentication.status(), EXIT_FAILURE);
    authentication_ = std::move(authentication.value());
    if (Status status = start_with_memory(); !status) return refuse(status, exit_code_of(status));
    serve();
    server_->join();
    if (pidfile_ && config_.process.daemonize) pidfile_->remove();
    log_.write(LogLevel::kInfo, "stopped");
    return EXIT_SUCCESS;
  }

 private:
  int refuse(const Status& status, int exit_code) {
    say(status.message());
    if (daemon_ && !daemon_->is_parent()) daemon_->failed(exit_code);
    return exit_code;
  }

  Status start_with_memory() {
    try {
      Status status = start();
      if (status.code() != StatusCode::kOutOfMemory) return status;
      return {StatusCode::kOutOfMemory, status.message() + address_space_remedy()};
    } catch (const std::bad_alloc&) {
      return {StatusCode::kOutOfMemory, lack_of_memory()};
    }
  }

  Status start() {
    if (Status status = set_limits(); !status) return status;
    auto signals = SignalSet::create();
    if (!signals) return signals.status();
    signals_.emplace(std::move(signals.value()));
    log_.never_wait([this] { signals_->wake(); });
    auto server = Server::create(config_, log_, authentication_, [this] { signals_->request_stop(); });
    if (!server) return server.status();
    server_ = std::move(server.value());
    if (Status status = become_user(); !status) return status;
    if (Status status = announce(); !status) return status;
    if (Status status = server_->start(); !status) return status;
    return tell_ready();
  }

  Status set_limits() const {
    const std::uint64_t workers = config_.threads.workers == 0 ? kWorkersUnknown : config_.threads.workers;
    const auto connections = static_cast<std::uint64_t>(config_.network.connections_max);
    const auto sockets = static_cast<std::uint64_t>(
        std::ranges::count(config_.listeners, ListenAddress::Kind::kUdp, &ListenAddress::kind));
    const std::uint64_t own =
        kOwnDescriptors + (kDescriptorsPerWorker + sockets) * workers + config_.listeners.size();
    if (Status status = raise_descriptor_limit(connections, own); !status) return status;
    return config_.process.core_dumps ? enable_core_dumps() : Status::ok();
  }

  // After binding, so that privileged ports and locked memory are to be had; a socket file goes to the user,
  // too.
  Status become_user() const {
    if (!config_.network.unix_socket.empty()) {
      if (Status status = give_file_to(config_.network.unix_socket, config_.process.user); !status)
        return status;
    }
    return switch_user(config_.process.user, config_.process.core_dumps);
  }

  Status announce() {
    if (const Status fallback = server_->network().io_fallback(); !fallback) {
      say("warning: " + fallback.message() +
          "; serving with epoll instead, which costs more processor time (--io=epoll chooses it without this "
          "warning)");
    }
    if (const Status fallback = server_->network().min_wait_fallback(); !fallback) {
      say("warning: " + fallback.message() +
          "; workers gather by time limits instead, at the price of another system call where nothing comes");
    }
    if (!config_.process.pidfile.empty()) {
      auto pidfile = PidFile::create(config_.process.pidfile);
      if (!pidfile) return pidfile.status();
      pidfile_.emplace(std::move(pidfile.value()));
    }
    if (config_.memory.lock) {
      if (Status status = lock_memory(); !status) say("warning: " + status.message());
    }
    return Status::ok();
  }

  Status tell_ready() {
    if (const char* file = std::getenv("MEMCACHED_PORT_FILENAME"); file != nullptr && *file != '\0') {
      if (Status status = write_port_file(file, server_->network().bound()); !status) return status;
    }
    if (log_.enabled(LogLevel::kInfo)) {
      for (const ListenAddress& address : server_->network().bound()) {
        log_.write(LogLevel::kInfo, address.kind == ListenAddress::Kind::kUnix
                                        ? "serving on " + address.path
                                        : std::string("serving on ") +
                                              (address.kind == ListenAddress::Kind::kUdp ? "UDP " : "") +
                                              address.host + " port " + std::to_string(address.port));
      }
    }
    return daemon_ ? daemon_->ready() : Status::ok();
  }

  // Until asked to stop. A second request does not wait for the connections to drain.
  void serve() {
    std::optional<std::chrono::milliseconds> interval;
    if (authentication_.required_by_binary()) interval = kPasswordFileInterval;
    for (;;) {
      switch (next_event(interval)) {
        case SignalEvent::kNone:
          with_memory([&] { authentication_.reload_if_changed(); });
          break;
        case SignalEvent::kReload:
          with_memory([&] { reload(); });
          break;
        case SignalEvent::kStop:
          return stop_orderly();
        case SignalEvent::kStopFast:
          return end_now();
        case SignalEvent::kWoken:
          break;
      }
    }
  }

  // Meanwhile lines of the log that its reader had no room for are written as there is.
  SignalEvent next_event(std::optional<std::chrono::milliseconds> timeout = std::nullopt) {
    const auto begin = std::chrono::steady_clock::now();
    for (;;) {
      auto left = timeout;
      if (left)
        *left -= std::chrono::floor<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
      const SignalEvent event = signals_->wait(left, log_.waiting_descriptor());
      if (event != SignalEvent::kWoken) return event;
      log_.continue_writing();
    }
  }

  void stop_orderly() {
    log_.write(LogLevel::kInfo, "stopping: no new connections, answering what has arrived");
    server_->stop();
    // The threads end by themselves within the deadline; this one keeps listening for a second signal
    // meanwhile.
    std::thread joiner;
    try {
      joiner = std::thread([this] {
        server_->join();
        joined_.store(true);
        signals_->request_stop();
      });
    } catch (const std::exception&) {
      return server_->join();  // no thread is to be had: a second signal is not heard
    }
    while (!joined_.load()) {
      if (next_event() == SignalEvent::kStopFast && !joined_.load()) end_now();
    }
    joiner.join();
  }

  [[noreturn]] void end_now() {
    if (pidfile_ && config_.process.daemonize) pidfile_->remove();
    std::_Exit(EXIT_SUCCESS);
  }

  // What lacks memory while serving is not done.
  template <typename Step>
  void with_memory(Step step) {
    try {
      step();
    } catch (const std::bad_alloc&) {
      std::fputs("ringcached: reload refused: out of memory\n", stderr);
    }
  }

  // What can change while serving does; the rest is named, so that the operator knows to restart.
  void reload() {
    authentication_.reload();
    const config::ParseOutcome outcome = config::parse_command_line(argc_, argv_, config_.config_file);
    if (const auto* error = std::get_if<config::Error>(&outcome)) {
      const std::string_view line(error->text.data(), error->text.find_last_not_of('\n') + 1);
      log_.write(LogLevel::kError, "reload refused, the old configuration stays: " + std::string(line));
      return;
    }
    const auto* run = std::get_if<config::Run>(&outcome);
    if (run == nullptr) return;
    for (const config::Change& change : config::changes(config_, run->config)) {
      if (!change.reloadable) log_.write(LogLevel::kError, "needs a restart: " + text_of(change));
    }
    for (const config::Change& change : config::changes(reloaded_, run->config)) {
      if (change.reloadable) log_.write(LogLevel::kError, "reloaded " + text_of(change));
    }
    reloaded_ = run->config;
    log_.set_verbosity(static_cast<int>(run->config.process.verbosity));
    server_->reload(run->config);
  }

  const config::Config& config_;
  config::Config reloaded_;  // what the last reload said
  int argc_;
  const char* const* argv_;
  Log log_;
  Authentication authentication_;
  std::optional<Daemon> daemon_;
  std::optional<SignalSet> signals_;
  std::unique_ptr<Server> server_;
  std::optional<PidFile> pidfile_;
  std::atomic<bool> joined_{false};
};

}  // namespace

int run(const config::Run& command_line, int argc, const char* const* argv) {
  if (Status status = hold_standard_streams(); !status) return exit_code_of(status);
  for (const std::string& notice : command_line.notices) say(notice);
  return Process(command_line.config, argc, argv).run();
}

int print_features(const config::Config& config) {
  if (config.io.backend == IoBackend::kEpoll) {
    std::printf("backend: epoll, as io.backend says; io_uring was not looked at\n");
    return EXIT_SUCCESS;
  }
  const IoFeatures features = probe_io_features(config.io.level);
  if (!features.available) {
    const bool falls_back = config.io.backend == IoBackend::kAuto;
    std::printf("backend: %s\nio_uring: not available\n%s\n",
                falls_back ? "epoll" : "none, for io.backend insists on io_uring",
                features.reason.message().c_str());
    return falls_back ? EXIT_SUCCESS : EXIT_FAILURE;
  }
  std::printf("backend: io_uring\nio_uring: available, level %s\n", net::level_name(features.level));
  for (const IoFeatures::Entry& entry : features.entries) {
    std::printf("  %-36s %-3s %s\n", entry.name.c_str(), entry.present ? "yes" : "no", entry.note.c_str());
  }
  return EXIT_SUCCESS;
}

}  // namespace ringcached::server
