#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "server/meta.h"
#include "support/exchange.h"
#include "support/session_harness.h"

using ringcached::testing::check_everywhere;
using ringcached::testing::Exchange;
using ringcached::testing::SessionHarness;
using ringcached::testing::small_items;
using namespace std::string_literals;

namespace {

ringcached::store::Options no_eviction() {
  ringcached::store::Options options;
  options.memory_limit_bytes = std::size_t{1} << 20;
  options.evict = false;
  return options;
}

// "kept" is 12345, "k0" and so on are of 1000 bytes until there is no memory for another. Returns how many.
unsigned fill(SessionHarness& harness) {
  const std::string value(1000, 'v');
  harness.feed("ms kept 5\r\n12345\r\n");
  unsigned stored = 0;
  while (harness.feed("ms k" + std::to_string(stored) + " 1000\r\n" + value + "\r\n") == "HD\r\n") ++stored;
  return stored;
}

void check_all(const std::vector<Exchange>& exchanges) {
  for (const Exchange& exchange : exchanges) check_everywhere(exchange, small_items());
}

const std::string kTooLong(2000, 'x');
const std::string kOverlongKey(251, 'k');

std::uint64_t counter(SessionHarness& harness, ringcached::server::Count which) {
  return harness.worker().counters.get(which);
}

}  // namespace

TEST_SUITE("meta session") {
  TEST_CASE("mg: hits and misses (6.3, 6.4)") {
    check_all({
        {"a miss", "mg a\r\nmg a v\r\nmg a k Oxyz v\r\nmg a Oxyz k\r\n",
         "EN\r\nEN\r\nEN ka Oxyz\r\nEN Oxyz ka\r\n"},
        {"only misses are quiet", "mg a q v\r\nms a 1 q\r\nx\r\nmg a q\r\nmg a v q Oz\r\nmn\r\n",
         "HD\r\nVA 1 Oz\r\nx\r\nMN\r\n"},
        {"return flags in the order of the request", "ms a 3 F7 T100 E5\r\nabc\r\nmg a s v c Oq t k f\r\n",
         "HD\r\nVA 3 s3 c5 Oq t100 ka f7\r\nabc\r\n"},
        {"without v no value", "ms a 3\r\nabc\r\nmg a\r\nmg a s t\r\n", "HD\r\nHD\r\nHD s3 t-1\r\n"},
        {"an empty value", "ms a 0\r\n\r\nmg a v s\r\n", "HD\r\nVA 0 s0\r\n\r\n"},
        {"arguments of flags that take none",
         "ms a 1\r\nx\r\nmg a vfoo sbar I x D1 P L S\r\nmg a vfoo sbar\r\n",
         "HD\r\nCLIENT_ERROR invalid flag\r\nVA 1 s1\r\nx\r\n"},
        {"flags of other commands are nothing to it", "ms a 1\r\nx\r\nmg a I x D1 J2 F3 Pq Lq MA v\r\n",
         "HD\r\nVA 1\r\nx\r\n"},
        {"h tells of the time before", "ms a 1\r\nx\r\nmg a h u\r\nmg a h\r\nmg a h l\r\n",
         "HD\r\nHD h0\r\nHD h0\r\nHD h1 l0\r\n"},
        {"u with N creates an item nobody fetched",
         "mg a N0 h u\r\nmg a h\r\nmg a h\r\nmg b N0 h\r\nmg b h\r\n",
         "HD h0 W\r\nHD h0 Z\r\nHD h1 Z\r\nHD h0 W\r\nHD h1 Z\r\n"},
        {"C drops the value the client has", "ms a 1 E9\r\nx\r\nmg a v C9 s\r\nmg a v C8 s\r\n",
         "HD\r\nHD s1\r\nVA 1 s1\r\nx\r\n"},
        {"bare line feeds", "ms a 1\nx\r\nmg a v\nmn\n", "HD\r\nVA 1\r\nx\r\nMN\r\n"},
    });
  }

  TEST_CASE("mg: strictly from left to right (6.4)") {
    check_all({
        {"T before t", "ms a 1 T100\r\nx\r\nmg a T30 t\r\n", "HD\r\nHD t30\r\n"},
        {"t before T", "ms a 1 T100\r\nx\r\nmg a t T30\r\nmg a t\r\n", "HD\r\nHD t100\r\nHD t30\r\n"},
        {"R sees the time T has set", "ms a 1 T10\r\nx\r\nmg a T100 R30 t\r\nmg a t\r\n",
         "HD\r\nHD t100\r\nHD t100\r\n"},
        {"R sees the time before T", "ms a 1 T10\r\nx\r\nmg a R30 T100 t\r\nmg a t\r\n",
         "HD\r\nHD t100 W\r\nHD t100 Z\r\n"},
        {"vivified: N and T one after the other",
         "mg a t N30\r\nmg b N30 t\r\nmg c T100 N30 t\r\nmg c t\r\nmg d N30 T100 t\r\nmg d t\r\n",
         "HD t-1 W\r\nHD t30 W\r\nHD t30 W\r\nHD t30 Z\r\nHD t100 W\r\nHD t100 Z\r\n"},
        {"T in the past: this hit is the last", "ms a 1\r\nx\r\nmg a T-1 v t\r\nmg a v\r\n",
         "HD\r\nVA 1 t0\r\nx\r\nEN\r\n"},
    });
  }

  TEST_CASE("stale, win, recache (6.5)") {
    check_all({
        {"vivify",
         "mg a N30 v s f h l E7 c\r\nmg a v h c\r\nget a\r\nadd a 0 0 1\r\nx\r\nms a 1\r\ny\r\nmg a v\r\n",
         "VA 0 s0 f0 h0 l0 c7 W\r\n\r\nVA 0 h1 c7 Z\r\n\r\nVALUE a 0 0\r\n\r\nEND\r\nNOT_STORED\r\nHD\r\n"
         "VA 1\r\ny\r\n"},
        {"vivify without v", "mg a N0 k Oq\r\nmg a k\r\n", "HD ka Oq W\r\nHD ka Z\r\n"},
        {"vivified and dead at once", "mg a N-1 t\r\nmg a\r\n", "HD t0 W\r\nEN\r\n"},
        {"recache: one winner",
         "ms a 1 T20\r\nx\r\nmg a R10\r\nmg a R30 v\r\nmg a R30\r\nmg a\r\nms a 1\r\ny\r\nmg a\r\n",
         "HD\r\nHD\r\nVA 1 W\r\nx\r\nHD Z\r\nHD Z\r\nHD\r\nHD\r\n"},
        {"no recache without a time to live", "ms a 1\r\nx\r\nmg a R30\r\n", "HD\r\nHD\r\n"},
        {"stale: the first hit wins, even without R",
         "ms a 1\r\nx\r\nmd a I\r\nmg a v\r\nmg a v\r\nget a\r\n",
         "HD\r\nHD\r\nVA 1 X W\r\nx\r\nVA 1 Z X\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\n"},
        {"invalidating again gives another win",
         "ms a 1\r\nx\r\nmd a I\r\nmg a\r\nmd a I\r\nmg a\r\nmg a\r\n",
         "HD\r\nHD\r\nHD X W\r\nHD\r\nHD X W\r\nHD Z X\r\n"},
        {"an older id with I stores as stale and keeps time and token",
         "ms a 1 E100 T50\r\nx\r\nms a 1 I C101\r\ny\r\nms a 1 I C99 T7 E102\r\nz\r\nmg a v t c\r\nmg a "
         "t\r\n",
         "HD\r\nEX\r\nHD\r\nVA 1 t50 c102 X W\r\nz\r\nHD t50 Z X\r\n"},
        {"the token bit survives an older store",
         "ms a 1 E100\r\nx\r\nmd a I E110\r\nmg a\r\nms a 1 I C99\r\ny\r\nmg a v\r\n",
         "HD\r\nHD\r\nHD X W\r\nHD\r\nVA 1 Z X\r\ny\r\n"},
        {"touch and incr in place keep the marks",
         "ms n 2\r\n10\r\nmd n I\r\ntouch n 100\r\nincr n 1\r\nmg n v\r\nincr n 1\r\nmg n v\r\n",
         "HD\r\nHD\r\nTOUCHED\r\n11\r\nVA 2 X W\r\n11\r\n12\r\nVA 2 Z X\r\n12\r\n"},
        {"append, and incr that grows, make it fresh",
         "ms a 1\r\n9\r\nmd a I\r\nincr a 1\r\nmg a v\r\nmd a I\r\nms a 1 MA\r\n0\r\nmg a v\r\n",
         "HD\r\nHD\r\n10\r\nVA 2\r\n10\r\nHD\r\nHD\r\nVA 3\r\n100\r\n"},
        {"expiry works on a stale item", "ms a 1\r\nx\r\nmd a I T-1\r\nmg a\r\n", "HD\r\nHD\r\nEN\r\n"},
    });
  }

  TEST_CASE("ms (6.6)") {
    check_all({
        {"modes",
         "ms a 1 MR\r\n0\r\nms a 1 MA\r\n0\r\nms a 1 MP\r\n0\r\nms a 1 ME F5\r\nb\r\nms a 1 ME\r\n0\r\n"
         "ms a 1 MA\r\nc\r\nms a 1 MP s\r\na\r\nmg a v f\r\nms a 2 MR s\r\nxy\r\nms a 1 MS\r\nz\r\nmg a v "
         "f\r\n",
         "NS\r\nNS\r\nNS\r\nHD\r\nNS\r\nHD\r\nHD s3\r\nVA 3 f5\r\nabc\r\nHD s2\r\nHD\r\nVA 1 f0\r\nz\r\n"},
        {"joining ignores T, creates with N",
         "ms a 1 MA N50 T9 F3\r\nx\r\nmg a t f v\r\nms a 1 MA N70 T9\r\ny\r\nmg a t v\r\nms b 1 MP N0 "
         "k\r\nx\r\n",
         "HD\r\nVA 1 t50 f3\r\nx\r\nHD\r\nVA 2 t50\r\nxy\r\nHD kb\r\n"},
        {"quiet and echoes",
         "ms a 1 q k Oz\r\nx\r\nms a 1 ME q k Oz\r\nx\r\nms b 1 C5 q Oz\r\nx\r\nms a 1 C1 q k c s\r\nxx\r\n"
         "ms a 1 C1 q k c s\r\nx\r\nms a 1 Oz k\r\nx\r\nmn\r\n",
         "NS ka Oz\r\nNF Oz\r\nCLIENT_ERROR bad data chunk\r\nCLIENT_ERROR bad command line format\r\n"
         "EX ka c0 s1\r\nHD Oz ka\r\nMN\r\n"},
        {"compare and set",
         "ms a 1 E100 c\r\nx\r\nms a 1 C99\r\ny\r\nms a 1 C100 E101 c\r\ny\r\nms a 1 MR C101 E102\r\nz\r\n"
         "ms b 1 C1\r\nx\r\nms b 1 MR C1\r\nx\r\nms a 1 C0\r\nx\r\nms b 1 C0\r\nx\r\nms a 1 ME C102\r\nx\r\n"
         "ms a 1 MA C7\r\nx\r\nms a 1 MA C102 E103 s\r\nx\r\nms b 1 MA C7\r\nx\r\nmg a v c\r\n",
         "HD c100\r\nEX\r\nHD c101\r\nHD\r\nNF\r\nNF\r\nEX\r\nNF\r\nNS\r\nEX\r\nHD s2\r\nNS\r\nVA 2 "
         "c103\r\nzx\r\n"},
        {"flags that return nothing", "ms a 1 t f v h l\r\nx\r\nms a 1 I\r\ny\r\nmg a v\r\n",
         "HD\r\nHD\r\nVA 1\r\ny\r\n"},
        {"a negative time to live stores, and hides the old value",
         "ms a 1\r\nx\r\nms a 1 T-1\r\ny\r\nmg a\r\n", "HD\r\nHD\r\nEN\r\n"},
        {"faults swallow the block once the length is known",
         "ms a 3 MX\r\nabc\r\nms a 3 M\r\nabc\r\nms a 3 s s\r\nabc\r\nms a 3 T\r\nabc\r\nms a 3 !\r\nabc\r\n"
         "ms a 3 b\r\nabc\r\nms a 3 O34567890123456789012345678901234\r\nabc\r\nms "s +
             kOverlongKey + " 3\r\nabc\r\nms a 3 Fx\r\nabc\r\nmn\r\n",
         "CLIENT_ERROR invalid mode for ms M token\r\nCLIENT_ERROR invalid mode for ms M token\r\n"
         "CLIENT_ERROR duplicate flag\r\nCLIENT_ERROR bad token in command line format\r\n"
         "CLIENT_ERROR invalid flag\r\nCLIENT_ERROR error decoding key\r\nCLIENT_ERROR opaque token too "
         "long\r\n"
         "CLIENT_ERROR bad command line format\r\nCLIENT_ERROR bad command line format\r\nMN\r\n"},
        {"no length, nothing swallowed", "ms a x\r\nmn\r\nms a -1\r\nmn\r\nms a\r\nmn\r\nms\r\nmn\r\n",
         "CLIENT_ERROR bad command line format\r\nMN\r\nCLIENT_ERROR bad command line format\r\nMN\r\n"
         "CLIENT_ERROR bad command line format\r\nMN\r\nCLIENT_ERROR bad command line format\r\nMN\r\n"},
        {"joined beyond the limit is not stored",
         "ms a 600\r\n"s + std::string(600, 'x') + "\r\nms a 600 MA s c\r\n" + std::string(600, 'y') +
             "\r\nmg a s\r\n",
         "HD\r\nNS s600 c0\r\nHD s600\r\n"},
    });
    for (const std::string mode : {"", " ME", " MA", " MP", " MR", " C1", " q k Oz"}) {
      check_everywhere({"too large: swallowed, and the old value is gone in every mode",
                        "ms a 1\r\nx\r\nms a 2000" + mode + "\r\n" + kTooLong + "\r\nmg a\r\n",
                        "HD\r\nSERVER_ERROR object too large for cache\r\nEN\r\n"},
                       small_items());
    }
  }

  TEST_CASE("md (6.7)") {
    check_all({
        {"delete", "ms a 1\r\nx\r\nmd a\r\nmd a\r\nmd a k Oz\r\nmg a\r\n",
         "HD\r\nHD\r\nNF\r\nNF ka Oz\r\nEN\r\n"},
        {"quiet hides HD only", "ms a 1 E5\r\nx\r\nmd a q C4 k\r\nmd a q\r\nmd a q\r\n",
         "HD\r\nEX ka\r\nNF\r\n"},
        {"compare", "ms a 1 E5\r\nx\r\nmd a C4\r\nmd a C0\r\nmd b C4\r\nmd a C5\r\nmg a\r\n",
         "HD\r\nEX\r\nEX\r\nNF\r\nHD\r\nEN\r\n"},
        {"T without I is nothing", "ms a 1\r\nx\r\nmd a T30\r\nmg a\r\n", "HD\r\nHD\r\nEN\r\n"},
        {"invalidated: value and flags stay", "ms a 2 F9 T10 E5\r\nxy\r\nmd a I T30 E6\r\nmg a v t f c\r\n",
         "HD\r\nHD\r\nVA 2 t30 f9 c6 X W\r\nxy\r\n"},
        {"a tombstone keeps its id, and nothing else",
         "ms a 2 F9 T10 E5\r\nxy\r\nmd a x\r\nmg a v t f c\r\nmd a x F4 T30 E8\r\nmg a v t f c\r\n",
         "HD\r\nHD\r\nVA 0 t-1 f0 c5\r\n\r\nHD\r\nVA 0 t30 f4 c8\r\n\r\n"},
        {"empty and stale", "ms a 2 E5\r\nxy\r\nmd a x I E9\r\nmg a v c\r\nmg a\r\n",
         "HD\r\nHD\r\nVA 0 c9 X W\r\n\r\nHD Z X\r\n"},
        {"its faults have texts of their own",
         "md a s s\r\nmd a !\r\nmd a Cx\r\nmd\r\nmd "s + kOverlongKey + "\r\n",
         "CLIENT_ERROR duplicate flag\r\nCLIENT_ERROR invalid flag\r\n"
         "CLIENT_ERROR bad token in command line format\r\nCLIENT_ERROR bad command line format\r\n"
         "CLIENT_ERROR bad command line format\r\n"},
    });
  }

  TEST_CASE("ma (6.8)") {
    check_all({
        {"count",
         "ma n\r\nma n N0 J10 v\r\nma n v\r\nma n D5 v\r\nma n MD D3 v\r\nma n M- D100 v\r\nma n M+ v\r\nmg "
         "n v\r\n",
         "NF\r\nVA 2\r\n10\r\nVA 2\r\n11\r\nVA 2\r\n16\r\nVA 2\r\n13\r\nVA 1\r\n0\r\nVA 1\r\n1\r\nVA 2\r\n1 "
         "\r\n"},
        {"times from left to right",
         "ma n t N60 T30 t v\r\nma n N60 t T30 v\r\nma n t v\r\nma n T40 t\r\nma n t T50\r\nma n t N9\r\n",
         "CLIENT_ERROR invalid or duplicate flag\r\nVA 1 t60\r\n0\r\nVA 1 t30\r\n1\r\nHD t40\r\nHD t40\r\nHD "
         "t50\r\n"},
        {"created: N, T and t one after the other",
         "ma a t N60\r\nma b T30 N60 t\r\nmg b t\r\nma c N60 T30 t\r\nmg c t\r\n",
         "HD t-1\r\nHD t60\r\nHD t60\r\nHD t30\r\nHD t30\r\n"},
        {"quiet success, loud failure",
         "ma n q v\r\nma n q N0 v\r\nma n q v\r\nma n C5 E6 q k\r\nms n 1\r\nx\r\nma n q\r\nmn\r\n",
         "NF\r\nEX kn\r\nHD\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\nMN\r\n"},
        {"ids", "ma n N0 E5 c\r\nma n C4\r\nma n C5 E6 c\r\nma n C0 E7 c v k Oz\r\n",
         "HD c5\r\nEX\r\nHD c6\r\nVA 1 c7 kn Oz\r\n2\r\n"},
        {"flags that return nothing", "ma n N0 s f h l\r\n", "HD\r\n"},
        {"wraps", "ms n 20\r\n18446744073709551615\r\nma n v\r\nmg n v\r\n",
         "HD\r\nVA 1\r\n0\r\nVA 20\r\n0                   \r\n"},
        {"its faults",
         "ma n s s\r\nma n !\r\nma n D-1\r\nma n Jx\r\nma n T\r\nma n MX\r\nma n Mi\r\nma n M\r\nma "s +
             kOverlongKey + "\r\nma\r\nma n b\r\n",
         "CLIENT_ERROR invalid or duplicate flag\r\nCLIENT_ERROR invalid or duplicate flag\r\n"
         "CLIENT_ERROR invalid or duplicate flag\r\nCLIENT_ERROR invalid or duplicate flag\r\n"
         "CLIENT_ERROR invalid or duplicate flag\r\nCLIENT_ERROR invalid mode for ma M token\r\n"
         "CLIENT_ERROR invalid mode for ma M token\r\nCLIENT_ERROR invalid mode for ma M token\r\n"
         "CLIENT_ERROR invalid or duplicate flag\r\nCLIENT_ERROR bad command line format\r\n"
         "CLIENT_ERROR invalid or duplicate flag\r\n"},
    });
  }

  TEST_CASE("me and mn (6.9, 6.10)") {
    check_all({
        {"me",
         "me a\r\nset a 0 0 3\r\nabc\r\nms a 3 E5\r\nabc\r\nme a\r\nmg a\r\nms a 4 F1 T90 E5\r\nabcd\r\nme "
         "a\r\n",
         "EN\r\nSTORED\r\nHD\r\nME a exp=-1 la=0 cas=5 fetch=no cls=1 size=63\r\nHD\r\nHD\r\n"
         "ME a exp=90 la=0 cas=5 fetch=no cls=1 size=68\r\n"},
        {"me of a binary key",
         "ms Zm9v 1 b E5\r\nx\r\nme Zm9v b\r\nme Zm9v b x\r\nme foo\r\nme Zm9v\r\nme !! b\r\n",
         "HD\r\nME Zm9v exp=-1 la=0 cas=5 fetch=no cls=1 size=63\r\nME Zm9v exp=-1 la=0 cas=5 fetch=no cls=1 "
         "size=63\r\n"
         "ME Zm9v exp=-1 la=0 cas=5 fetch=no cls=1 size=63\r\nEN\r\nCLIENT_ERROR error decoding key\r\n"},
        {"me without a key", "me\r\nme "s + kOverlongKey + "\r\n",
         "CLIENT_ERROR bad command line format\r\nCLIENT_ERROR bad command line format\r\n"},
        {"mn", "mn\r\nmn x y\r\nmn\n mn \r\n", "MN\r\nMN\r\nMN\r\nMN\r\n"},
    });
  }

  TEST_CASE("keys in base64 (6.3)") {
    check_all({
        {"one key in both forms",
         "ms Zm9v 2 b\r\nhi\r\nget foo\r\nmg foo v k\r\nmg Zm9v b k\r\nmd foo k\r\nmd Zm9v b k\r\n",
         "HD\r\nVALUE foo 0 2\r\nhi\r\nEND\r\nVA 2 kZm9v b\r\nhi\r\nHD kZm9v b\r\nHD kfoo\r\nNF kZm9v b\r\n"},
        {"a hit goes by the item, a miss by the request",
         "set foo 0 0 1\r\nx\r\nmg Zm9v b k\r\nmg YmFy b k\r\nms YmFy 1 b k\r\nx\r\nmg bar k\r\nms bar 1 "
         "k\r\ny\r\nmg YmFy b k\r\n",
         "STORED\r\nHD kfoo\r\nEN kYmFy b\r\nHD kYmFy b\r\nHD kYmFy b\r\nHD kbar\r\nHD kbar\r\n"},
        {"bytes no text key may have",
         "ms AAog 1 b k\r\nx\r\nmg AAog b k v\r\nma /w== b N0 v k\r\nma /w== k b v\r\n",
         "HD kAAog b\r\nVA 1 kAAog b\r\nx\r\nVA 1 k/w== b\r\n0\r\nVA 1 k/w== b\r\n1\r\n"},
        {"created items are binary too", "mg Zm9v b N0 k\r\nmg foo k\r\nma YmFy b N0 k\r\nmg bar k\r\n",
         "HD kZm9v b W\r\nHD kZm9v b Z\r\nHD kYmFy b\r\nHD kYmFy b\r\n"},
    });
  }

  TEST_CASE("what is no meta command is an unknown command, and flags are at most 18") {
    check_all({
        {"unknown", "mx a\r\nmgg a\r\nMG a\r\n", "ERROR\r\nERROR\r\nERROR\r\n"},
        {"bare", "mg\r\nmd\r\nma\r\n",
         "CLIENT_ERROR bad command line format\r\nCLIENT_ERROR bad command line format\r\n"
         "CLIENT_ERROR bad command line format\r\n"},
        {"18 flags",
         "mg a c f h k l q s t u v x I P L D1 E1 F1 J1\r\nmg a c f h k l s t u v x I P L D1 E1 F1 J1 N1\r\n"
         "mg a c f h k l s t u v x I P L D1 E1 F1 J1 N1 R1\r\n",
         "VA 0 c1 f0 h0 ka l0 s0 t-1 W\r\n\r\nCLIENT_ERROR options flags are too long\r\n"},
    });
  }

  TEST_CASE("a pipeline of every command is answered in order") {
    check_all(
        {{"mixed",
          "ms a 1\r\n1\r\nget a\r\nmg a v\r\nset b 0 0 1\r\n2\r\nmg b v q\r\nmg c q\r\nma a v\r\nmd b q\r\n"
          "mg b k\r\nms c 1 q\r\n3\r\nget a b c\r\nmn\r\n",
          "HD\r\nVALUE a 0 1\r\n1\r\nEND\r\nVA 1\r\n1\r\nSTORED\r\nVA 1\r\n2\r\nVA 1\r\n2\r\nEN kb\r\n"
          "VALUE a 0 1\r\n2\r\nVALUE c 0 1\r\n3\r\nEND\r\nMN\r\n"}});
  }

  TEST_CASE("values of every size come back whole") {
    for (const std::size_t bytes : {1UL, 4095UL, 4096UL, 4097UL, 40000UL, 1000000UL}) {
      for (const std::size_t piece : {~std::size_t{0}, std::size_t{4099}, std::size_t{16384}}) {
        SessionHarness harness;
        std::string value(bytes, '\0');
        for (std::size_t i = 0; i < bytes; ++i) value[i] = static_cast<char>(i * 31 % 251);
        const std::string size = std::to_string(bytes);
        CHECK(harness.feed("ms big " + size + " s k Ozz\r\n" + value + "\r\n", piece) ==
              "HD s" + size + " kbig Ozz\r\n");
        CHECK(harness.feed("mg big v s\r\nmg big s\r\nmn\r\n") ==
              "VA " + size + " s" + size + "\r\n" + value + "\r\nHD s" + size + "\r\nMN\r\n");
      }
    }
  }

  TEST_CASE("the longest header there is fits, in front of the longest copied value") {
    SessionHarness harness;
    std::string key;
    for (unsigned i = 0; i < 62; ++i) key += "////";
    const std::string value(4095, 'v');
    harness.feed("ms " + key + " 4095 b F4294967295 T2592000 E18446744073709551615\r\n" + value + "\r\n");
    harness.feed("md " + key + " b I E18446744073709551615\r\n");
    const std::string opaque = "O" + std::string(31, 'o');
    CHECK(harness.feed("mg " + key + " b v k " + opaque + " f t c s h l\r\n") ==
          "VA 4095 k" + key + " b " + opaque +
              " f4294967295 t2592000 c18446744073709551615 s4095 h0 l0 X W\r\n" + value + "\r\n");
  }

  TEST_CASE("l and la are the seconds since the last access, before this one") {
    SessionHarness harness;
    harness.feed("ms a 1 T100\r\nx\r\n");
    harness.clock().advance_seconds(7);
    harness.cache_clock().tick();
    CHECK(harness.feed("mg a l t u\r\n") == "HD l7 t93\r\n");
    CHECK(harness.feed("me a\r\n").starts_with("ME a exp=93 la=7 cas="));
  }

  TEST_CASE("R by the clock") {
    SessionHarness harness;
    harness.feed("ms a 1 T100\r\nx\r\n");
    CHECK(harness.feed("mg a R30\r\n") == "HD\r\n");
    harness.clock().advance_seconds(70);
    harness.cache_clock().tick();
    CHECK(harness.feed("mg a R30 t\r\n") == "HD t30\r\n");
    harness.clock().advance_seconds(1);
    harness.cache_clock().tick();
    CHECK(harness.feed("mg a R30 t\r\n") == "HD t29 W\r\n");
    CHECK(harness.feed("mg a R30 t\r\n") == "HD t29 Z\r\n");
  }

  TEST_CASE("each command in its counters, and in no other (9.1)") {
    using ringcached::server::Count;
    struct Row {
      const char* sent;
      std::vector<std::pair<Count, unsigned>> counted;
    };
    const std::vector<Row> rows = {
        {"mg a\r\n", {{Count::kCmdGet, 1}, {Count::kGetMisses, 1}}},
        {"mg a T30\r\n", {{Count::kCmdGet, 1}, {Count::kGetMisses, 1}}},
        {"mg a q\r\nmg a N30\r\n", {{Count::kCmdGet, 2}, {Count::kGetMisses, 1}, {Count::kGetHits, 1}}},
        {"mg a N30 T40\r\n", {{Count::kCmdTouch, 1}, {Count::kTouchHits, 1}}},
        {"ms a 1\r\nx\r\nmg a v\r\n", {{Count::kCmdSet, 1}, {Count::kCmdGet, 1}, {Count::kGetHits, 1}}},
        {"ms a 1\r\nx\r\nmg a T30\r\n", {{Count::kCmdSet, 1}, {Count::kCmdTouch, 1}, {Count::kTouchHits, 1}}},
        {"ms a 1 T-1\r\nx\r\nmg a\r\n",
         {{Count::kCmdSet, 1}, {Count::kCmdGet, 1}, {Count::kGetMisses, 1}, {Count::kGetExpired, 1}}},
        {"ms a 1\r\nx\r\nflush_all\r\nmg a\r\n",
         {{Count::kCmdSet, 1},
          {Count::kCmdFlush, 1},
          {Count::kCmdGet, 1},
          {Count::kGetMisses, 1},
          {Count::kGetFlushed, 1}}},
        {"ms a 1 E5\r\nx\r\nms a 1 C5 E6\r\nx\r\nms a 1 C5\r\nx\r\nms b 1 C5\r\nx\r\nms a 1 MA C5\r\nx\r\n",
         {{Count::kCmdSet, 5}, {Count::kCasHits, 1}, {Count::kCasBadval, 1}, {Count::kCasMisses, 1}}},
        {"ms a 1\r\nx\r\nmd a C1\r\nmd a I\r\nmd a x\r\nmd a x I\r\nmd a\r\nmd a\r\n",
         {{Count::kCmdSet, 1}, {Count::kDeleteHits, 2}, {Count::kDeleteMisses, 2}}},
        {"ma a\r\nma a N0\r\nma a\r\nma a MD\r\nma a C1\r\nma b MD\r\n",
         {{Count::kIncrMisses, 1}, {Count::kIncrHits, 1}, {Count::kDecrHits, 1}, {Count::kDecrMisses, 1}}},
        {"ms a 1\r\nx\r\nma a\r\n", {{Count::kCmdSet, 1}}},
        {"me a\r\nme a\r\nmn\r\n", {{Count::kCmdMeta, 2}}},
        {"ms a 1 MX\r\nx\r\nmg a s s\r\n", {}},
    };
    for (const Row& row : rows) {
      INFO(row.sent);
      SessionHarness harness(small_items());
      harness.feed(row.sent);
      for (std::size_t i = 0; i < ringcached::server::kCounts; ++i) {
        const auto which = static_cast<Count>(i);
        unsigned expected = 0;
        for (const auto& [count, times] : row.counted) expected += count == which ? times : 0;
        CHECK_MESSAGE(counter(harness, which) == expected, ringcached::server::kCountNames[i]);
      }
    }
  }

  TEST_CASE("refused stores count by their cause") {
    using ringcached::server::Count;
    SessionHarness harness(small_items());
    harness.feed("ms a 2000\r\n" + kTooLong + "\r\n", 100);
    CHECK(counter(harness, Count::kStoreTooLarge) == 1);
    CHECK(counter(harness, Count::kCmdSet) == 0);
  }

  TEST_CASE("without memory: an error line, no old value, and no item made by a read") {
    SessionHarness harness(no_eviction());
    CHECK(fill(harness) > 100);
    const std::string value(1000, 'v');
    CHECK(harness.feed("ms k1 1000 ME\r\n" + value + "\r\nmg k1\r\n") == "NS\r\nHD\r\n");
    // Uses up what is left in the classes that exist, then finds none for a class of its own.
    const std::string other(9000, 'o');
    CHECK(harness.feed("ms k1 9000 MR\r\n" + other + "\r\nmg k1\r\n") ==
          "SERVER_ERROR out of memory storing object\r\nEN\r\n");
  }

  TEST_CASE("an append or prepend that finds no memory says NS and keeps the old value") {
    SessionHarness harness(no_eviction());
    fill(harness);
    const std::string more(9000, 'm');
    for (const std::string mode : {"MA", "MP"}) {
      CHECK(harness.feed("ms kept 9000 " + mode + "\r\n" + more + "\r\nmg kept v\r\n") ==
            "NS\r\nVA 5\r\n12345\r\n");
    }
  }

  TEST_CASE("a pinned value survives its key") {
    SessionHarness harness;
    const std::string value(50000, 'p');
    CHECK(harness.feed("ms big 50000\r\n" + value +
                       "\r\nmg big v\r\nmd big\r\nms big 1\r\nx\r\nmg big v\r\n") ==
          "HD\r\nVA 50000\r\n" + value + "\r\nHD\r\nHD\r\nVA 1\r\nx\r\n");
  }

  TEST_CASE("with ids switched off (-C)") {
    ringcached::store::Options options;
    options.cas = false;
    SessionHarness harness(options);
    CHECK(harness.feed("ms a 1 c\r\nx\r\nmg a c\r\nms a 1 C1\r\nx\r\nmd a C1\r\nma n N0 c\r\nma n C1\r\n") ==
          "HD c0\r\nHD c0\r\nEX\r\nEX\r\nHD c0\r\nEX\r\n");
  }
}
