// Decides for any bytes whether the text parser treats them as it must. Shared by the fuzz target, the replay
// of its corpus and the random tests.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "protocol/limits.h"
#include "support/fragment.h"
#include "support/text_stream.h"

namespace ringcached::testing {

// A line of 2049 bytes to 16 KiB that is no retrieval is served when its end came with it, and ends the
// connection when it did not: the one result that may depend on fragmentation.
inline bool is_overlong_line_cut(const TextStream& whole, const TextStream& cut, std::size_t event) {
  return event < whole.events().size() && event + 1 == cut.events().size() &&
         cut.events()[event].text == "close" && whole.events()[event].line_bytes > protocol::kLineBytesMax;
}

inline std::string compare_streams(const TextStream& whole, const TextStream& cut) {
  if (!cut.fault().empty()) return cut.fault();
  std::size_t event = 0;
  while (event < whole.events().size() && event < cut.events().size() &&
         whole.events()[event].text == cut.events()[event].text) {
    ++event;
  }
  if (is_overlong_line_cut(whole, cut, event)) return "";
  if (event != whole.events().size() || event != cut.events().size()) {
    return "event " + std::to_string(event) + " depends on fragmentation";
  }
  if (whole.closed() != cut.closed() || whole.skip_bytes() != cut.skip_bytes()) return "states differ";
  return whole.closed() || whole.pending_bytes() == cut.pending_bytes() ? "" : "pending bytes differ";
}

// Whatever came before: once data and line are ended, the next command is understood.
inline std::string check_resynchronises(TextStream stream) {
  constexpr std::uint64_t kFillBytesMax = 1 << 20;
  for (const std::string_view ending : {"", "\n", "version\r\n"}) {
    stream.feed(ending);
    if (stream.skip_bytes() > kFillBytesMax) return "";
    stream.feed(std::string(stream.skip_bytes(), 'x'));
  }
  if (!stream.fault().empty()) return stream.fault();
  if (stream.closed() || stream.events().back().text == "version") return "";
  return "version not understood after the input";
}

// Returns the broken rule, or nothing.
inline std::string check_text_input(std::string_view input) {
  const auto run = [](const Pieces& pieces) {
    TextStream stream;
    stream.feed(pieces);
    return stream;
  };
  const TextStream whole = run({input});
  if (!whole.fault().empty()) return whole.fault();
  if (std::string fault = compare_streams(whole, run(cut_every(input, 1))); !fault.empty()) return fault;
  std::mt19937_64 random(input.size());
  for (const std::size_t piece_bytes_max : {3U, 40U, 1500U}) {
    if (std::string fault = compare_streams(whole, run(cut_at_random(input, piece_bytes_max, random)));
        !fault.empty()) {
      return fault;
    }
  }
  TextStream again;
  again.feed(input);
  return check_resynchronises(std::move(again));
}

}  // namespace ringcached::testing
