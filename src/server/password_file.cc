#include "server/password_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace ringcached::server {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{1} << 20;

Status unreadable(const std::string& path, const std::string& cause) {
  return {StatusCode::kInvalidArgument, "Could not open authfile [" + path + "] for reading, error " + cause +
                                            "; name a file this user can read"};
}

// Of known length whatever it holds; never waits for a writer, were the path a pipe.
Result<std::string> read_whole(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return unreadable(path, std::generic_category().message(errno));
  std::string text;
  std::array<char, 4096> piece;
  ssize_t count = 0;
  while (text.size() <= kFileBytesMax) {
    count = ::read(descriptor, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.append(piece.data(), static_cast<std::size_t>(count));
  }
  const int error = errno;
  ::close(descriptor);
  if (count < 0) return unreadable(path, std::generic_category().message(error));
  if (text.size() > kFileBytesMax) return unreadable(path, "larger than 1 MiB");
  return text;
}

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

std::optional<PasswordFile::Stamp> PasswordFile::stamp_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return Stamp{status.st_dev, status.st_ino, status.st_size, nanoseconds(status.st_mtim),
               nanoseconds(status.st_ctim)};
}

Result<PasswordFile::Loaded> PasswordFile::load(Kind kind, const std::string& path) {
  const Result<std::string> text = read_whole(path);
  if (!text) return text.status();
  Loaded loaded;
  auto credentials = kind == Kind::kText ? parse_text_credentials(text.value(), path)
                                         : parse_sasl_credentials(text.value(), path, loaded.ignored);
  if (!credentials) return credentials.status();
  loaded.credentials = std::move(credentials.value());
  return loaded;
}

PasswordFile::PasswordFile(Kind kind, std::string path, Log& log, Credentials credentials,
                           std::optional<Stamp> stamp)
    : kind_(kind),
      path_(std::move(path)),
      log_(log),
      stamp_(stamp),
      credentials_(std::make_unique<const Credentials>(std::move(credentials))) {}

Result<std::unique_ptr<PasswordFile>> PasswordFile::open(Kind kind, std::string path, Log& log) {
  // Before reading: a change in between is seen as one afterwards.
  const std::optional<Stamp> stamp = stamp_of(path);
  auto loaded = load(kind, path);
  if (!loaded) return loaded.status();
  for (const std::string& line : loaded.value().ignored) log.write(LogLevel::kError, line);
  return std::unique_ptr<PasswordFile>(
      new PasswordFile(kind, std::move(path), log, std::move(loaded.value().credentials), stamp));
}

void PasswordFile::reload() {
  stamp_ = stamp_of(path_);
  auto loaded = load(kind_, path_);
  if (!loaded) {
    log_.write(LogLevel::kError, "the old passwords stay in force: " + loaded.status().message());
    return;
  }
  for (const std::string& line : loaded.value().ignored) log_.write(LogLevel::kError, line);
  const std::size_t users = loaded.value().credentials.size();
  credentials_.replace(std::make_unique<const Credentials>(std::move(loaded.value().credentials)));
  log_.write(LogLevel::kError,
             "read " + path_ + " again: " + std::to_string(users) + (users == 1 ? " user" : " users"));
}

void PasswordFile::reload_if_changed() {
  if (stamp_of(path_) != stamp_) reload();
}

}  // namespace ringcached::server
