// Decides for any bytes whether a server treats a client that sends them as it must. Shared by the fuzz
// target of whole connections, the replay of its corpus and a random test.
#pragma once

#include <string>
#include <string_view>

namespace ringcached::testing {

// Returns the broken rule, or nothing:
//   - the answer is the same bytes, and the same end, whatever the fragmentation, the share of a turn and the
//     pace of reading, but for the answers that are meant to tell (may_depend_on_arrival);
//   - afterwards, once an unfinished data block is filled, the next command is understood or the connection
//   is
//     closed;
//   - the next client is served, and the store's books balance.
std::string check_conversation(std::string_view input);

// Streams whose answer may depend on how they arrive: statistics of the process; watch and the dumps, which
// refuse to run behind unsent replies; lines longer than an unterminated one may be.
bool may_depend_on_arrival(std::string_view input);

}  // namespace ringcached::testing
