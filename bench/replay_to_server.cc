#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>
#include <vector>

#include "bench/classic_dialect.h"
#include "bench/trace_replay.h"

namespace ringcached::bench {
namespace {

constexpr std::size_t kReceiveBytes = 64 * 1024;

class ReplayConnection final : public ReplySink {
 public:
  explicit ReplayConnection(int socket) : socket_(socket), received_(kReceiveBytes) {}
  ~ReplayConnection() override { close(socket_); }
  ReplayConnection(const ReplayConnection&) = delete;
  ReplayConnection& operator=(const ReplayConnection&) = delete;

  // Sends the requests and waits for as many replies: they are in replies().
  Status exchange(const std::string& requests, std::size_t count) {
    replies_.clear();
    Status status = send_all(requests);
    while (status && replies_.size() < count) {
      const Result<std::string_view> bytes = receive();
      status = bytes.status();
      if (status && !parser_.feed(bytes.value(), *this)) {
        status = {StatusCode::kUnavailable, "the server's reply is none of memcached's"};
      }
    }
    return status;
  }
  const std::vector<Reply>& replies() const { return replies_; }

  // curr_items of `stats`.
  Result<std::uint64_t> items() {
    Status status = send_all("stats\r\n");
    std::string text;
    while (status && !text.ends_with("END\r\n")) {
      const Result<std::string_view> bytes = receive();
      status = bytes.status();
      if (status) text += bytes.value();
    }
    if (!status) return status;
    constexpr std::string_view kName = "STAT curr_items ";
    const std::size_t at = text.find(kName);
    std::uint64_t count = 0;
    if (at == std::string::npos ||
        std::from_chars(text.data() + at + kName.size(), text.data() + text.size(), count).ec !=
            std::errc()) {
      return Status(StatusCode::kUnavailable, "the server's stats tell no curr_items");
    }
    return count;
  }

 private:
  void on_value(std::string_view /*value*/) override {}
  void on_reply(Reply reply) override { replies_.push_back(reply); }

  static Status failure(const char* what) {
    return {StatusCode::kUnavailable, std::string(what) + ": " + std::strerror(errno)};
  }
  // A batch of requests may be larger than what the server takes before it is read from; its replies to sets
  // are short and fit the socket's buffer, and gets are.
  Status send_all(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return failure("send");
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return Status::ok();
  }
  Result<std::string_view> receive() {
    for (;;) {
      const ssize_t count = recv(socket_, received_.data(), received_.size(), 0);
      if (count > 0) return std::string_view(received_.data(), static_cast<std::size_t>(count));
      if (count == 0) return Status(StatusCode::kUnavailable, "the server closed the connection");
      if (errno != EINTR) return failure("recv");
    }
  }

  int socket_;
  std::vector<char> received_;
  ClassicReplyParser parser_{false};
  std::vector<Reply> replies_;
};

class Replay {
 public:
  Replay(const KeyTrace& trace, const ValueSizes& sizes, ReplayConnection& connection)
      : trace_(trace),
        sizes_(sizes),
        connection_(connection),
        in_batch_(trace.keys.size(), 0),
        value_(sizes.max, 'v') {}

  Status run(unsigned batch) {
    Status status;
    for (std::size_t at = 0; status && at < trace_.accesses.size();) {
      collect(at, batch);
      at += keys_.size();
      status = read();
      if (status && !missed_.empty()) status = set();
    }
    return status;
  }
  ReplayResult result;

 private:
  void collect(std::size_t at, unsigned batch) {
    keys_.clear();
    ++number_;
    while (at < trace_.accesses.size() && keys_.size() < batch) {
      const std::uint32_t key = trace_.accesses[at++];
      if (in_batch_[key] == number_) return;
      in_batch_[key] = number_;
      keys_.push_back(key);
    }
  }
  Status read() {
    requests_.clear();
    missed_.clear();
    for (const std::uint32_t key : keys_) requests_.append("get ").append(trace_.keys[key]).append("\r\n");
    Status status = connection_.exchange(requests_, keys_.size());
    if (!status) return status;
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      const Reply reply = connection_.replies()[i];
      if (reply == Reply::kHit) {
        ++result.hits;
      } else if (reply == Reply::kMiss) {
        missed_.push_back(keys_[i]);
      } else {
        return {StatusCode::kUnavailable, "the server answered a get with an error"};
      }
    }
    return status;
  }
  Status set() {
    requests_.clear();
    for (const std::uint32_t key : missed_) {
      const std::size_t bytes = sizes_.of(key);
      requests_.append("set ").append(trace_.keys[key]).append(" 0 0 ").append(std::to_string(bytes));
      requests_.append("\r\n").append(value_, 0, bytes).append("\r\n");
    }
    Status status = connection_.exchange(requests_, missed_.size());
    if (!status) return status;
    const auto& replies = connection_.replies();
    result.refused +=
        missed_.size() - static_cast<std::size_t>(std::count(replies.begin(), replies.end(), Reply::kStored));
    return status;
  }

  const KeyTrace& trace_;
  const ValueSizes sizes_;
  ReplayConnection& connection_;
  std::vector<std::uint32_t> in_batch_;  // the batch that had the key last
  const std::string value_;
  std::uint32_t number_ = 0;  // of the batch
  std::vector<std::uint32_t> keys_, missed_;
  std::string requests_;
};

}  // namespace

Result<ReplayResult> replay_to_server(const KeyTrace& trace, const ServerAddress& address,
                                      const ValueSizes& sizes, unsigned batch) {
  const int socket = connect_to_server(address);
  if (socket < 0) {
    return Status(StatusCode::kUnavailable,
                  std::string("cannot connect to the server: ") + std::strerror(errno));
  }
  ReplayConnection connection(socket);
  Replay replay(trace, sizes, connection);
  if (Status status = replay.run(batch); !status) return status;
  const Result<std::uint64_t> items = connection.items();
  if (!items) return items.status();
  replay.result.items = items.value();
  return replay.result;
}

}  // namespace ringcached::bench
