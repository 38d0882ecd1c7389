// Runs the text parser over a stream as a session does, writes each result down as a line of text, and checks
// after every call what must hold for any input.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/limits.h"
#include "protocol/parser.h"
#include "protocol/request.h"
#include "support/fragment.h"
#include "support/meta_oracle.h"

namespace ringcached::testing {

inline const char* command_name(protocol::Command command) {
  static constexpr const char* kNames[] = {
      "get",     "gets",           "gat",          "gats",      "set",       "add",
      "replace", "append",         "prepend",      "cas",       "delete",    "incr",
      "decr",    "touch",          "stats",        "flush_all", "verbosity", "version",
      "quit",    "cache_memlimit", "shutdown",     "slabs",     "lru",       "lru_crawler",
      "watch",   "extstore",       "refresh_certs"};
  return kNames[static_cast<std::size_t>(command)];
}

// "set k flags=1 exptime=2 bytes=3 noreply"; fields that are zero or empty are left out, except bytes of a
// store.
inline std::string render(const protocol::Request& request) {
  std::string text = command_name(request.command);
  if (!request.key.empty()) text.append(" ").append(request.key);
  if (!request.arguments.empty()) text.append(" [").append(request.arguments).append("]");
  if (request.client_flags != 0) text += " flags=" + std::to_string(request.client_flags);
  if (request.exptime != 0) text += " exptime=" + std::to_string(request.exptime);
  if (is_storage(request.command)) text += " bytes=" + std::to_string(request.value_bytes);
  if (request.number != 0) text += " number=" + std::to_string(request.number);
  if (request.noreply) text += " noreply";
  return text;
}

// "! CLIENT_ERROR bad data chunk swallow=3 noreply", "close", "close SERVER_ERROR ...".
inline std::string render(const protocol::MetaRequest& request) {
  std::string text = "meta " + std::to_string(static_cast<int>(request.command)) + " [" +
                     std::string(request.key()) + "] " + std::string(request.order()) + " [" +
                     std::string(request.opaque) + "]";
  for (const std::uint64_t number : {std::uint64_t{request.value_bytes}, std::uint64_t{request.client_flags},
                                     request.cas, request.new_cas, request.delta, request.initial}) {
    text += " " + std::to_string(number);
  }
  for (const std::int32_t number :
       {request.ttl, request.vivify_ttl, request.recache_ttl, static_cast<std::int32_t>(request.set_mode),
        static_cast<std::int32_t>(request.arithmetic_mode)}) {
    text += " " + std::to_string(number);
  }
  return text + (request.is_binary_key() ? " binary" : "");
}
inline std::string render(const protocol::ParseResult& result) {
  std::string text = result.kind == protocol::ParseKind::kClose ? "close" : "!";
  if (!result.reply.empty()) text.append(" ").append(result.reply.substr(0, result.reply.size() - 2));
  if (result.swallow != 0) text += " swallow=" + std::to_string(result.swallow);
  if (result.noreply) text += " noreply";
  return text;
}

// What must hold for any result. Returns the broken rule, or nothing.
class ResultRules {
 public:
  static std::string check(std::string_view input, const protocol::ParseResult& result,
                           const protocol::Request& request, const protocol::MetaRequest& meta,
                           const protocol::LineScan& scan) {
    using protocol::ParseKind;
    if (result.consumed > input.size()) return "consumed more than there is";
    if (!result.reply.empty() && !result.reply.ends_with("\r\n")) return "reply without CR LF";
    switch (result.kind) {
      case ParseKind::kNeedMore:
        return check_need_more(input, result, scan);
      case ParseKind::kClose:
        return result.consumed == 0 && result.swallow == 0 ? "" : "close with a position";
      case ParseKind::kError:
        if (result.reply.empty()) return "error without a reply";
        if (result.swallow > protocol::kValueBytesMax + 2) return "swallow beyond the largest value";
        break;
      case ParseKind::kRequest:
        if (const std::string fault = check_request(input.substr(0, result.consumed), request);
            !fault.empty()) {
          return fault;
        }
        break;
      case ParseKind::kMeta:
        if (const std::string fault = check_meta_request(input.substr(0, result.consumed), meta);
            !fault.empty()) {
          return fault;
        }
        break;
    }
    if (scan.searched != 0) return "scan not reset";
    return input.find('\n') + 1 == result.consumed ? "" : "consumed is not one line";
  }

 private:
  static bool is_retrieval_line(std::string_view line) {
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    return line.starts_with("get ") || line.starts_with("gets ") || line.starts_with("gat ") ||
           line.starts_with("gats ");
  }

  static std::string check_need_more(std::string_view input, const protocol::ParseResult& result,
                                     const protocol::LineScan& scan) {
    if (result.consumed != 0) return "consumed without a result";
    if (scan.searched != input.size()) return "scan does not remember what was searched";
    if (input.find('\n') != std::string_view::npos) return "need more with a complete line";
    if (input.size() <= protocol::kLineBytesMax) return "";
    if (!is_retrieval_line(input)) return "need more beyond the line limit";
    return input.size() < protocol::kMultigetLineBytesMax ? "" : "need more beyond the multiget limit";
  }

  static bool lies_within(std::string_view part, std::string_view whole) {
    return part.empty() ||
           (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
  }

  static std::string check_request(std::string_view line, const protocol::Request& request) {
    if (!lies_within(request.key, line) || !lies_within(request.arguments, line))
      return "view outside the line";
    const bool has_key = request.command <= protocol::Command::kTouch;
    if (has_key == request.key.empty()) return "key missing or not wanted";
    if (request.key.size() > protocol::kKeyBytesMax) return "key too long";
    if (request.key.find(' ') != std::string_view::npos) return "key with a space";
    if (request.value_bytes > protocol::kValueBytesMax) return "value too long";
    if (!is_retrieval(request.command)) return "";
    std::string_view words = request.arguments;
    for (std::string_view word = protocol::next_word(words); !word.empty();
         word = protocol::next_word(words)) {
      if (word.size() > protocol::kKeyBytesMax) return "further key too long";
    }
    return "";
  }
};

class TextStream {
 public:
  struct Event {
    std::string text;
    std::size_t line_bytes = 0;
  };

  void feed(std::string_view piece) {
    if (closed_) return;
    input_.append(piece);
    while (!closed_ && input_.drop(skip_bytes_) && parse()) {
    }
  }
  void feed(const Pieces& pieces) {
    for (const std::string_view piece : pieces) feed(piece);
  }

  const std::vector<Event>& events() const { return events_; }
  std::vector<std::string> texts() const {
    std::vector<std::string> texts;
    for (const Event& event : events_) texts.push_back(event.text);
    return texts;
  }
  bool closed() const { return closed_; }
  // Bytes of a data block or of swallowed input still to come.
  std::uint64_t skip_bytes() const { return skip_bytes_; }
  std::size_t pending_bytes() const { return input_.size(); }
  // The first broken rule; empty if all is well.
  const std::string& fault() const { return fault_; }

 private:
  // One call of the parser; true when it may be called again.
  bool parse() {
    const std::string_view view = input_.view();
    protocol::Request request;
    protocol::MetaRequest meta;
    const protocol::ParseResult result = protocol::parse_text(view, scan_, request, meta);
    if (fault_.empty()) fault_ = ResultRules::check(view, result, request, meta, scan_);
    if (!fault_.empty()) closed_ = true;
    if (result.kind == protocol::ParseKind::kNeedMore || closed_) return false;
    const bool is_request = result.kind == protocol::ParseKind::kRequest;
    const bool is_meta = result.kind == protocol::ParseKind::kMeta;
    events_.push_back({is_request ? render(request)
                       : is_meta  ? render(meta)
                                  : render(result),
                       result.consumed});
    closed_ = result.kind == protocol::ParseKind::kClose;
    skip_bytes_ = result.swallow;
    if (is_request && is_storage(request.command)) skip_bytes_ = std::uint64_t{request.value_bytes} + 2;
    if (is_meta && meta.command == protocol::MetaCommand::kSet) {
      skip_bytes_ = std::uint64_t{meta.value_bytes} + 2;
    }
    input_.consume(result.consumed);
    return true;
  }

  PendingInput input_;
  protocol::LineScan scan_;
  std::vector<Event> events_;
  std::uint64_t skip_bytes_ = 0;
  bool closed_ = false;
  std::string fault_;
};

}  // namespace ringcached::testing
