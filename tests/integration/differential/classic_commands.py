"""Random classic commands: valid ones, odd ones, malformed ones (specification 2 to 5, 7)."""

import base64

from differential.unit import Cas, Unit

FLAGS_VALID = (b"0", b"0", b"0", b"1", b"5", b"77", b"65535", b"65536", b"2147483648", b"4294967295", b"007")
FLAGS_ODD = (b"-1", b"+5", b"0x5", b"4294967296", b"99999999999999999999", b"abc", b"1a", b"1.5", b"-0", b"--1")
# Every time to live is a multiple of 100 (see normalize.rounded), far from ending within the run.
EXPTIMES_VALID = (b"0", b"0", b"0", b"0", b"100", b"2500", b"2592000", b"-1", b"-100", b"2592001")
EXPTIMES_ODD = (b"x", b"1x", b"1.5", b"+100", b"-0", b"4294967296", b"2147483648", b"99999999999", b"-2147483648",
                b"99999999999999999999", b"0x10", b"00100")
LENGTHS_ODD = (b"x", b"-1", b"+2", b"2x", b"2147483646", b"2147483647", b"4294967295", b"4294967297", b"1.0", b"",
               b"-4294967295", b"99999999999999999999", b"18446744073709551615")
DELTAS_VALID = (b"0", b"1", b"1", b"2", b"9", b"10", b"100", b"4294967296", b"007", b"99999", b"00100")
DELTAS_ODD = (b"-1", b"x", b"1x", b"+1", b"18446744073709551616", b"99999999999999999999999999", b"1.5", b"0x1", b"-0",
              b"0000000000000000000000001")
CAS_ODD = (b"x", b"-1", b"1x", b"18446744073709551616", b"+7", b"0x1", b"1.0", b"99999999999999999999999")
# Ids older and newer than an item's; the newer one is far off, so that no later store reaches it.
CAS_OFFSETS = (-1, 10 ** 9)
# Ids that no server gives out by itself: all give small ones to begin with, the runs make them pass the first hundreds.
CAS_LITERALS = (b"0", b"1", b"2", b"1000000000000000", b"18446744073709551615")
COUNTER_VALUES = (b"0", b"1", b"9", b"10", b"99", b"100", b"007", b"4294967295", b"12", b"5")
# 1.6.18 reads such an item beyond its end, so they are met in commands of their own only (see Classic.near_the_limit).
LARGE_NUMBERS = (b"9223372036854775807", b"9223372036854775808", b"18446744073709551614", b"18446744073709551615")
TEXT_VALUES = (b"", b"a", b"ab", b"value", b"x12", b"-5", b"abc 1", b"\r\n", b"\x00\xff\x80", b"VALUE a 0 1", b"END\r\n",
               b"set a 0 0 1\r\nb", b"get a\r\n")
UNKNOWN = (b"GET a", b"foo", b"Set a 0 0 1", b"getx a", b"ge a", b"get\ta", b"gett a", b"sets a 0 0 1", b"flush_al",
           b"flush_allx", b"versions", b"mq a", b"mx a", b"incrx a 1", b"\x81abc", b"\x00\x01\x02\x03", b"delete\x00a",
           b"m", b"mgg a", b"touchy k 0", b"gat\t0 a", b"noreply", b"END", b"\xff\xfe\xfd", b"{}", b"cas\x01", b"quitx",
           b"stat", b"STATS", b"bget a", b"addd a 0 0 0", b"casa 0")
ADMIN = (b"version", b"version x", b"version noreply", b"verbosity 0", b"verbosity 0 noreply", b"verbosity", b"verbosity x",
         b"verbosity -1", b"verbosity noreply", b"verbosity 0 my eyes", b"verbosity 4294967296", b"mn", b"mn x y",
         b"flush_all x", b"flush_all noreply 5", b"cache_memlimit", b"cache_memlimit x",
         b"cache_memlimit 7", b"cache_memlimit 1000000001", b"cache_memlimit 7 noreply", b"cache_memlimit -1",
         b"cache_memlimit 1024", b"shutdown", b"shutdown graceful", b"shutdown x", b"stats nosuchgroup", b"stats sizes")
# Administration: every word with each number of arguments, and whatever does not depend on the memory there is.
# Dumps, crawls that find something and pages that can move are left out, as is lru_crawler disable: a peer's crawler is
# slow to end, and streams of other connections would not tell.
ADMIN += (
    b"slabs", b"slabs x", b"slabs x 1", b"slabs x 1 2", b"slabs 1",
    b"slabs automove", b"slabs automove 0", b"slabs automove 1", b"slabs automove 2", b"slabs automove 3", b"slabs automove -1",
    b"slabs automove x", b"slabs automove 1x", b"slabs automove 1 2", b"slabs automove 1 2 3", b"slabs automove ratio",
    b"slabs automove ratio 0.8", b"slabs automove ratio x", b"slabs automove ratio 0.8 1", b"slabs automove freeratio",
    b"slabs automove freeratio 0.01", b"slabs automove freeratio x", b"slabs automove window", b"slabs automove window 10",
    b"slabs automove window 2", b"slabs automove window 1801", b"slabs automove window x", b"slabs automove nosuch",
    b"slabs automove nosuch 1", b"slabs automove 1 noreply",
    b"slabs reassign", b"slabs reassign 1", b"slabs reassign 1 1", b"slabs reassign x 1", b"slabs reassign 1 x",
    b"slabs reassign 1 2 3", b"slabs reassign 1 2 3 4", b"slabs reassign 999 1", b"slabs reassign 1 999",
    b"slabs reassign 63 1", b"slabs reassign -1 999", b"slabs reassign x y noreply", b"slabs reassign 1 1 noreply",
    b"lru", b"lru 1", b"lru x", b"lru x 1", b"lru tune", b"lru tune 10", b"lru tune 10 20", b"lru tune 10 20 0.1",
    b"lru tune 20 40 0.2 2.0", b"lru tune 20 40 0.2 2.0 5", b"lru tune 50 50 0.1 2.0", b"lru tune 10 20 0 2.0",
    b"lru tune 10 20 0.1 -1", b"lru tune x 20 0.1 2.0", b"lru tune 10 20 x 2.0", b"lru tune -1 20 0.1 2.0",
    b"lru mode", b"lru mode segmented", b"lru mode segmented x", b"lru mode x", b"lru mode x noreply", b"lru temp_ttl",
    b"lru temp_ttl -1", b"lru temp_ttl x", b"lru temp_ttl -1 2", b"lru temp_ttl -1 noreply",
    b"lru_crawler", b"lru_crawler 1", b"lru_crawler x", b"lru_crawler x 1", b"lru_crawler enable", b"lru_crawler enable x",
    b"lru_crawler enable x y", b"lru_crawler enable noreply", b"lru_crawler sleep", b"lru_crawler sleep 100",
    b"lru_crawler sleep 1000001", b"lru_crawler sleep x", b"lru_crawler sleep -1", b"lru_crawler sleep 100 1",
    b"lru_crawler sleep 1000001 noreply", b"lru_crawler tocrawl", b"lru_crawler tocrawl 0", b"lru_crawler tocrawl x",
    b"lru_crawler tocrawl -1", b"lru_crawler tocrawl 4294967296", b"lru_crawler tocrawl 0 1", b"lru_crawler tocrawl 0 noreply",
    b"lru_crawler crawl", b"lru_crawler crawl x", b"lru_crawler crawl 0", b"lru_crawler crawl 64", b"lru_crawler crawl 999",
    b"lru_crawler crawl 1,x", b"lru_crawler crawl ,", b"lru_crawler crawl x 2", b"lru_crawler crawl x noreply",
    b"lru_crawler metadump", b"lru_crawler metadump 1 2", b"lru_crawler metadump x", b"lru_crawler mgdump",
    b"lru_crawler mgdump 1 2", b"lru_crawler mgdump x",
    b"extstore", b"extstore x", b"extstore x 1", b"extstore 1", b"extstore item_size", b"extstore item_size 512",
    b"extstore item_size x", b"extstore item_size -1", b"extstore item_size 512 x", b"extstore item_size 4294967296",
    b"extstore item_size 512 noreply", b"extstore item_age 1", b"extstore low_ttl 1", b"extstore recache_rate 1",
    b"extstore compact_under 1", b"extstore drop_under 1", b"extstore max_sleep 1", b"extstore max_frag 0.5",
    b"extstore max_frag x", b"extstore drop_unread 1", b"extstore drop_unread x", b"extstore free_memchunks",
    b"extstore free_memchunks 1", b"extstore free_memchunks 1 2", b"extstore free_memchunks x",
    b"stats detail", b"stats detail x", b"stats detail off", b"stats detail off x", b"stats detail x noreply",
    b"stats sizes x", b"stats sizes_disable", b"stats extstore", b"stats extstore x",
    b"stats nosuchgroup x", b"stats cachedump", b"stats cachedump 1", b"stats cachedump x 1", b"stats cachedump 1 x",
    b"stats cachedump 64 1", b"stats cachedump 999 1", b"stats cachedump -1 1", b"stats cachedump 1 -1",
    b"stats cachedump 63 1", b"stats cachedump 0 0",
    b"watch x", b"watch fetchers x", b"watch x y", b"refresh_certs", b"refresh_certs x", b"refresh_certs noreply",
    b"version 1 2 3", b"verbosity 0 x", b"cache_memlimit 1024 x", b"cache_memlimit 7 x", b"cache_memlimit 1024 noreply x",
    b"flush_all x y", b"shutdown x y", b"shutdown noreply", b"lru noreply", b"slabs noreply", b"slabs automove noreply",
    b"lru_crawler noreply", b"extstore noreply", b"stats noreply")
# Not all letters: the tail of a block that is too long must be no command.
LETTERS = b"bcdfhjkprtvwxyz"
# Text of any bytes, sliced for values.
BLOB_BYTES = 1 << 16


class Keys:
    """The few keys of one stream, so that its commands meet the same items; `prefix` is the stream's own."""

    def __init__(self, prefix, rng):
        # In 1.6.18 a delayed flush brings back what an immediate one took; a stream has one kind.
        self.flush_later = rng.random() < 0.5
        self.plain = [prefix + b"k%d" % number for number in range(8)]
        self.odd = [prefix + b"\x01\x7f\xff", prefix + b"\tt", prefix + "\u00e9\u4e16".encode(), prefix + b"/%'\"\\",
                    prefix + b"\r.", prefix + b"x" * (249 - len(prefix)), prefix + b"y" * (250 - len(prefix)),
                    prefix + b"noreply"]
        # Numbers only, so that padding, which depends on whether a reply was sent already, never gets into other values.
        self.counters = [prefix + b"n%d" % number for number in range(4)]
        # Stored in their base64 form, too. No command makes a new item of an old one there: memcached then forgets the form.
        self.encoded = [prefix + b"e0", prefix + b"e\x01\xff", prefix + b"e" * (186 - len(prefix))]
        self.overlong = prefix + b"z" * (251 - len(prefix))
        self.nul = prefix + b"nul\x00byte"

        # Never a number, and never white space alone, behind which memcached would read on.
        self.word = prefix + b"word"


class Generator:
    """Common to the text generators: choices of keys, values, line ends."""

    def __init__(self, rng, keys, strict, clean):
        self.rng = rng
        self.keys = keys
        # One command at a time, so that nothing depends on what was sent already: every key takes every command.
        self.strict = strict
        # The counters will be compared.
        self.clean = clean
        self.blob = bytes(rng.getrandbits(8) for _ in range(512)) * (BLOB_BYTES // 512)

    def command(self, now):
        """One of the TABLE of shares, which add up to 1, and what makes a command of that kind."""
        pick = self.rng.random()
        for limit, make in self.TABLE:
            if pick < limit:
                return make(self, now)
        raise AssertionError("the table ends at 1")

    def chance(self, percent):
        return self.rng.random() * 100 < percent

    def key(self):
        pick = self.rng.random()
        if pick < 0.86:
            return self.rng.choice(self.keys.plain)
        return self.rng.choice(self.keys.odd)

    def any_key(self):
        """For commands that neither change a value nor show its padding."""
        pick = self.rng.random()
        if pick < 0.2:
            return self.rng.choice(self.keys.counters)
        return self.rng.choice(self.keys.encoded) if pick < 0.25 else self.key()

    def counter(self):
        return self.keys.word if self.chance(6) else self.rng.choice(self.keys.counters)

    def stored_number(self):
        """A key for numbers and its new value."""
        if self.chance(15):
            return self.keys.word, self.rng.choice((b"word", b"12x", b"x12", b"-5", b"12 abc", b"123456789012345678901"))
        return self.rng.choice(self.keys.counters), self.rng.choice(COUNTER_VALUES)

    def odd_key(self):
        return self.keys.nul if self.chance(20) else self.keys.overlong

    def value(self):
        pick = self.rng.random()
        if pick < 0.35:
            return self.rng.choice(TEXT_VALUES)
        if pick < 0.85:
            size = self.rng.randrange(1, 40)
        elif pick < 0.985:
            size = self.rng.randrange(40, 900)
        else:
            size = self.rng.randrange(900, 5000)
        start = self.rng.randrange(BLOB_BYTES - size)
        # A letter first: never a number, whatever follows.
        return b"v" + self.blob[start:start + size - 1]

    def letters(self, size):
        return bytes(self.rng.choice(LETTERS) for _ in range(size))

    def end(self):
        return b"\n" if self.chance(6) else b"\r\n"

    def spaced(self, words):
        """The words with one blank between them, rarely more; references to ids stay as they are. Never a blank first."""
        parts = []
        for number, word in enumerate(words):
            if number:
                parts.append(b" " if self.rng.random() > 0.01 else b"   ")
            parts.append(word)
        if self.rng.random() < 0.01:
            parts.append(b"  ")
        return parts

    def unit(self, words, keys=(), data=None, **marks):
        parts = self.spaced(words) + [self.end()]
        if data is not None:
            parts.append(data + b"\r\n")
        return Unit(joined(parts), tuple(keys), **marks)

    def misframed(self, words, key, data, announced):
        """A block that is not as long as announced, followed by a line long enough to be what is eaten."""
        return Unit(joined(self.spaced(words) + [b"\r\n", data, b"\r\n", b"filler" * 8 + b"\r\n"]), (key,), misframed=True) \
            if len(data) < announced else \
            Unit(joined(self.spaced(words) + [b"\r\n", data, b"\r\n"]), (key,), misframed=True)


def joined(parts):
    """Neighbouring bytes as one part."""
    result = []
    for part in parts:
        if isinstance(part, bytes) and result and isinstance(result[-1], bytes):
            result[-1] += part
        else:
            result.append(part)
    return tuple(result)


class Classic(Generator):
    # --- valid ---

    def storage(self, now):
        verb = self.rng.choice((b"set", b"set", b"set", b"add", b"replace", b"append", b"prepend", b"cas", b"cas"))
        counter = verb not in (b"append", b"prepend") and self.chance(25)
        key, data = self.stored_number() if counter else (self.key(), self.value())
        words = [verb, key, self.rng.choice(FLAGS_VALID), self.exptime(now), b"%d" % len(data)]
        if verb == b"cas":
            words.append(self.cas_id(key))
        if self.chance(12):
            words.append(b"noreply")
        elif self.chance(1):
            words.append(b"foo")
        return self.unit(words, (key,), data)

    def cas_id(self, key):
        pick = self.rng.random()
        if pick < 0.6:
            return Cas(key)
        return Cas(key, self.rng.choice(CAS_OFFSETS)) if pick < 0.8 else self.rng.choice(CAS_LITERALS)

    def exptime(self, now):
        if self.chance(5):
            # Absolute, ahead and past.
            return b"%d" % (now + self.rng.choice((1000, 500000, -1000)))
        return self.rng.choice(EXPTIMES_VALID)

    def retrieval(self, _now):
        count = self.rng.choice((1, 1, 1, 1, 2, 3, 8))
        verb = self.rng.choice((b"get", b"get", b"gets"))
        return self.unit([verb] + [self.any_key() for _ in range(count)])

    def get_and_touch(self, now):
        keys = [self.any_key() for _ in range(self.rng.choice((1, 1, 2, 4)))]
        return self.unit([self.rng.choice((b"gat", b"gats")), self.exptime(now)] + keys, keys)

    def touch(self, now):
        key = self.any_key()
        words = [b"touch", key, self.exptime(now)]
        return self.unit(words + ([b"noreply"] if self.chance(12) else []), (key,))

    def delete(self, _now):
        key = self.any_key()
        words = [b"delete", key] + ([b"0"] if self.chance(10) else []) + ([b"noreply"] if self.chance(12) else [])
        return self.unit(words, (key,))

    def arithmetic(self, _now):
        key = self.counter()
        words = [self.rng.choice((b"incr", b"decr")), key, self.rng.choice(DELTAS_VALID)]
        return self.unit(words + ([b"noreply"] if self.chance(12) else []), (key,))

    def near_the_limit(self, _now):
        key = self.rng.choice(self.keys.plain)
        value = self.rng.choice(LARGE_NUMBERS + (b"0", b"3"))
        lines = [b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value)]
        if self.chance(20):
            lines = [b"set %s 0 0 1\r\n7\r\nincr %s 1\r\n%s %s 0 0 1\r\n1\r\n" % (
                key, key, self.rng.choice((b"append", b"prepend")), key)]
        for _ in range(2):
            lines.append(b"%s %s %s\r\n" % (self.rng.choice((b"incr", b"decr")), key,
                                            self.rng.choice(LARGE_NUMBERS + (b"1", b"2", b"3"))))
        return Unit((b"".join(lines),), (key,))

    def admin(self, _now):
        command = self.rng.choice(ADMIN)
        # Whether these are refused for answers not sent yet depends on what was sent.
        refused = command.startswith((b"watch", b"lru_crawler m"))
        return self.unit([b"version" if refused and not self.strict else command])

    def counted(self, _now):
        """The statistics by prefix from on to dump, in one piece, so that nobody else's commands are among them."""
        if self.clean:
            return self.admin(_now)  # stats reset would take the counters that are compared
        keys = [b"%s.p%d:k%d" % (self.keys.word, self.rng.randrange(2), number) for number in range(3)]
        lines = [b"stats reset\r\n", b"stats detail on\r\n"]
        for _ in range(self.rng.randrange(1, 12)):
            key = self.rng.choice(keys)
            lines.append(self.rng.choice((b"get %s\r\n", b"gets %s x:y nodelimiter\r\n", b"gat 0 %s\r\n", b"set %s 0 0 1\r\n1\r\n",
                                          b"add %s 0 0 1\r\n1\r\n", b"append %s 0 0 1\r\n1\r\n", b"cas %s 0 0 1 5\r\n1\r\n",
                                          b"delete %s\r\n", b"incr %s 1\r\n", b"touch %s 0\r\n", b"mg %s v\r\n",
                                          b"ms %s 1\r\n1\r\n", b"md %s\r\n", b"set %s 0 0 x\r\n", b"ma %s N0\r\n")) % key)
        lines.append(b"stats detail dump\r\nstats detail off\r\nstats detail dump\r\n")
        return Unit((b"".join(lines),), tuple(keys))

    def flush(self, now):
        delay = self.rng.choice((b"1000", b"2592001", b"%d" % (now - 86400 * 365)) if self.keys.flush_later else (None, b"0", b"-1"))
        words = [b"flush_all"] + ([delay] if delay else []) + ([b"noreply"] if self.chance(20) else [])
        return self.unit(words)

    # --- odd and malformed; their data is letters, harmless when it is taken for a command ---

    def odd_storage(self, _now):
        verb = self.rng.choice((b"set", b"set", b"add", b"replace", b"append", b"prepend", b"cas"))
        key = self.rng.choice(self.keys.plain)
        data = self.letters(self.rng.choice((2, 2, 3, 7, 20)))
        words = [verb, key, b"0", b"0", b"%d" % len(data)] + ([b"1"] if verb == b"cas" else [])
        fault = self.rng.randrange(8)
        if fault == 0:
            words[1] = key = self.odd_key()
        elif fault == 1:
            words[2] = self.rng.choice(FLAGS_ODD)
        elif fault == 2:
            words[3] = self.rng.choice(EXPTIMES_ODD)
        elif fault == 3:
            words[4] = self.rng.choice(LENGTHS_ODD)
            # The one that 1.6.18 takes for 1.
            data = data if words[4] != b"4294967297" else b"a"
        elif fault == 4 and verb == b"cas":
            words[5] = self.rng.choice(CAS_ODD)
        elif fault == 5 and verb == b"cas":
            del words[5]
        elif fault == 6:
            words += [self.rng.choice((b"noreply", b"foo", b"0")), self.rng.choice((b"noreply", b"foo", b"1"))]
        else:
            return self.misframed_storage(words, key)
        words = [word for word in words if word]
        if self.chance(20):
            words.append(b"noreply")
        return self.unit(words, (key,), data)

    def misframed_storage(self, words, key):
        announced = int(words[4])
        if self.chance(20):
            words.append(b"noreply")
        longer = self.rng.choice((-2, -1, 4, 8, 0, 1))
        if longer in (0, 1):
            # What is left of the block is a line too short to be one.
            return self.unit(words, (key,), self.letters(announced + longer + 2))
        data = self.letters(max(0, announced + longer))
        return self.misframed(words, key, data, announced)

    def missing_words(self, _now):
        words = self.rng.choice((
            [b"set"], [b"set", b"a"], [b"set", b"a", b"0"], [b"set", b"a", b"0", b"0"], [b"cas", b"a", b"0", b"0"], [b"add"],
            [b"get"], [b"gets"], [b"gat"], [b"gat", b"0"], [b"gats"], [b"gats", b"0"], [b"delete"], [b"touch"],
            [b"touch", b"k"], [b"incr"], [b"incr", b"k"], [b"decr"], [b"decr", b"k"], [b"mg"], [b"ms"], [b"md"], [b"ma"],
            [b"me"], [b"ms", b"k"], [b"set", b"a", b"noreply"], [b"touch", b"noreply"], [b"append", b"a", b"0", b"0"]))
        return self.unit(words)

    def extra_words(self, _now):
        key, number = self.rng.choice(self.keys.plain), self.counter()
        words = self.rng.choice((
            [b"touch", key, b"0", b"1", b"2"], [b"incr", number, b"1", b"2", b"3"], [b"decr", number, b"1", b"2"],
            [b"delete", key, b"5"], [b"delete", key, b"0", b"0"], [b"delete", key, b"noreply", b"x"], [b"delete", key, b"x"],
            [b"delete", key, b"5", b"noreply"], [b"touch", key, b"0", b"x"], [b"touch", key, b"0", b"1", b"noreply"],
            [b"incr", number, b"1", b"x", b"noreply"], [b"delete", b"noreply"], [b"get", key, b"noreply"],
            [b"delete", key, b"00"], [b"delete", key, b"-0"], [b"delete", key, b"0", b"x"]))
        return self.unit(words, (key, number, b"noreply"))

    def odd_numbers(self, _now):
        key, number = self.rng.choice(self.keys.plain), self.counter()
        words = self.rng.choice((
            [b"touch", key, self.rng.choice(EXPTIMES_ODD)], [b"gat", self.rng.choice(EXPTIMES_ODD), key],
            [b"gats", self.rng.choice(EXPTIMES_ODD), key],
            [self.rng.choice((b"incr", b"decr")), number, self.rng.choice(DELTAS_ODD)],
            [b"flush_all", self.rng.choice((b"x", b"1x", b"99999999999", b"4294967295000", b"+0", b"1.5"))],
            [b"verbosity", self.rng.choice((b"0x", b"+0", b"-1", b"4294967296"))]))
        words = [word for word in words if word]
        return self.unit(words + ([b"noreply"] if self.chance(15) else []), (key, number))

    def odd_keys(self, _now):
        key = self.odd_key()
        good = self.rng.choice(self.keys.plain)
        words = self.rng.choice((
            [b"get", key], [b"get", good, key], [b"gets", key, good], [b"gat", b"0", key], [b"gats", b"0", good, key],
            [b"delete", key], [b"touch", key, b"0"], [b"incr", key, b"1"], [b"decr", key, b"1", b"noreply"],
            [b"delete", key, b"noreply"]))
        return self.unit(words, (key, good))

    def unknown(self, _now):
        if self.chance(30):
            return Unit((self.rng.choice((b"", b"a", b"ab", b"abc", b" ", b"   ", b"\r", b"\x00", b"\xff", b"g", b"mn", b"get",
                                          b"mna", b"me")) + self.rng.choice((b"\n", b"\r\n", b"\r\n")),))
        if self.chance(20):
            key = self.rng.choice(self.keys.plain)
            return Unit((self.rng.choice((b" get %s\r\n", b"  delete %s\r\n", b" touch %s 0\r\n", b"   gets %s\r\n"))
                         % key,), (key,))
        if self.chance(10):
            return Unit((self.letters(self.rng.randrange(100, 1900)) + self.end(),))
        return self.unit([self.rng.choice(UNKNOWN)])

    def too_large(self, _now):
        """About the limit of 1 MiB: 48 of header, 8 of CAS, the key, a zero byte, 4 of client flags if any, CR LF."""
        key = self.rng.choice(self.keys.plain)
        verb = self.rng.choice((b"set", b"set", b"add", b"replace", b"append", b"prepend", b"cas"))
        flags = self.rng.choice((b"0", b"7"))
        fits = (1 << 20) - 48 - 8 - len(key) - 1 - (4 if flags == b"7" else 0) - 2
        data = b"v" * (fits + self.rng.choice((-1, 0, 1, 2, 70, 5000)))
        words = [verb, key, flags, b"0", b"%d" % len(data)] + ([b"1"] if verb == b"cas" else [])
        return self.unit(words + ([b"noreply"] if self.chance(20) else []), (key,), data)

    TABLE = (
        (0.340, storage), (0.530, retrieval), (0.590, get_and_touch), (0.630, touch), (0.690, delete), (0.776, arithmetic),
        (0.780, near_the_limit),
        (0.798, admin), (0.7985, counted), (0.800, flush), (0.850, odd_storage), (0.880, missing_words), (0.905, extra_words),
        (0.935, odd_numbers), (0.960, odd_keys), (0.9998, unknown), (1.0, too_large),
    )


def repair(keys):
    """Commands after which no server has any of the keys, whatever it thinks of them; their answers are not compared."""
    parts = []
    for key in keys:
        for form in {key, key.split(b"\x00")[0]}:
            if 0 < len(form) <= 186:
                parts.append(b"md %s b q\r\n" % base64.b64encode(form))
            elif len(form) <= 250 and form:
                parts.append(b"delete %s noreply\r\n" % form)
    return Unit((b"".join(parts),), is_repair=True) if parts else None
