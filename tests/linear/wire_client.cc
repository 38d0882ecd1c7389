#include "wire_client.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace ringcached::testing {
namespace {

using Verb = HistoryVerb;
using Outcome = HistoryOutcome;

constexpr int kPatienceSeconds = 60;
constexpr std::uint64_t kSecond = 1000;  // in milliseconds

std::uint64_t milliseconds() {
  const auto since_start = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(since_start).count());
}

// Of what does not live for ever.
std::uint64_t seconds_of(const HistoryOperation& operation) {
  return static_cast<std::uint64_t>(operation.exptime);
}

int connect_to(std::uint16_t port) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  RC_CHECK(descriptor >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  RC_CHECK(::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const timeval patience{kPatienceSeconds, 0};
  RC_CHECK(::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
  return descriptor;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

std::uint64_t number_of(std::string_view digits) {
  std::uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

// The id among the flags of a meta reply.
std::uint64_t id_in(const std::vector<std::string_view>& words) {
  for (const std::string_view word : words) {
    if (word.starts_with('c')) return number_of(word.substr(1));
  }
  return 0;
}

// Answers that are one line.
Outcome outcome_of(std::string_view line) {
  static constexpr std::array kDone = {"STORED", "DELETED", "TOUCHED", "OK", "HD"};
  static constexpr std::array kNotFound = {"NOT_FOUND", "NF", "EN"};
  static constexpr std::array kNotStored = {"NOT_STORED", "NS"};
  static constexpr std::array kExists = {"EXISTS", "EX"};
  const std::string_view word = line.substr(0, line.find(' '));
  const auto is_one_of = [&](const auto& words) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  if (is_one_of(kDone)) return Outcome::kDone;
  if (is_one_of(kNotFound)) return Outcome::kNotFound;
  if (is_one_of(kNotStored)) return Outcome::kNotStored;
  if (is_one_of(kExists)) return Outcome::kExists;
  return line.starts_with("SERVER_ERROR out of memory") ? Outcome::kRefused : Outcome::kUnknown;
}

std::string_view classic_word(Verb verb) {
  if (verb == Verb::kGet) return "gets";
  if (verb == Verb::kGetTouch) return "gats";
  return verb == Verb::kFlush ? "flush_all" : name_of(verb);
}

char meta_mode(Verb verb) {
  switch (verb) {
    case Verb::kAdd:
      return 'E';
    case Verb::kReplace:
      return 'R';
    case Verb::kAppend:
      return 'A';
    case Verb::kPrepend:
      return 'P';
    default:
      return 'S';
  }
}

std::string classic_request(const HistoryOperation& operation, std::string_view payload) {
  std::string text(classic_word(operation.verb));
  if (operation.verb == Verb::kFlush) return text + "\r\n";
  if (operation.verb == Verb::kGetTouch) text += " " + std::to_string(operation.exptime);
  text += " " + history_key_name(operation.key);
  switch (operation.verb) {
    case Verb::kGet:
    case Verb::kGetTouch:
    case Verb::kDelete:
      return text + "\r\n";
    case Verb::kTouch:
      return text + " " + std::to_string(operation.exptime) + "\r\n";
    case Verb::kIncrement:
    case Verb::kDecrement:
      return text + " " + operation.operand + "\r\n";
    default:
      text += " 0 " + std::to_string(operation.exptime) + " " + std::to_string(payload.size());
      if (operation.verb == Verb::kCas) text += " " + std::to_string(operation.compare);
      return text.append("\r\n").append(payload).append("\r\n");
  }
}

std::string meta_request(const HistoryOperation& operation, std::string_view payload) {
  const std::string name = " " + history_key_name(operation.key);
  const std::string lives = operation.exptime == 0 ? "" : " T" + std::to_string(operation.exptime);
  switch (operation.verb) {
    case Verb::kGet:
      return "mg" + name + " v c\r\n";
    case Verb::kDelete:
      return "md" + name + "\r\n";
    case Verb::kTouch:
      return "mg" + name + lives + "\r\n";
    case Verb::kGetTouch:
      return "mg" + name + " v c" + lives + "\r\n";
    case Verb::kIncrement:
      return "ma" + name + " v c D" + operation.operand + "\r\n";
    case Verb::kDecrement:
      return "ma" + name + " v c MD D" + operation.operand + "\r\n";
    case Verb::kCas:
      return ("ms" + name + " " + std::to_string(payload.size()) + " c C" +
              std::to_string(operation.compare) + lives + "\r\n")
          .append(payload)
          .append("\r\n");
    default:
      return ("ms" + name + " " + std::to_string(payload.size()) + " c M" + meta_mode(operation.verb) +
              lives + "\r\n")
          .append(payload)
          .append("\r\n");
  }
}

}  // namespace

// --- WireReader

bool WireReader::more() {
  std::array<char, 65536> buffer;
  const ssize_t count = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
  if (count <= 0) failed_ = true;
  if (count > 0) bytes_.append(buffer.data(), static_cast<std::size_t>(count));
  return !failed_;
}

std::string WireReader::line() {
  std::size_t end = bytes_.find("\r\n");
  for (; end == std::string::npos; end = bytes_.find("\r\n")) {
    if (failed_ || !more()) return {};
  }
  std::string line = bytes_.substr(0, end);
  bytes_.erase(0, end + 2);
  return line;
}

std::string WireReader::block(std::size_t count) {
  while (bytes_.size() < count + 2) {
    if (failed_ || !more()) return {};
  }
  if (bytes_.compare(count, 2, "\r\n") != 0) failed_ = true;
  std::string block = bytes_.substr(0, count);
  bytes_.erase(0, count + 2);
  return block;
}

std::string WireReader::bytes(std::size_t count) {
  while (bytes_.size() < count) {
    if (failed_ || !more()) return {};
  }
  std::string bytes = bytes_.substr(0, count);
  bytes_.erase(0, count);
  return bytes;
}

// --- ServerTime

void ServerTime::begin() {
  sent_before_ = std::exchange(sent_, milliseconds());
}

void ServerTime::bound_before(HistoryOperation& operation) const {
  operation.clock = {sent_before_, CacheMoment::kNever};
  if (operation.exptime == 0) return;
  operation.expires = {0, CacheMoment::kNever};
  if (operation.exptime > 0) operation.expires.min = sent_before_ + (seconds_of(operation) - 1) * kSecond;
  if (operation.exptime < 0) operation.expires.max = 0;
}

void ServerTime::bound_after(HistoryOperation& operation) const {
  operation.clock.max = milliseconds() + 1;
  if (operation.exptime > 0) operation.expires.max = operation.clock.max + seconds_of(operation) * kSecond;
}

// --- WireConnection

WireConnection::WireConnection(std::uint16_t port) : descriptor_(connect_to(port)), reader_(descriptor_) {}

WireConnection::~WireConnection() {
  ::close(descriptor_);
}

void WireConnection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // the answers will not come, and that is noticed
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

// --- PipelinedClient

void PipelinedClient::send(std::span<Request> requests, std::string_view bytes) {
  time_.begin();
  const std::uint64_t invoked = clock_.tick();
  for (Request& request : requests) {
    request.operation.invoked = invoked;
    time_.bound_before(request.operation);
  }
  connection_.send(bytes);
}

void PipelinedClient::conclude(HistoryOperation& operation) {
  operation.returned = clock_.tick();
  time_.bound_after(operation);
}

// --- WireHistoryClient

void WireHistoryClient::execute(std::span<Request> requests) {
  std::string bytes;
  std::vector<bool> meta;
  for (const Request& request : requests) {
    meta.push_back(request.operation.verb != Verb::kFlush && toss());
    bytes += meta.back() ? meta_request(request.operation, request.payload)
                         : classic_request(request.operation, request.payload);
  }
  send(requests, bytes);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    HistoryOperation& operation = requests[i].operation;
    meta[i] ? read_meta(operation) : read_classic(operation);
    if (operation.outcome != Outcome::kUnknown) conclude(operation);
  }
}

void WireHistoryClient::read_classic(HistoryOperation& operation) {
  const std::string line = reader_.line();
  const std::vector<std::string_view> words = words_of(line);
  if (reads(operation.verb)) {
    if (line == "END") operation.outcome = Outcome::kNotFound;
    if (words.size() != 5 || words[0] != "VALUE") return;
    const std::string block = reader_.block(number_of(words[3]));
    const bool right_key = words[1] == history_key_name(operation.key) && reader_.line() == "END";
    operation.outcome = Outcome::kDone;
    operation.value = right_key ? operand_in(operation.key, block) : "(another key)";
    operation.cas = number_of(words[4]);
    return;
  }
  const bool is_number = !line.empty() && line.find_first_not_of("0123456789") == std::string::npos;
  const bool counts = operation.verb == Verb::kIncrement || operation.verb == Verb::kDecrement;
  operation.outcome = is_number && counts ? Outcome::kDone : outcome_of(line);
  if (is_number) operation.value = line;
}

void WireHistoryClient::read_meta(HistoryOperation& operation) {
  const std::string line = reader_.line();
  const std::vector<std::string_view> words = words_of(line);
  if (words.size() >= 2 && words[0] == "VA") {
    operation.value = operand_in(operation.key, reader_.block(number_of(words[1])));
    operation.outcome = Outcome::kDone;
  } else {
    operation.outcome = outcome_of(line);
  }
  if (operation.outcome == Outcome::kDone) operation.cas = id_in(words);
}

std::string WireHistoryClient::ask(const std::string& command) {
  connection_.send(command + "\r\n");
  return reader_.line();
}

std::uint64_t WireHistoryClient::statistic(std::string_view name) {
  connection_.send("stats\r\n");
  std::uint64_t found = 0;
  for (std::string line = reader_.line(); !line.empty() && line != "END"; line = reader_.line()) {
    const std::vector<std::string_view> words = words_of(line);
    if (words.size() == 3 && words[1] == name) found = number_of(words[2]);
  }
  return found;
}

}  // namespace ringcached::testing
