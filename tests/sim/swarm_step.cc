#include "swarm_step.h"

#include <algorithm>
#include <charconv>

#include "support/binary_packet.h"

namespace ringcached::testing {
namespace {

using State = SwarmMatch::State;

constexpr std::size_t kBinaryHeaderBytes = 24;

// --- Text replies: literal bytes, and one place for an id.

// Matches `before`, then a CAS id (equal to `known` unless that is 0), then `behind`.
SwarmMatch match_with_cas(std::string_view input, std::string_view before, std::uint64_t known,
                          std::string_view behind) {
  const std::size_t common = std::min(input.size(), before.size());
  if (input.substr(0, common) != before.substr(0, common)) return {};
  if (input.size() < before.size() + 1) return {.state = State::kPartial};
  input.remove_prefix(before.size());
  std::uint64_t cas = 0;
  const auto parsed = std::from_chars(input.data(), input.data() + input.size(), cas);
  if (parsed.ec != std::errc()) return {};
  const auto digits = static_cast<std::size_t>(parsed.ptr - input.data());
  if (digits == input.size()) return {.state = State::kPartial};
  if (known != 0 && cas != known) return {};
  input.remove_prefix(digits);
  const std::size_t rest = std::min(input.size(), behind.size());
  if (input.substr(0, rest) != behind.substr(0, rest)) return {};
  if (input.size() < behind.size()) return {.state = State::kPartial};
  return {.state = State::kYes, .bytes = before.size() + digits + behind.size(), .cas = cas};
}

SwarmMatch match_literal(std::string_view input, std::string_view expected) {
  if (expected.empty()) return {.state = State::kSilent};
  const std::size_t common = std::min(input.size(), expected.size());
  if (input.substr(0, common) != expected.substr(0, common)) return {};
  if (input.size() < expected.size()) return {.state = State::kPartial};
  return {.state = State::kYes, .bytes = expected.size()};
}

// The first that fits, or the first that may.
SwarmMatch match_any(std::string_view input, std::span<const std::string_view> alternatives) {
  SwarmMatch best;
  for (const std::string_view alternative : alternatives) {
    const SwarmMatch match = match_literal(input, alternative);
    if (match.state == State::kYes) return match;
    if (match.state == State::kPartial) best = match;
  }
  return best;
}

SwarmMatch match_no_memory(Verb verb, std::string_view input) {
  if (verb == Verb::kIncrement || verb == Verb::kDecrement)
    return match_literal(input, "SERVER_ERROR out of memory\r\n");
  static constexpr std::string_view kLines[] = {"SERVER_ERROR out of memory storing object\r\n",
                                                "SERVER_ERROR Out of memory during read\r\n"};
  return match_any(input, kLines);
}

constexpr std::string_view kTooLargeLine = "SERVER_ERROR object too large for cache\r\n";
constexpr std::string_view kNonNumericLine =
    "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";

// What the text dialects say alike.
SwarmMatch match_failure(CacheAnswer answer, Verb verb, std::string_view input) {
  if (answer == CacheAnswer::kNonNumeric) return match_literal(input, kNonNumericLine);
  if (answer == CacheAnswer::kTooLarge) return match_literal(input, kTooLargeLine);
  return match_no_memory(verb, input);
}

// --- Classic

bool retrieves(Verb verb) {
  return verb == Verb::kGet || verb == Verb::kTouchingGet;
}

SwarmMatch match_classic_hit(const SwarmStep& step, const CacheEntry& entry, std::string_view input) {
  const std::string head = "VALUE " + step.request.key + " " + std::to_string(entry.flags) + " " +
                           std::to_string(entry.value.size());
  const std::string tail = "\r\n" + entry.value + "\r\n";
  if (step.with_cas) return match_with_cas(input, head + " ", entry.cas, tail);
  return match_literal(input, head + tail);
}

SwarmMatch match_classic(const SwarmStep& step, const CacheOutcome& outcome, std::string_view input) {
  if (outcome.answer == CacheAnswer::kHit) return match_classic_hit(step, *outcome.shown, input);
  if (step.quiet || outcome.answer == CacheAnswer::kMiss) return {.state = State::kSilent};
  switch (outcome.answer) {
    case CacheAnswer::kStored:
      return match_literal(input, "STORED\r\n");
    case CacheAnswer::kNotStored:
      return match_literal(input, "NOT_STORED\r\n");
    case CacheAnswer::kExists:
      return match_literal(input, "EXISTS\r\n");
    case CacheAnswer::kNotFound:
      return match_literal(input, "NOT_FOUND\r\n");
    case CacheAnswer::kDeleted:
      return match_literal(input, "DELETED\r\n");
    case CacheAnswer::kTouched:
      return match_literal(input, "TOUCHED\r\n");
    case CacheAnswer::kNumber:
      return match_literal(input, std::to_string(outcome.number) + "\r\n");
    default:
      return match_failure(outcome.answer, step.request.verb, input);
  }
}

std::string encode_classic(const SwarmStep& step) {
  static constexpr std::string_view kNames[] = {"get",    "gat",     "touch", "set",    "add",  "replace",
                                                "append", "prepend", "cas",   "delete", "incr", "decr"};
  const CacheRequest& request = step.request;
  std::string line(kNames[static_cast<std::size_t>(request.verb)]);
  line += " " + request.key;
  const std::string end = step.quiet ? " noreply\r\n" : "\r\n";
  switch (request.verb) {
    case Verb::kGet:
    case Verb::kTouchingGet:
      return request.key;
    case Verb::kDelete:
      return line + end;
    case Verb::kTouch:
      return line + " " + std::to_string(request.exptime) + end;
    case Verb::kIncrement:
    case Verb::kDecrement:
      return line + " " + std::to_string(request.delta) + end;
    default:
      break;
  }
  line += " " + std::to_string(request.flags) + " " + std::to_string(request.exptime) + " " +
          std::to_string(request.value.size());
  if (request.verb == Verb::kCompare) line += " " + std::to_string(request.cas);
  return line + end + request.value + "\r\n";
}

// --- Meta

std::string meta_echoes(const SwarmStep& step) {
  return (step.with_key ? " k" + step.request.key : "") + " O" + std::to_string(step.opaque) + "\r\n";
}

SwarmMatch match_meta_done(const SwarmStep& step, std::string_view input, std::string_view head,
                           std::uint64_t known, std::string_view behind) {
  const std::string tail = meta_echoes(step) + std::string(behind);
  if (step.with_cas) return match_with_cas(input, std::string(head) + " c", known, tail);
  return match_literal(input, std::string(head) + tail);
}

// Of what is not stored the id is 0.
SwarmMatch match_meta_refused(const SwarmStep& step, std::string_view input, std::string_view code) {
  const Verb verb = step.request.verb;
  const bool with_id = step.with_cas && verb >= Verb::kSet && verb <= Verb::kCompare;
  return match_literal(input, std::string(code) + (with_id ? " c0" : "") + meta_echoes(step));
}

SwarmMatch match_meta(const SwarmStep& step, const CacheOutcome& outcome, std::string_view input) {
  switch (outcome.answer) {
    case CacheAnswer::kHit:
    case CacheAnswer::kTouched: {
      const CacheEntry& entry = *outcome.shown;
      const std::string head =
          "VA " + std::to_string(entry.value.size()) + " f" + std::to_string(entry.flags);
      return match_meta_done(step, input, head, entry.cas, entry.value + "\r\n");
    }
    case CacheAnswer::kMiss:
      return step.quiet ? SwarmMatch{.state = State::kSilent}
                        : match_literal(input, "EN" + meta_echoes(step));
    case CacheAnswer::kStored:
      return step.quiet ? SwarmMatch{.state = State::kSilent} : match_meta_done(step, input, "HD", 0, "");
    case CacheAnswer::kDeleted:
      return step.quiet ? SwarmMatch{.state = State::kSilent}
                        : match_literal(input, "HD" + meta_echoes(step));
    case CacheAnswer::kNumber: {
      const std::string number = std::to_string(outcome.number);
      return step.quiet
                 ? SwarmMatch{.state = State::kSilent}
                 : match_meta_done(step, input, "VA " + std::to_string(number.size()), 0, number + "\r\n");
    }
    case CacheAnswer::kNotStored:
      return match_meta_refused(step, input, "NS");
    case CacheAnswer::kExists:
      return match_meta_refused(step, input, "EX");
    case CacheAnswer::kNotFound:
      return match_meta_refused(step, input, "NF");
    default:
      return match_failure(outcome.answer, step.request.verb, input);
  }
}

std::string encode_meta(const SwarmStep& step) {
  const CacheRequest& request = step.request;
  const std::string exptime = " T" + std::to_string(request.exptime);
  std::string end;
  if (step.with_cas && request.verb != Verb::kDelete) end += " c";
  if (step.with_key) end += " k";
  end += " O" + std::to_string(step.opaque);
  if (step.quiet) end += " q";
  end += "\r\n";
  switch (request.verb) {
    case Verb::kGet:
      return "mg " + request.key + " v f" + end;
    case Verb::kTouchingGet:
      return "mg " + request.key + exptime + " v f" + end;
    case Verb::kDelete:
      return "md " + request.key + end;
    case Verb::kIncrement:
    case Verb::kDecrement:
      return "ma " + request.key + (request.verb == Verb::kDecrement ? " MD" : "") + " D" +
             std::to_string(request.delta) + " v" + end;
    default:
      break;
  }
  std::string line = "ms " + request.key + " " + std::to_string(request.value.size());
  static constexpr std::string_view kModes = "SERAPS";  // from kSet on
  line += std::string(" M") +
          kModes[static_cast<std::size_t>(request.verb) - static_cast<std::size_t>(Verb::kSet)];
  line += exptime + " F" + std::to_string(request.flags);
  if (request.verb == Verb::kCompare) line += " C" + std::to_string(request.cas);
  return line + end + request.value + "\r\n";
}

// --- Binary

struct BinaryReply {
  unsigned status = 0;
  std::string extras, key, value;
  bool any_body = false;
  std::uint64_t known_cas = 0;
  bool with_cas = false;
};

std::uint8_t binary_opcode(const SwarmStep& step) {
  const auto either = [&](std::uint8_t loud, std::uint8_t quiet) { return step.quiet ? quiet : loud; };
  switch (step.request.verb) {
    case Verb::kGet:
      return step.with_key ? either(0x0c, 0x0d) : either(0x00, 0x09);
    case Verb::kTouchingGet:
      return step.with_key ? either(0x23, 0x24) : either(0x1d, 0x1e);
    case Verb::kTouch:
      return 0x1c;
    case Verb::kSet:
    case Verb::kCompare:
      return either(0x01, 0x11);
    case Verb::kAdd:
      return either(0x02, 0x12);
    case Verb::kReplace:
      return either(0x03, 0x13);
    case Verb::kAppend:
      return either(0x0e, 0x19);
    case Verb::kPrepend:
      return either(0x0f, 0x1a);
    case Verb::kDelete:
      return either(0x04, 0x14);
    case Verb::kIncrement:
      return either(0x05, 0x15);
    case Verb::kDecrement:
      return either(0x06, 0x16);
  }
  return 0;
}

bool joins(Verb verb) {
  return verb == Verb::kAppend || verb == Verb::kPrepend;
}

unsigned binary_status(Verb verb, CacheAnswer answer) {
  switch (answer) {
    case CacheAnswer::kMiss:
    case CacheAnswer::kNotFound:
      return 0x01;
    case CacheAnswer::kNotStored:
      if (joins(verb)) return 0x05;
      return verb == Verb::kReplace ? 0x01 : 0x02;
    case CacheAnswer::kExists:
      return 0x02;
    case CacheAnswer::kNonNumeric:
      return 0x06;
    case CacheAnswer::kTooLarge:
      return 0x03;
    case CacheAnswer::kNoMemory:
      return 0x82;
    default:
      return 0;
  }
}

BinaryReply binary_reply(const SwarmStep& step, const CacheOutcome& outcome) {
  BinaryReply reply{.status = binary_status(step.request.verb, outcome.answer)};
  reply.any_body = reply.status != 0;
  reply.with_cas = reply.status == 0 && outcome.answer != CacheAnswer::kDeleted;
  if (outcome.answer == CacheAnswer::kHit || outcome.answer == CacheAnswer::kTouched) {
    reply.extras = big_endian(outcome.shown->flags, 4);
    reply.known_cas = outcome.shown->cas;
  }
  if (outcome.answer == CacheAnswer::kHit) {
    if (step.with_key) reply.key = step.request.key;
    reply.value = outcome.shown->value;
  }
  if (outcome.answer == CacheAnswer::kNumber) reply.value = big_endian(outcome.number, 8);
  return reply;
}

SwarmMatch match_packet(const SwarmStep& step, const BinaryReply& reply, std::string_view input) {
  if (input.size() < kBinaryHeaderBytes) return {.state = State::kPartial};
  const std::string head = big_endian(0x81, 1) + big_endian(binary_opcode(step), 1);
  const std::size_t body_bytes = number_at(input, 8, 4);
  if (input.substr(0, 2) != head || number_at(input, 6, 2) != reply.status ||
      number_at(input, 12, 4) != step.opaque) {
    return {};
  }
  const std::uint64_t cas = number_at(input, 16, 8);
  if ((cas != 0) != reply.with_cas || (reply.known_cas != 0 && cas != reply.known_cas)) return {};
  const std::string body = reply.extras + reply.key + reply.value;
  if (!reply.any_body && (body_bytes != body.size() || number_at(input, 2, 2) != reply.key.size() ||
                          number_at(input, 4, 1) != reply.extras.size())) {
    return {};
  }
  if (input.size() < kBinaryHeaderBytes + body_bytes) return {.state = State::kPartial};
  if (!reply.any_body && input.substr(kBinaryHeaderBytes, body_bytes) != body) return {};
  return {.state = State::kYes, .bytes = kBinaryHeaderBytes + body_bytes, .cas = cas};
}

SwarmMatch match_binary(const SwarmStep& step, const CacheOutcome& outcome, std::string_view input) {
  const BinaryReply reply = binary_reply(step, outcome);
  const bool silent =
      step.quiet && (retrieves(step.request.verb) ? outcome.answer == CacheAnswer::kMiss : reply.status == 0);
  return silent ? SwarmMatch{.state = State::kSilent} : match_packet(step, reply, input);
}

std::string encode_binary(const SwarmStep& step) {
  const CacheRequest& request = step.request;
  Packet packet{.opcode = binary_opcode(step), .key = request.key, .opaque = step.opaque};
  const auto exptime = static_cast<std::uint32_t>(request.exptime);
  switch (request.verb) {
    case Verb::kTouch:
    case Verb::kTouchingGet:
      packet.extras = timed_extras(exptime);
      break;
    case Verb::kIncrement:
    case Verb::kDecrement:
      packet.extras = counted_extras(request.delta);
      break;
    case Verb::kGet:
    case Verb::kDelete:
      break;
    default:
      packet.value = request.value;
      if (!joins(request.verb)) packet.extras = stored_extras(request.flags, exptime);
      if (request.verb == Verb::kCompare) packet.cas = request.cas;
  }
  return encode(packet);
}

}  // namespace

std::string encode_step(const SwarmStep& step) {
  switch (step.dialect) {
    case SwarmDialect::kClassic:
      return encode_classic(step);
    case SwarmDialect::kMeta:
      return encode_meta(step);
    case SwarmDialect::kBinary:
      break;
  }
  return encode_binary(step);
}

SwarmMatch match_outcome(const SwarmStep& step, const CacheOutcome& outcome, std::string_view input) {
  switch (step.dialect) {
    case SwarmDialect::kClassic:
      return match_classic(step, outcome, input);
    case SwarmDialect::kMeta:
      return match_meta(step, outcome, input);
    case SwarmDialect::kBinary:
      break;
  }
  return match_binary(step, outcome, input);
}

SwarmVerdict judge(const SwarmStep& step, std::span<const CacheOutcome> outcomes, std::string_view input,
                   bool ended) {
  SwarmVerdict verdict;
  std::vector<CacheOutcome> silent;
  bool partial = false;
  for (const CacheOutcome& outcome : outcomes) {
    const SwarmMatch match = match_outcome(step, outcome, input);
    if (match.state == State::kYes) {
      verdict.state = SwarmVerdict::State::kMatched;
      verdict.bytes = match.bytes;
      verdict.cas = match.cas;
      verdict.happened.push_back(outcome);
    }
    partial |= match.state == State::kPartial && !(ended && input.empty());
    if (match.state == State::kSilent) silent.push_back(outcome);
  }
  if (!verdict.happened.empty() || partial) return verdict;
  verdict.state = silent.empty() ? SwarmVerdict::State::kWrong : SwarmVerdict::State::kMatched;
  // Nothing at all has come since: it may still be answered.
  const bool undecided = silent.size() < outcomes.size() && input.empty();
  if (undecided && !ended) verdict.state = SwarmVerdict::State::kWait;
  if (silent.empty() && input.empty()) verdict.state = SwarmVerdict::State::kWait;
  if (verdict.state == SwarmVerdict::State::kMatched) verdict.happened = std::move(silent);
  return verdict;
}

std::string brief(std::string_view bytes) {
  std::string shown;
  std::size_t run = 0;
  for (std::size_t i = 0; i < bytes.size() && shown.size() < 300; ++i) {
    run = i > 0 && bytes[i] == bytes[i - 1] ? run + 1 : 0;
    if (run >= 4) continue;
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (byte >= ' ' && byte < 127) {
      shown += bytes[i];
    } else {
      shown += "\\x" + hexadecimal(byte, 2);
    }
  }
  return shown;
}

std::string brief(const SwarmStep& step) {
  if (step.kind == SwarmStep::Kind::kEnd) return "the end";
  if (step.kind == SwarmStep::Kind::kStats) return "stats";
  if (step.kind == SwarmStep::Kind::kLiteral) return "literally " + brief(step.literal);
  return (step.quiet ? "quietly " : "") + brief(encode_step(step));
}

}  // namespace ringcached::testing
