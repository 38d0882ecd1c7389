#include "server/daemon.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>

#include "base/assert.h"
#include "base/log.h"

namespace ringcached::server {
namespace {

constexpr int kUsageExit = 64;   // EX_USAGE
constexpr int kNoUserExit = 67;  // EX_NOUSER
constexpr int kSystemExit = 71;  // EX_OSERR

std::string cause(int error) {
  return std::generic_category().message(error);
}

Status unavailable(std::string message) {
  return {StatusCode::kUnavailable, std::move(message)};
}

bool write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// Up to `bytes_max` bytes of a file; empty when it cannot be read.
std::string read_small(const std::string& path, std::size_t bytes_max) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return {};
  std::string text(bytes_max, '\0');
  const ssize_t got = ::read(descriptor, text.data(), text.size());
  ::close(descriptor);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return text;
}

// The process id a pid file names.
std::optional<pid_t> named_process(const std::string& path) {
  const std::string text = read_small(path, 32);
  pid_t process = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), process);
  if (error != std::errc{} || process <= 0) return std::nullopt;
  return process;
}

// A number from a left-over file may long belong to another program.
bool runs_same_program(pid_t process) {
  if (process == ::getpid() || (::kill(process, 0) != 0 && errno == ESRCH)) return false;
  const std::string theirs = read_small("/proc/" + std::to_string(process) + "/comm", 64);
  return !theirs.empty() && theirs == read_small("/proc/self/comm", 64);
}

// `what` names the setting.
Status unwritable(const std::string& what, const std::string& path, const char* step, int error) {
  return unavailable(what + " " + escaped(path, 300) + ": cannot " + step + ": " + cause(error) +
                     "; name a file in a directory this user may write to");
}

// Writes `text` under a name beside `path` and renames it. `what` begins the error.
Status replace_file(const std::string& path, const std::string& text, const std::string& what) {
  const std::string beside = path + ".tmp";
  const auto fail = [&](const char* step, int error) { return unwritable(what, path, step, error); };
  // A left-over is removed first, and a link is not followed: the directory may be one that others write to.
  ::unlink(beside.c_str());
  const int descriptor = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (descriptor < 0) return fail("create it", errno);
  const bool written = write_all(descriptor, text);
  const int write_error = errno;
  const bool closed = ::close(descriptor) == 0;
  if (!written || !closed) {
    const int error = written ? errno : write_error;
    ::unlink(beside.c_str());
    return fail("write it", error);
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(beside.c_str());
    return fail("rename it into place", error);
  }
  return {};
}

// The exit code that the daemon reports, or kSystemExit when it ended without a word.
int await_report(int pipe, pid_t daemon) {
  unsigned char code = 0;
  ssize_t got = 0;
  do {
    got = ::read(pipe, &code, 1);
  } while (got < 0 && errno == EINTR);
  if (got == 1) return code;
  int state = 0;
  while (::waitpid(daemon, &state, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(state) && WEXITSTATUS(state) != 0 ? WEXITSTATUS(state) : kSystemExit;
}

}  // namespace

int exit_code_of(const Status& status) {
  if (status) return 0;
  if (status.code() == StatusCode::kInvalidArgument) return kUsageExit;
  return status.code() == StatusCode::kNotFound ? kNoUserExit : kSystemExit;
}

Result<Daemon> Daemon::detach(bool keep_directory) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return unavailable("-d: cannot make a pipe: " + cause(errno));
  const pid_t daemon = ::fork();
  if (daemon < 0) {
    const int error = errno;
    ::close(ends[0]);
    ::close(ends[1]);
    return unavailable("-d: cannot fork: " + cause(error) +
                       "; raise the limit of processes, or start without -d");
  }
  if (daemon > 0) {
    ::close(ends[1]);
    const int code = await_report(ends[0], daemon);
    ::close(ends[0]);
    return Daemon(-1, true, code);
  }
  ::close(ends[0]);
  Daemon self(ends[1], false, 0);
  if (::setsid() < 0) return unavailable("-d: cannot start a session: " + cause(errno));
  if (!keep_directory && ::chdir("/") != 0) return unavailable("-d: cannot change to /: " + cause(errno));
  return self;
}

Daemon::~Daemon() {
  if (report_ >= 0) ::close(report_);
}

void Daemon::report(int exit_code) {
  RC_CHECK(!parent_ && report_ >= 0);
  const auto code = static_cast<unsigned char>(exit_code);
  // A starting process that is gone does not need the report; its end of the pipe then gives EPIPE.
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before);
  [[maybe_unused]] const bool written = write_all(report_, {reinterpret_cast<const char*>(&code), 1});
  ::sigaction(SIGPIPE, &before, nullptr);
  ::close(std::exchange(report_, -1));
}

Status Daemon::ready() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return unavailable("-d: cannot open /dev/null: " + cause(errno));
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // dup3 refuses equal numbers; then the descriptor is in its place and must only survive.
    if (null == standard) {
      ::fcntl(null, F_SETFD, 0);
    } else if (::dup2(null, standard) < 0) {
      const int error = errno;
      if (null > STDERR_FILENO) ::close(null);
      return unavailable("-d: cannot redirect the standard streams: " + cause(error));
    }
  }
  if (null > STDERR_FILENO) ::close(null);
  report(0);
  return {};
}

void Daemon::failed(int exit_code) {
  RC_CHECK(exit_code > 0 && exit_code < 256);
  report(exit_code);
}

Result<PidFile> PidFile::create(const std::string& path) {
  if (const auto process = named_process(path); process && runs_same_program(*process)) {
    return unavailable("-P " + escaped(path, 300) + ": process " + std::to_string(*process) +
                       " is running and owns this pid file; stop it, or name another file");
  }
  if (Status status = replace_file(path, std::to_string(::getpid()) + "\n", "-P"); !status) return status;
  return PidFile(path);
}

Status PidFile::check(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return unwritable("-P", path, "rename it into place", EISDIR);
  const std::string directory = std::filesystem::path(path).parent_path().string();
  if (::faccessat(AT_FDCWD, directory.empty() ? "." : directory.c_str(), W_OK | X_OK, AT_EACCESS) == 0)
    return {};
  return unwritable("-P", path, "create it", errno);
}

void PidFile::remove() {
  if (!path_.empty() && named_process(path_) == ::getpid()) ::unlink(path_.c_str());
  path_.clear();
}

Status hold_standard_streams() {
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(standard, F_GETFD) >= 0) continue;
    // The numbers below are taken, so this one is the lowest that is free.
    if (::open("/dev/null", O_RDWR) != standard) return unavailable("cannot open /dev/null: " + cause(errno));
  }
  return {};
}

Status switch_user(const std::string& user, bool keep_dumpable) {
  if (::geteuid() != 0 && ::getuid() != 0) return {};
  if (user.empty()) {
    return {StatusCode::kInvalidArgument,
            "can't run as root without the -u switch; name a user with -u (process.user), -u root to insist"};
  }
  errno = 0;
  const passwd* entry = ::getpwnam(user.c_str());
  if (entry == nullptr) {
    return {StatusCode::kNotFound, "can't find the user " + escaped(user, 80) + " to switch to" +
                                       (errno != 0 ? ": " + cause(errno) : std::string()) +
                                       "; name an existing user with -u"};
  }
  const auto fail = [&](const char* what) {
    return unavailable(std::string(what) + " of user " + escaped(user, 80) + ": " + cause(errno) +
                       "; start with the capabilities SETGID and SETUID");
  };
  if (::setgroups(0, nullptr) != 0) return fail("failed to drop supplementary groups for the identity");
  if (::setgid(entry->pw_gid) != 0 || ::setuid(entry->pw_uid) != 0) return fail("failed to assume identity");
  // Never serve as root by accident: the way back must be closed.
  if (entry->pw_uid != 0 && (::setuid(0) == 0 || ::geteuid() == 0)) {
    return unavailable("root came back after the change to user " + escaped(user, 80) +
                       "; the system is misconfigured");
  }
  if (keep_dumpable && ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) {
    return unavailable("-r: core files cannot be enabled after the change of user: " + cause(errno));
  }
  return {};
}

Status give_file_to(const std::string& path, const std::string& user) {
  if (::geteuid() != 0 || user.empty()) return {};
  const passwd* entry = ::getpwnam(user.c_str());
  if (entry == nullptr || ::lchown(path.c_str(), entry->pw_uid, entry->pw_gid) == 0) return {};
  return unavailable("cannot give " + escaped(path, 200) + " to user " + escaped(user, 80) + ": " +
                     cause(errno) + "; start as that user, or use a file system that has owners");
}

Status raise_descriptor_limit(std::uint64_t connections, std::uint64_t own) {
  const std::uint64_t need = connections + own;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return unavailable("cannot read the limit of open files: " + cause(errno));
  if (limit.rlim_cur >= need) return {};
  const rlim_t hard = limit.rlim_max;
  limit.rlim_cur = need;
  limit.rlim_max = std::max<rlim_t>(hard, need);
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) return {};
  return unavailable("-c " + std::to_string(connections) + ": failed to set rlimit for open files to " +
                     std::to_string(need) + " (hard limit " + std::to_string(hard) + "): " + cause(errno) +
                     "; raise it (ulimit -Hn, LimitNOFILE=), start as root, or request fewer connections");
}

Status enable_core_dumps() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_CORE, &limit) != 0)
    return unavailable("-r: cannot read the core limit: " + cause(errno));
  rlimit wanted{RLIM_INFINITY, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_CORE, &wanted) == 0) return {};
  wanted = {limit.rlim_max, limit.rlim_max};
  if (limit.rlim_max != 0 && ::setrlimit(RLIMIT_CORE, &wanted) == 0) return {};
  return unavailable(
      "-r: failed to ensure corefile creation: the hard limit is 0; raise it (ulimit -Hc, LimitCORE=)");
}

Status lock_memory() {
  // On fault: the item memory and the index are reserved far beyond what is used, and locking a page that
  // nobody has touched would give it memory.
  if (::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) return {};
  return unavailable("-k: failed to lock memory: " + cause(errno) +
                     "; raise the limit (ulimit -l, LimitMEMLOCK=) or start without -k");
}

Status write_port_file(const std::string& path, const std::vector<ListenAddress>& bound) {
  std::string text;
  for (const ListenAddress& address : bound) {
    if (address.kind == ListenAddress::Kind::kUnix) continue;
    const bool v6 = address.host.find(':') != std::string::npos;
    text += std::string(address.kind == ListenAddress::Kind::kUdp ? "UDP " : "TCP ") +
            (v6 ? "INET6: " : "INET: ") + std::to_string(address.port) + "\n";
  }
  return replace_file(path, text, "MEMCACHED_PORT_FILENAME");
}

}  // namespace ringcached::server
