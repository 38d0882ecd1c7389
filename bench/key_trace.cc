#include "bench/key_trace.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace ringcached::bench {
namespace {

constexpr std::size_t kKeyBytesMax = 250;
constexpr std::size_t kReadBytes = 64 * 1024;
constexpr std::uint32_t kNoKey = ~std::uint32_t{0};

Status failure(const std::string& what, int error) {
  return {StatusCode::kUnavailable, what + ": " + std::strerror(error)};
}

// To the end.
Status read_all(int descriptor, const std::string& path, KeyTraceParser& parser) {
  std::array<char, kReadBytes> bytes;
  Status status;
  for (;;) {
    const ssize_t count = read(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) status = failure("cannot read " + path, errno);
    const bool good = count > 0 ? parser.feed({bytes.data(), static_cast<std::size_t>(count)})
                                : count < 0 || parser.finish();
    if (!good) status = {StatusCode::kInvalidArgument, path + ": " + parser.error()};
    if (count <= 0 || !good) return status;
  }
}

// Starts `program -dc` with `file` as its input and its output into the pipe's second end, which is closed
// here. The file is not named to it: zstd refuses symbolic links.
Status start_decompressor(const char* program, int file, const int (&ends)[2], pid_t& child) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, file, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::string words[] = {program, "-dc"};
  char* arguments[] = {words[0].data(), words[1].data(), nullptr};
  const int error = posix_spawnp(&child, program, &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (error == 0) return Status::ok();
  close(ends[0]);
  if (error != ENOENT) return failure(std::string("cannot start ") + program, error);
  return {StatusCode::kNotFound, std::string(program) + " is needed to read it and is not on the PATH"};
}

Status read_through(const char* program, int file, const std::string& path, KeyTraceParser& parser) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return failure("pipe", errno);
  pid_t child = 0;
  const Status started = start_decompressor(program, file, ends, child);
  if (!started) return {started.code(), path + ": " + started.message()};
  Status status = read_all(ends[0], path, parser);
  close(ends[0]);
  int exited = 0;
  while (waitpid(child, &exited, 0) < 0 && errno == EINTR) {
  }
  // After a bad line the child has met a closed pipe; that line is what matters.
  if (!status || (WIFEXITED(exited) && WEXITSTATUS(exited) == 0)) return status;
  return {StatusCode::kInvalidArgument, path + ": " + program + " could not decompress it"};
}

}  // namespace

bool KeyTraceParser::add(std::string_view line) {
  ++lines_;
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) return true;
  const bool clean = std::all_of(line.begin(), line.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > ' ' && byte != 0x7f;
  });
  if (!clean || line.size() > kKeyBytesMax) {
    error_ = "line " + std::to_string(lines_) + " is no key (1 to 250 bytes without spaces)";
    return false;
  }
  const auto next = static_cast<std::uint32_t>(trace_.keys.size());
  const auto [at, added] = numbers_.try_emplace(std::string(line), next);
  if (added) trace_.keys.emplace_back(line);
  trace_.accesses.push_back(at->second);
  return true;
}

bool KeyTraceParser::feed(std::string_view text) {
  for (;;) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) break;
    part_ += text.substr(0, end);
    text.remove_prefix(end + 1);
    const bool good = add(part_);
    part_.clear();
    if (!good) return false;
  }
  part_ += text;
  if (part_.size() <= kKeyBytesMax + 1) return true;
  return add(part_);  // tells why not
}

bool KeyTraceParser::finish() {
  const bool good = part_.empty() || add(part_);
  part_.clear();
  return good;
}

Result<KeyTrace> read_key_trace(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return failure("cannot read " + path, errno);
  KeyTraceParser parser;
  Status status;
  if (path.ends_with(".xz")) {
    status = read_through("xz", file, path, parser);
  } else if (path.ends_with(".zst")) {
    status = read_through("zstd", file, path, parser);
  } else {
    status = read_all(file, path, parser);
  }
  close(file);
  if (!status) return status;
  if (parser.trace().accesses.empty()) return Status(StatusCode::kInvalidArgument, path + ": holds no key");
  return std::move(parser.trace());
}

KeyTrace multiply(const KeyTrace& trace, unsigned copies, std::size_t accesses_max) {
  const std::size_t length = trace.accesses.size();
  const std::size_t wanted = std::min(length * copies, accesses_max);
  KeyTrace result;
  result.accesses.reserve(wanted);
  std::vector<std::uint32_t> numbers(copies * trace.keys.size(), kNoKey);
  for (std::size_t i = 0; i < wanted; ++i) {
    const std::size_t copy = i % copies;
    const std::uint32_t key = trace.accesses[(length * copy / copies + i / copies) % length];
    std::uint32_t& number = numbers[copy * trace.keys.size() + key];
    if (number == kNoKey) {
      number = static_cast<std::uint32_t>(result.keys.size());
      result.keys.push_back(copies == 1 ? trace.keys[key] : std::to_string(copy) + ":" + trace.keys[key]);
    }
    result.accesses.push_back(number);
  }
  return result;
}

}  // namespace ringcached::bench
