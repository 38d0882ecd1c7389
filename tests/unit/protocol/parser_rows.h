// Table tests of the text parser: a row is one line and what becomes of it, written as
// tests/support/text_stream.h renders it.
#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "support/fragment.h"
#include "support/text_stream.h"

namespace ringcached::protocol {

struct ParserRow {
  std::string line;  // without its terminator
  std::string expected;
};

// Runs `stream` in every fragmentation and expects the same events each time.
inline void check_events(std::string_view stream, const std::vector<std::string>& expected) {
  testing::for_each_fragmentation(stream,
                                  [&](const std::string& fragmentation, const testing::Pieces& pieces) {
                                    testing::TextStream run;
                                    run.feed(pieces);
                                    CAPTURE(stream);
                                    CAPTURE(fragmentation);
                                    CHECK(run.fault() == "");
                                    CHECK(run.texts() == expected);
                                  });
}

// The row's line, the data block it announces or swallows (if it can be written down), and a version behind
// it that must be understood.
inline void check_row(const ParserRow& row, std::string_view terminator) {
  constexpr std::uint64_t kDataBytesMax = 1000;
  std::string stream = row.line + std::string(terminator);
  testing::TextStream alone;
  alone.feed(stream);
  std::vector<std::string> expected{row.expected};
  if (!alone.closed() && alone.skip_bytes() <= kDataBytesMax) {
    if (alone.skip_bytes() >= 2) stream += std::string(alone.skip_bytes() - 2, 'x') + "\r\n";
    stream += "version\r\n";
    expected.push_back("version");
  }
  check_events(stream, expected);
}

inline void check_rows(const std::vector<ParserRow>& rows) {
  for (const ParserRow& row : rows) {
    check_row(row, "\r\n");
    check_row(row, "\n");
  }
}

inline constexpr const char* kBadFormatText = "! CLIENT_ERROR bad command line format";

}  // namespace ringcached::protocol
