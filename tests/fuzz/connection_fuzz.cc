// libFuzzer target: a whole connection (negotiation, sessions, store) against the rules of
// tests/support/conversation_oracle.h, with a mutator that knows what requests look like. Start it on the
// corpus:
//   connection_fuzz -max_len=20000 tests/fuzz/corpus/*
#include <algorithm>
#include <cstring>

#include "fuzz/fuzz_target.h"
#include "support/conversation_oracle.h"
#include "support/request_grammar.h"

RINGCACHED_FUZZ_TARGET(ringcached::testing::check_conversation)

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  // Every fourth change is libFuzzer's own, which knows nothing of requests and all about coverage.
  if (seed % 4 == 0) return LLVMFuzzerMutate(data, size, size_max);
  ringcached::testing::RequestGrammar grammar(seed);
  const std::string changed = grammar.mutated({reinterpret_cast<const char*>(data), size});
  const std::size_t bytes = std::min(changed.size(), size_max);
  std::memcpy(data, changed.data(), bytes);
  return bytes;
}
