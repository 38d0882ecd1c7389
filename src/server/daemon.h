// What a process does to become a well-behaved daemon: background, pid file, user, limits.
//
// The order at start: Daemon::detach, raise_descriptor_limit, enable_core_dumps, (bind the listeners),
// switch_user, PidFile::create, lock_memory, (start the threads), write_port_file, Daemon::ready. All of it
// before any thread exists, except the last two. Nothing here prints; a Status is one line for stderr.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ringcached/network.h"
#include "ringcached/status.h"

namespace ringcached::server {

// The exit code memcached gives for a failure of this file's functions: 64 for a refusal to run as root, 67
// for an unknown user, 71 for the rest.
int exit_code_of(const Status& status);

// The two ends of going to the background. The starting process waits until the new one says that it serves
// or that it cannot, so that the shell, or a service manager, sees a failed start as one.
class Daemon {
 public:
  // Forks. In the starting process this returns when the daemon has reported or died: is_parent() is true
  // then, and exit_code() is what to end with. In the daemon it returns at once, in a session of its own and,
  // unless `keep_directory`, in "/". stderr still is the caller's, so a failed start can say why.
  static Result<Daemon> detach(bool keep_directory);

  Daemon(Daemon&& other) noexcept
      : report_(std::exchange(other.report_, -1)), parent_(other.parent_), exit_code_(other.exit_code_) {}
  Daemon& operator=(Daemon&&) = delete;
  // A daemon that never reported has failed: the starting process sees the pipe close.
  ~Daemon();

  bool is_parent() const { return parent_; }
  int exit_code() const { return exit_code_; }

  // In the daemon, once. ready() puts /dev/null in the place of stdin, stdout and stderr.
  Status ready();
  // `exit_code` must not be 0; the message is for the caller to print.
  void failed(int exit_code);

 private:
  Daemon(int report, bool parent, int exit_code) : report_(report), parent_(parent), exit_code_(exit_code) {}
  void report(int exit_code);

  int report_;  // the daemon's end of the pipe, -1 when reported or in the starting process
  bool parent_;
  int exit_code_;
};

// The file with the process id. It appears whole or not at all (written beside, then renamed).
class PidFile {
 public:
  // Refuses when the file names a living process of the same program; a left-over file is replaced.
  static Result<PidFile> create(const std::string& path);
  // Whether create() could write there, without writing. A running process that owns it is no fault.
  static Status check(const std::string& path);

  PidFile(PidFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  PidFile& operator=(PidFile&&) = delete;

  // Removes the file if it still names this process. memcached does so only with -d; the caller decides.
  void remove();

 private:
  explicit PidFile(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

// Puts /dev/null where the caller left standard input, output or error closed. Before anything else is
// opened: the kernel gives the lowest free number, and what got 0, 1 or 2 would be written to as a log, and
// replaced by -d.
Status hold_standard_streams();

// Root must name a user and becomes it, with its group and no other. For anyone else -u means nothing, as in
// memcached. Before threads. `keep_dumpable`: the kernel forbids core files after a change of user unless
// asked.
Status switch_user(const std::string& user, bool keep_dumpable);

// Makes `user` (and its group) the owner of a file that root has created for it, the socket file. Does
// nothing for anyone but root, and for an unknown user (switch_user reports that).
Status give_file_to(const std::string& path, const std::string& user);

// Room for `connections` and the `own` descriptors of the server. Raises the soft limit, and the hard one if
// it must and may.
Status raise_descriptor_limit(std::uint64_t connections, std::uint64_t own);

// Core files as large as the hard limit allows; an error if that is none.
Status enable_core_dumps();

// mlockall, present and future. A failure is worth a warning, not the end.
Status lock_memory();

// memcached's MEMCACHED_PORT_FILENAME: "TCP INET: 11211", "UDP INET6: 11211" and so on, one line for each
// bound address. Appears whole or not at all.
Status write_port_file(const std::string& path, const std::vector<ListenAddress>& bound);

}  // namespace ringcached::server
