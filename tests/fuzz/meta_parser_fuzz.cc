// libFuzzer target: the meta parser against the rules of tests/support/meta_oracle.h. Start it on the corpus:
//   meta_parser_fuzz -max_len=4000 tests/fuzz/corpus/meta
#include "fuzz/fuzz_target.h"
#include "support/meta_oracle.h"

RINGCACHED_FUZZ_TARGET(ringcached::testing::check_meta_input)
