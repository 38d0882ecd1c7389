#include "support/history_workload.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <thread>
#include <utility>

#include "base/hash.h"

namespace ringcached::testing {
namespace {

using Verb = HistoryVerb;

// A client's pipeline never holds so many bytes that both sides could wait for the other to read.
constexpr std::size_t kPipelineBytesMax = 64 * 1024;
constexpr std::size_t kSumDigits = 16;

std::string sum_of(std::string_view bytes) {
  std::string digits(kSumDigits, '0');
  std::uint64_t sum = hash_key(bytes, 0);
  for (std::size_t i = kSumDigits; i-- > 0; sum >>= 4) digits[i] = "0123456789abcdef"[sum & 15];
  return digits;
}

// "key operand length filling sum;" where the operand ends with a semicolon, as it stands in the history.
std::string record(unsigned key, const std::string& operand, std::size_t filling) {
  std::string bytes = history_key_name(key) + " " + operand + " " + std::to_string(filling) + " ";
  const auto shift = static_cast<unsigned>(hash_key(operand, 1) % 64);
  for (std::size_t i = 0; i < filling; ++i) bytes += static_cast<char>('0' + (i * 7 + shift) % 64);
  return bytes + sum_of(bytes) + ";";
}

// Takes the first word off `bytes`, with the blank behind it.
std::optional<std::string_view> take_word(std::string_view& bytes) {
  const std::size_t end = bytes.find(' ');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view word = bytes.substr(0, end);
  bytes.remove_prefix(end + 1);
  return word;
}

// Takes the first record off `bytes`: its operand, if it is whole.
std::optional<std::string> take_record(unsigned key, std::string_view& bytes) {
  const std::string_view all = bytes;
  const auto name = take_word(bytes);
  const auto operand = take_word(bytes);
  const auto length = take_word(bytes);
  std::size_t filling = 0;
  if (!name || !operand || !length || *name != history_key_name(key)) return std::nullopt;
  if (std::from_chars(length->data(), length->data() + length->size(), filling).ec != std::errc()) {
    return std::nullopt;
  }
  if (bytes.size() < filling + kSumDigits + 1) return std::nullopt;
  const std::size_t summed = all.size() - bytes.size() + filling;
  bytes.remove_prefix(filling);
  if (bytes.substr(0, kSumDigits + 1) != sum_of(all.substr(0, summed)) + ";") return std::nullopt;
  bytes.remove_prefix(kSumDigits + 1);
  return std::string(*operand);
}

bool stores(Verb verb) {
  switch (verb) {
    case Verb::kSet:
    case Verb::kAdd:
    case Verb::kReplace:
    case Verb::kAppend:
    case Verb::kPrepend:
    case Verb::kCas:
      return true;
    default:
      return false;
  }
}

// Has an exptime.
bool times(Verb verb) {
  return verb == Verb::kTouch || verb == Verb::kGetTouch ||
         (stores(verb) && verb != Verb::kAppend && verb != Verb::kPrepend);
}

bool counts(Verb verb) {
  return verb == Verb::kIncrement || verb == Verb::kDecrement;
}

}  // namespace

bool is_counter(unsigned key) {
  return key % 2 == 1;
}

std::string history_key_name(unsigned key) {
  return (is_counter(key) ? "counter-" : "register-") + std::to_string(key);
}

std::string payload_of(const HistoryOperation& operation, std::size_t filling) {
  if (!stores(operation.verb)) return {};
  return is_counter(operation.key) ? operation.operand : record(operation.key, operation.operand, filling);
}

std::string operand_in(unsigned key, std::string_view bytes) {
  const auto torn = [&] { return "(torn: " + std::to_string(bytes.size()) + " bytes)"; };
  if (is_counter(key)) {
    // A number that has become shorter is padded.
    std::string_view digits = bytes.substr(0, bytes.find(' '));
    const bool whole = bytes.find_first_not_of(' ', digits.size()) == std::string_view::npos;
    return whole ? std::string(digits) : torn();
  }
  std::string operands;
  for (std::string_view left = bytes; !left.empty();) {
    const auto operand = take_record(key, left);
    if (!operand) return torn();
    operands += *operand;
  }
  return operands;
}

// --- HistorySource

HistoryVerb HistorySource::verb_for(unsigned key) {
  static constexpr Verb kRegister[] = {
      Verb::kGet,    Verb::kGet,   Verb::kGet,     Verb::kGet,    Verb::kGet,    Verb::kGet,
      Verb::kSet,    Verb::kSet,   Verb::kSet,     Verb::kAdd,    Verb::kAdd,    Verb::kCas,
      Verb::kCas,    Verb::kCas,   Verb::kReplace, Verb::kAppend, Verb::kAppend, Verb::kPrepend,
      Verb::kDelete, Verb::kTouch, Verb::kGetTouch};
  static constexpr Verb kCounter[] = {Verb::kGet,       Verb::kGet,       Verb::kSet,       Verb::kAdd,
                                      Verb::kIncrement, Verb::kIncrement, Verb::kIncrement, Verb::kIncrement,
                                      Verb::kDecrement, Verb::kDecrement, Verb::kCas,       Verb::kDelete,
                                      Verb::kTouch};
  return is_counter(key) ? kCounter[below(std::size(kCounter))] : kRegister[below(std::size(kRegister))];
}

// A touch is worth nothing if it leaves all as it is.
std::int64_t HistorySource::exptime_for(HistoryVerb verb) {
  constexpr std::int64_t kLong = 1000;
  if (!times(verb)) return 0;
  const bool touches = verb == Verb::kTouch || verb == Verb::kGetTouch;
  if (workload_.expiring_one_in == 0 || below(workload_.expiring_one_in) != 0) return touches ? kLong : 0;
  const std::int64_t exptime = below(workload_.exptime_max + 1);
  return exptime == 0 ? -1 : exptime;
}

HistoryOperation HistorySource::next() {
  HistoryOperation operation{.client = client_, .key = workload_.first_key + below(workload_.keys)};
  operation.verb = verb_for(operation.key);
  if (workload_.flush_one_in != 0 && below(workload_.flush_one_in) == 0) operation.verb = Verb::kFlush;
  if (operation.verb == Verb::kCas) {
    const auto known = ids_.find(operation.key);
    if (known == ids_.end()) {
      operation.verb = Verb::kGet;
    } else {
      operation.compare = known->second;
    }
  }
  operation.exptime = exptime_for(operation.verb);
  const std::string unique = std::to_string(client_) + "." + std::to_string(++sequence_) + ";";
  if (counts(operation.verb)) {
    operation.operand = std::to_string(1 + below(12));
  } else if (stores(operation.verb)) {
    operation.operand = is_counter(operation.key) ? std::to_string(below(1000)) : unique;
  }
  return operation;
}

std::size_t HistorySource::filling() {
  const bool is_long = below(workload_.long_one_in) == 0;
  return below(static_cast<unsigned>(is_long ? workload_.long_filling_max : workload_.filling_max));
}

void HistorySource::learn(const HistoryOperation& answered) {
  if (workload_.cas && answered.cas != 0) ids_[answered.key] = answered.cas;
}

// --- Running

std::vector<HistoryOperation> run_client(HistoryClient& client, HistorySource& source, unsigned operations,
                                         unsigned pipeline_max, std::chrono::microseconds pause_max) {
  std::vector<HistoryOperation> history;
  std::vector<HistoryClient::Request> requests;
  while (history.size() < operations) {
    requests.clear();
    std::size_t bytes = 0;
    for (unsigned count = 1 + source.below(pipeline_max); count > 0 && bytes < kPipelineBytesMax; --count) {
      HistoryClient::Request request{source.next(), {}};
      request.payload = payload_of(request.operation, source.filling());
      bytes += request.payload.size();
      requests.push_back(std::move(request));
    }
    if (pause_max.count() != 0) {
      std::this_thread::sleep_for(
          std::chrono::microseconds(source.below(static_cast<unsigned>(pause_max.count()))));
    }
    client.execute(requests);
    for (HistoryClient::Request& request : requests) {
      source.learn(request.operation);
      history.push_back(std::move(request.operation));
    }
  }
  return history;
}

std::vector<HistoryOperation> run_clients(
    unsigned clients, const std::function<std::vector<HistoryOperation>(unsigned)>& run_one) {
  std::vector<std::vector<HistoryOperation>> histories(clients);
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < clients; ++i) {
      threads.emplace_back([&, i] { histories[i] = run_one(i); });
    }
  }
  std::vector<HistoryOperation> joined;
  for (auto& history : histories) {
    std::ranges::move(history, std::back_inserter(joined));
  }
  return joined;
}

}  // namespace ringcached::testing
