// A password file in use: read at start, read again while workers look users up in it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/published.h"
#include "ringcached/status.h"
#include "server/credentials.h"

namespace ringcached::server {

class PasswordFile {
 public:
  enum class Kind : std::uint8_t { kText, kSasl };

  // Reads the file. `log` outlives it.
  static Result<std::unique_ptr<PasswordFile>> open(Kind kind, std::string path, Log& log);
  // How many threads look users up; before the first does.
  void set_readers(std::size_t readers) { credentials_.set_readers(readers); }

  // On worker `reader`'s thread. Never waits.
  bool match(std::size_t reader, std::string_view user, std::string_view password) const {
    return credentials_.read(reader)->match(user, password);
  }

  // The rest is for one thread, which may wait for the disk. A file that cannot be read or is wrong leaves
  // the old one in force; either way the log says so.
  void reload();
  // reload() if the file is another one than that last read, by its identity, size and times.
  void reload_if_changed();

 private:
  struct Stamp {
    std::uint64_t device = 0, inode = 0;
    std::int64_t bytes = 0;
    std::int64_t modified_ns = 0, changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  struct Loaded {
    Credentials credentials;
    std::vector<std::string> ignored;
  };

  PasswordFile(Kind kind, std::string path, Log& log, Credentials credentials, std::optional<Stamp> stamp);
  static std::optional<Stamp> stamp_of(const std::string& path);
  static Result<Loaded> load(Kind kind, const std::string& path);

  Kind kind_;
  std::string path_;
  Log& log_;
  std::optional<Stamp> stamp_;  // of the last attempt; none: the file was not there
  Published<Credentials> credentials_;
};

}  // namespace ringcached::server
