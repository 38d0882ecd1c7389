// libFuzzer target: the binary parser against the rules of tests/support/binary_oracle.h. Start it on the
// corpus:
//   binary_parser_fuzz -max_len=4000 tests/fuzz/corpus/binary
#include "fuzz/fuzz_target.h"
#include "support/binary_oracle.h"

RINGCACHED_FUZZ_TARGET(ringcached::testing::check_binary_input)
