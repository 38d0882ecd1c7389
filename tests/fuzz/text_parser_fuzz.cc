// libFuzzer target: the text parser against the rules of tests/support/text_oracle.h. Start it on the corpus:
//   text_parser_fuzz -max_len=20000 -dict=tests/fuzz/text.dict tests/fuzz/corpus/classic
#include "fuzz/fuzz_target.h"
#include "support/text_oracle.h"

RINGCACHED_FUZZ_TARGET(ringcached::testing::check_text_input)
