#include <algorithm>
#include <string>
#include <vector>

#include "support/binary_packet.h"
#include "wire_client.h"

namespace ringcached::testing {
namespace {

using Verb = HistoryVerb;
using Outcome = HistoryOutcome;

constexpr std::size_t kHeaderBytes = 24;
constexpr std::uint8_t kNoOp = 0x0a;
constexpr std::uint32_t kNoOpOpaque = 0xffffffff;
// There are no negative times: one of 1970 is over as well.
constexpr std::uint32_t kLongAgo = 60 * 60 * 24 * 30 + 1;

// The command, and its quiet form.
struct Opcodes {
  std::uint8_t loud, quiet;
};

Opcodes opcodes_of(Verb verb, bool with_key) {
  switch (verb) {
    case Verb::kGet:
      return with_key ? Opcodes{0x0c, 0x0d} : Opcodes{0x00, 0x09};
    case Verb::kGetTouch:
      return with_key ? Opcodes{0x23, 0x24} : Opcodes{0x1d, 0x1e};
    case Verb::kSet:
    case Verb::kCas:
      return {0x01, 0x11};
    case Verb::kAdd:
      return {0x02, 0x12};
    case Verb::kReplace:
      return {0x03, 0x13};
    case Verb::kDelete:
      return {0x04, 0x14};
    case Verb::kIncrement:
      return {0x05, 0x15};
    case Verb::kDecrement:
      return {0x06, 0x16};
    case Verb::kAppend:
      return {0x0e, 0x19};
    case Verb::kPrepend:
      return {0x0f, 0x1a};
    case Verb::kFlush:
      return {0x08, 0x18};
    case Verb::kTouch:
      return {0x1c, 0x1c};
  }
  return {kNoOp, kNoOp};
}

std::uint32_t exptime_of(const HistoryOperation& operation) {
  return operation.exptime < 0 ? kLongAgo : static_cast<std::uint32_t>(operation.exptime);
}

Packet request_for(const HistoryOperation& operation, const std::string& payload) {
  Packet packet;
  if (operation.verb != Verb::kFlush) packet.key = history_key_name(operation.key);
  switch (operation.verb) {
    case Verb::kSet:
    case Verb::kAdd:
    case Verb::kReplace:
    case Verb::kCas:
      packet.extras = stored_extras(0, exptime_of(operation));
      packet.cas = operation.compare;
      packet.value = payload;
      break;
    case Verb::kAppend:
    case Verb::kPrepend:
      packet.value = payload;
      break;
    case Verb::kIncrement:
    case Verb::kDecrement:
      packet.extras = counted_extras(std::stoull(operation.operand));
      break;
    case Verb::kTouch:
    case Verb::kGetTouch:
      packet.extras = timed_extras(exptime_of(operation));
      break;
    default:
      break;
  }
  return packet;
}

Outcome outcome_of(Verb verb, unsigned status) {
  constexpr unsigned kDone = 0, kKeyNotFound = 1, kKeyExists = 2, kItemNotStored = 5, kNoMemory = 0x82;
  switch (status) {
    case kDone:
      return Outcome::kDone;
    case kKeyNotFound:
      return verb == Verb::kReplace ? Outcome::kNotStored : Outcome::kNotFound;
    case kKeyExists:
      return verb == Verb::kAdd ? Outcome::kNotStored : Outcome::kExists;
    case kItemNotStored:
      return Outcome::kNotStored;
    case kNoMemory:
      return Outcome::kRefused;
    default:
      return Outcome::kUnknown;
  }
}

}  // namespace

bool BinaryHistoryClient::read(Answer& answer) {
  const std::string header = connection_.reader().bytes(kHeaderBytes);
  if (header.empty() || static_cast<unsigned char>(header[0]) != 0x81) return false;
  const std::size_t key_bytes = number_at(header, 2, 2), extras_bytes = number_at(header, 4, 1);
  const std::size_t body_bytes = number_at(header, 8, 4);
  const std::string body = body_bytes == 0 ? "" : connection_.reader().bytes(body_bytes);
  if (body.size() != body_bytes || key_bytes + extras_bytes > body_bytes) return false;
  answer.opcode = static_cast<std::uint8_t>(header[1]);
  answer.status = static_cast<unsigned>(number_at(header, 6, 2));
  answer.opaque = static_cast<std::uint32_t>(number_at(header, 12, 4));
  answer.cas = number_at(header, 16, 8);
  answer.key = body.substr(extras_bytes, key_bytes);
  answer.value = body.substr(extras_bytes + key_bytes);
  return true;
}

void BinaryHistoryClient::take(HistoryOperation& operation, const Answer& answer) {
  operation.outcome = outcome_of(operation.verb, answer.status);
  if (operation.outcome != Outcome::kDone) return;
  operation.cas = answer.cas;
  if (reads(operation.verb)) {
    const bool right_key = answer.key.empty() || answer.key == history_key_name(operation.key);
    operation.value = right_key ? operand_in(operation.key, answer.value) : "(another key)";
  } else if (operation.verb == Verb::kIncrement || operation.verb == Verb::kDecrement) {
    operation.value =
        answer.value.size() == 8 ? std::to_string(number_at(answer.value, 0, 8)) : "(no number)";
  }
}

void BinaryHistoryClient::execute(std::span<Request> requests) {
  std::string bytes;
  std::vector<std::uint8_t> opcodes;
  std::vector<bool> quiet;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    Packet packet = request_for(requests[i].operation, requests[i].payload);
    const Opcodes pair = opcodes_of(requests[i].operation.verb, toss());
    packet.opcode = toss() ? pair.quiet : pair.loud;
    packet.opaque = static_cast<std::uint32_t>(i);
    opcodes.push_back(packet.opcode);
    quiet.push_back(packet.opcode != pair.loud);
    bytes += encode(packet);
  }
  bytes += encode({.opcode = kNoOp, .opaque = kNoOpOpaque});
  send(requests, bytes);
  // An answer tells of those before it that were silent, too: reads have missed, all else is done.
  std::size_t next = 0;
  for (Answer answer; read(answer);) {
    const std::size_t until = answer.opaque == kNoOpOpaque ? requests.size() : answer.opaque;
    for (; next < until && next < requests.size() && quiet[next]; ++next) {
      HistoryOperation& operation = requests[next].operation;
      operation.outcome = reads(operation.verb) ? Outcome::kNotFound : Outcome::kDone;
      conclude(operation);
    }
    if (answer.opaque == kNoOpOpaque || until != next || answer.opcode != opcodes[next]) return;
    take(requests[next].operation, answer);
    conclude(requests[next].operation);
    ++next;
  }
}

}  // namespace ringcached::testing
