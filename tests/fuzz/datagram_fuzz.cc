// libFuzzer target: one datagram (frame, sessions, store, replies) against the rules of
// tests/support/datagram_oracle.h. Start it on the corpus:
//   datagram_fuzz -max_len=16000 -dict=tests/fuzz/text.dict tests/fuzz/corpus/datagram
#include "fuzz/fuzz_target.h"
#include "support/datagram_oracle.h"

RINGCACHED_FUZZ_TARGET(ringcached::testing::check_datagram)
