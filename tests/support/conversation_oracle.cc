#include "support/conversation_oracle.h"

#include <algorithm>

#include "protocol/limits.h"
#include "protocol/parser.h"
#include "support/session_harness.h"

namespace ringcached::testing {
namespace {

constexpr std::size_t kWhole = ~std::size_t{0};
// Data announced by requests whose lengths have no more than three digits, all at once.
constexpr std::size_t kFillBytes = 1100;

struct Outcome {
  std::string replies;
  bool closed = false;
  bool operator==(const Outcome&) const = default;
};

// Small enough that a conversation costs no more than its own work.
store::Options small_store() {
  store::Options options;
  options.memory_limit_bytes = std::size_t{4} << 20;
  options.memory_reserve_bytes = options.memory_limit_bytes;
  options.index_power_initial = 6;
  options.item_bytes_max = std::size_t{64} << 10;
  options.hash_seed = 1;
  return options;
}

std::size_t longest_line(std::string_view input) {
  std::size_t longest = 0;
  for (std::size_t at = 0; at < input.size();) {
    const std::size_t end = std::min(input.find('\n', at), input.size());
    longest = std::max(longest, end - at);
    at = end + 1;
  }
  return longest;
}

bool has_long_number(std::string_view input) {
  std::size_t digits = 0;
  for (const char byte : input) {
    digits = byte >= '0' && byte <= '9' ? digits + 1 : 0;
    if (digits > 3) return true;
  }
  return false;
}

bool is_binary(std::string_view input) {
  return input.starts_with(static_cast<char>(protocol::kBinaryRequestMagic));
}

class Conversation {
 public:
  Conversation() : harness_(small_store()) {}

  Outcome run(std::string_view input, std::size_t piece_bytes) {
    outcome_.replies = harness_.feed(input, piece_bytes);
    outcome_.closed = harness_.closed();
    return outcome_;
  }
  // The store still serves, and what it counts fits together.
  std::string aftermath() {
    harness_.reconnect();
    if (!harness_.feed("version\r\n").starts_with("VERSION ")) return "the next client is not served";
    const auto stats = harness_.store().stats();
    if (stats.items > 0 && stats.bytes / stats.items < 48) return "items without bytes";
    if (stats.items == 0 && stats.bytes != 0) return "bytes without items";
    return "";
  }
  std::string resynchronises() {
    if (outcome_.closed) return "";
    std::string fill;
    while (fill.size() < kFillBytes) fill += "\r\n";
    const std::string answer = harness_.feed(fill + "version\r\n");
    if (harness_.closed()) return "";
    const std::size_t last = answer.rfind("VERSION ");
    return last != std::string::npos && answer.find("\r\n", last) + 2 == answer.size()
               ? ""
               : "version is not understood after the input";
  }
  FakeConnection& connection() { return harness_.connection(); }

 private:
  SessionHarness harness_;
  Outcome outcome_;
};

}  // namespace

bool may_depend_on_arrival(std::string_view input) {
  if (longest_line(input) >= protocol::kLineBytesMax) return true;
  if (is_binary(input)) return input.find(std::string_view("\x80\x10", 2)) != std::string_view::npos;
  for (const std::string_view word : {"stats", "watch", "dump"}) {
    if (input.find(word) != std::string_view::npos) return true;
  }
  return false;
}

std::string check_conversation(std::string_view input) {
  Conversation whole;
  const Outcome expected = whole.run(input, kWhole);
  const bool listens = input.find("watch") != std::string_view::npos;
  if (!is_binary(input) && !listens && !has_long_number(input)) {
    if (std::string fault = whole.resynchronises(); !fault.empty()) return fault;
  }
  if (std::string fault = whole.aftermath(); !fault.empty()) return fault;

  const std::size_t pieces[] = {1, 2 + input.size() % 7, kWhole};
  for (const std::size_t piece : pieces) {
    Conversation other;
    if (piece == kWhole) {
      other.connection().high_water_ = 0;
      other.connection().others_waiting_ = true;
    }
    const Outcome outcome = other.run(input, piece);
    if (!may_depend_on_arrival(input) && outcome != expected) {
      return "the answer depends on how the input arrives (pieces of " + std::to_string(piece) + "):\n" +
             expected.replies + "\n--- or ---\n" + outcome.replies;
    }
    if (std::string fault = other.aftermath(); !fault.empty()) return fault;
  }
  return "";
}

}  // namespace ringcached::testing
