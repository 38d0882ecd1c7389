// Decides for any bytes whether the binary parser treats them as it must. Shared by the fuzz target and the
// replay of its corpus.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/binary.h"
#include "support/fragment.h"

namespace ringcached::testing {

// Runs the binary parser over a stream as a session does and writes each result down.
class BinaryStream {
 public:
  void feed(std::string_view piece) {
    if (closed_) return;
    input_.append(piece);
    while (!closed_ && input_.drop(skip_bytes_) && parse()) {
    }
  }
  void feed(const Pieces& pieces) {
    for (const std::string_view piece : pieces) feed(piece);
  }

  const std::vector<std::string>& events() const { return events_; }
  bool closed() const { return closed_; }
  std::uint64_t skip_bytes() const { return skip_bytes_; }
  std::size_t pending_bytes() const { return input_.size(); }
  const std::string& fault() const { return fault_; }

 private:
  using Kind = protocol::BinaryResult::Kind;

  bool parse() {
    const std::string_view view = input_.view();
    protocol::BinaryRequest request;
    const auto result = protocol::parse_binary(view, protocol::BinaryAccess::kAll, request);
    fault_ = check(view, result, request);
    closed_ = !fault_.empty() || result.kind == Kind::kFatal || result.kind == Kind::kClose;
    if (result.kind == Kind::kNeedMore) return false;
    events_.push_back(render(result, request));
    skip_bytes_ = std::uint64_t{result.swallow} + request.value_bytes;
    input_.consume(result.consumed);
    return !closed_;
  }

  static std::string check(std::string_view input, const protocol::BinaryResult& result,
                           const protocol::BinaryRequest& request) {
    using namespace protocol;
    if (result.consumed > input.size()) return "consumed more than there is";
    const bool consumes = result.kind != Kind::kNeedMore && result.kind != Kind::kClose;
    if (consumes != (result.consumed >= kBinaryHeaderBytes)) return "consumed part of a header";
    constexpr std::size_t kFixedBytesMax = kBinaryHeaderBytes + kBinaryExtrasBytesMax + kKeyBytesMax;
    if (result.kind == Kind::kNeedMore && input.size() >= kFixedBytesMax) return "need more beyond the limit";
    if (result.kind != Kind::kRequest) return request.value_bytes == 0 ? "" : "value of a refused request";
    if (request.key.size() > kKeyBytesMax) return "key too long";
    if (!request.key.empty() && request.key.data() + request.key.size() != input.data() + result.consumed) {
      return "key in the wrong place";
    }
    return result.consumed + request.value_bytes == kBinaryHeaderBytes + request.header.body_bytes
               ? ""
               : "lengths do not add up";
  }

  static std::string render(const protocol::BinaryResult& result, const protocol::BinaryRequest& request) {
    std::string text;
    for (const std::uint64_t number :
         {static_cast<std::uint64_t>(result.kind), static_cast<std::uint64_t>(result.status),
          std::uint64_t{result.swallow}, std::uint64_t{request.header.opcode},
          static_cast<std::uint64_t>(request.command), std::uint64_t{request.quiet},
          std::uint64_t{request.value_bytes}, std::uint64_t{request.client_flags},
          std::uint64_t{request.exptime}, request.delta, request.initial, request.header.cas,
          std::uint64_t{request.header.opaque}}) {
      text += std::to_string(number) + ' ';
    }
    return text.append(request.key);
  }

  PendingInput input_;
  std::vector<std::string> events_;
  std::uint64_t skip_bytes_ = 0;
  bool closed_ = false;
  std::string fault_;
};

// Returns the broken rule, or nothing.
inline std::string check_binary_input(std::string_view input) {
  BinaryStream whole;
  whole.feed(input);
  if (!whole.fault().empty()) return whole.fault();
  std::mt19937_64 random(input.size());
  for (const Pieces& pieces : {cut_every(input, 1), cut_at_random(input, 40, random)}) {
    BinaryStream cut;
    cut.feed(pieces);
    if (!cut.fault().empty()) return cut.fault();
    if (whole.events() != cut.events() || whole.closed() != cut.closed() ||
        whole.skip_bytes() != cut.skip_bytes() ||
        (!whole.closed() && whole.pending_bytes() != cut.pending_bytes())) {
      return "result depends on fragmentation";
    }
  }
  return "";
}

}  // namespace ringcached::testing
