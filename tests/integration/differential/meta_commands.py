"""Random meta commands: every flag in any order, with good and bad arguments (specification 6)."""

import base64

from differential import classic_commands
from differential.unit import Cas

TTLS = (b"0", b"-1", b"100", b"1000", b"30000", b"2592000")
# Between the times to live, so that a second more or less decides nothing.
RECACHE = (b"0", b"-1", b"50", b"150", b"1550", b"100000")
NUMBERS_ODD = (b"", b"x", b"1x", b"-", b"+5", b"99999999999", b"18446744073709551616", b"99999999999999999999999", b"1.5")
SILENT_LETTERS = b"PL"
ALL_LETTERS = b"bcfhklqstuvxCDEFIJLMNOPRT"
INVALID_FLAGS = (b"z", b"Z", b"noreply", b"!", b"0", b"9", b"S100", b"~", b"\xff", b"\x01", b"[", b"a", b"-1", b"G", b"\x80a")
MODES_SET = (b"S", b"E", b"A", b"P", b"R")
MODES_ARITHMETIC = (b"I", b"+", b"D", b"-")
MODES_ODD = (b"", b"s", b"e", b"a", b"x", b"SS", b"EX", b"i", b"II", b"+1", b"\xff")


class Meta(classic_commands.Generator):
    def opaque(self):
        # 1.6.18 does not count a store whose opaque is too long.
        if self.chance(3) and not self.clean:
            return b"O" + b"o" * self.rng.choice((32, 33, 40))
        return b"O" + self.letters(self.rng.choice((0, 1, 3, 31)))

    def cas_flag(self, letter, key):
        pick = self.rng.random()
        if pick < 0.65:
            return [letter, Cas(key)]
        if pick < 0.85:
            return [letter, Cas(key, self.rng.choice(classic_commands.CAS_OFFSETS))]
        return [letter, self.rng.choice(classic_commands.CAS_LITERALS)]

    def argument(self, letter, key, verb):
        """The flag with a fitting argument, as parts."""
        if letter in b"TN":
            return [bytes([letter]), self.rng.choice(TTLS)]
        if letter == ord("R"):
            return [b"R", self.rng.choice(RECACHE)]
        if letter == ord("C"):
            return self.cas_flag(b"C", key)
        if letter == ord("E"):
            return [b"E", b"%d" % (10 ** 12 + self.rng.randrange(10 ** 6))]
        if letter == ord("D"):
            return [b"D", self.rng.choice(classic_commands.DELTAS_VALID)]
        if letter == ord("J"):
            return [b"J", self.rng.choice((b"0", b"1", b"10", b"99"))]
        if letter == ord("F"):
            return [b"F", self.rng.choice(classic_commands.FLAGS_VALID)]
        if letter == ord("O"):
            return [self.opaque()]
        if letter == ord("M"):
            return [b"M", self.rng.choice(MODES_SET if verb == b"ms" else MODES_ARITHMETIC)]
        if letter in SILENT_LETTERS:
            return [bytes([letter]), self.letters(self.rng.choice((0, 3)))]
        return [bytes([letter])] + ([b"arg"] if self.chance(1) and letter != ord("b") else [])

    def flags(self, verb, key, letters, counter):
        """Flags as lists of parts: mostly what the command knows, at times any letter."""
        count = self.rng.choice((0, 1, 2, 3, 4, 6))
        chosen = self.rng.sample(letters, min(count, len(letters)))
        if self.chance(6):
            chosen.append(self.rng.choice(ALL_LETTERS.replace(b"b", b"")))
            chosen = list(dict.fromkeys(chosen))
        if counter:
            # Whether an item that was replaced counts as fetched is each server's own business.
            chosen = [letter for letter in chosen if letter != ord("h")]
        if counter and not self.strict:
            # Replaced or padded in place: sizes and marks differ between servers, and with the state of the output.
            chosen = [letter for letter in chosen if letter not in b"sINRx"]
        if key in self.keys.encoded:
            chosen = [letter for letter in chosen if letter not in b"xM"]
        return [self.argument(letter, key, verb) for letter in chosen]

    def spoil(self, flags, verb):
        """At most one fault in the flags."""
        kind = self.rng.randrange(5)
        if kind == 0 and flags:
            flags.append(list(self.rng.choice(flags)))
        elif kind == 1:
            flags.append([self.rng.choice(INVALID_FLAGS)])
        elif kind == 2:
            letter = self.rng.choice((b"T", b"N", b"R", b"C", b"E", b"D", b"J", b"F"))
            flags[:] = [flag for flag in flags if flag[0] != letter] + [[letter, self.rng.choice(NUMBERS_ODD)]]
        elif kind == 3:
            flags[:] = [flag for flag in flags if flag[0] != b"M"] + [[b"M", self.rng.choice(MODES_ODD)]]
        else:
            flags.extend([[b"k%d" % number] for number in range(self.rng.choice((2, 18, 25)))])
        self.rng.shuffle(flags)
        return verb

    def assembled(self, verb, key, flags, data=None, announced=None, raw_key=None):
        words = [[verb], [raw_key or key]] + ([[announced]] if announced is not None else []) + flags
        parts = []
        for number, word in enumerate(words):
            if number:
                parts.append(b" " if self.rng.random() > 0.01 else b"  ")
            parts.extend(word)
        parts.append(self.end())
        if data is not None:
            parts.append(data + b"\r\n")
        return classic_commands.Unit(classic_commands.joined(parts), (key,))

    def encoded(self, verb, key, flags):
        """Now and then the key in base64, with the flag that says so."""
        if key in self.keys.encoded and self.chance(60) or key in self.keys.counters and verb == b"ma" and self.chance(10):
            flags.insert(self.rng.randrange(len(flags) + 1), [b"b"])
            return base64.b64encode(key)
        return key

    def meta_key(self):
        return self.rng.choice(self.keys.encoded) if self.chance(20) else self.key()

    def plain(self, verb, letters, now):
        del now
        counter = self.chance(20)
        key = self.rng.choice(self.keys.counters) if counter else self.meta_key()
        flags = self.flags(verb, key, letters, counter)
        spoiled = self.chance(5)
        if spoiled:
            self.spoil(flags, verb)
        raw = self.encoded(verb, key, flags)
        return self.assembled(verb, key, flags, raw_key=raw)

    def get(self, now):
        return self.plain(b"mg", b"vvkstcfhlOqTuNRTRNEC", now)

    def delete(self, now):
        return self.plain(b"md", b"kOqCITxEF", now)

    def set(self, _now):
        counter = self.chance(20)
        key, number = self.stored_number() if counter else (self.meta_key(), None)
        flags = self.flags(b"ms", key, b"kOqcsFTCEIMMMNb"[:-1], counter)
        if counter and not self.strict:
            # No append to a number.
            flags = [[b"M", self.rng.choice((b"S", b"E", b"R"))] if flag[0] == b"M" else flag for flag in flags]
        spoiled = self.chance(6)
        if spoiled:
            self.spoil(flags, b"ms")
        if spoiled:
            data = self.letters(self.rng.choice((2, 3, 9)))
        else:
            data = number if counter else self.value()
        raw = self.encoded(b"ms", key, flags)
        announced = b"%d" % len(data)
        if self.chance(1.5):
            data = self.letters(2)
            announced = self.rng.choice((b"x", b"-1", b"+2", b"2x", b"4294967297", b"2147483647", b"S2", b"T100"))
            data = b"a" if announced == b"4294967297" else data
        elif not spoiled and self.chance(1):
            size = self.rng.choice((2, 5, 9))
            data = self.letters(max(0, size + self.rng.choice((-2, -1, 4, 6))))
            return self.misframed([b"ms", key, b"%d" % size] + [b"".join(
                part for part in flag if isinstance(part, bytes)) for flag in flags if flag[0] in (b"q", b"k", b"c")],
                                  key, data, size)
        return self.assembled(b"ms", key, flags, data, announced, raw)

    def arithmetic(self, _now):
        key = self.counter()
        flags = self.flags(b"ma", key, b"MNJDTvtckOqCE", False)
        if self.chance(5):
            self.spoil(flags, b"ma")
        raw = self.encoded(b"ma", key, flags)
        return self.assembled(b"ma", key, flags, raw_key=raw)

    def debug(self, _now):
        key = self.key()
        if self.chance(15) and len(key) <= 186:
            return self.unit([b"me", base64.b64encode(key), b"b"] + ([b"x"] if self.chance(30) else []))
        return self.unit([b"me", key] + ([b"x"] if self.chance(3) else []))

    def odd_keys(self, _now):
        good = self.rng.choice(self.keys.plain)
        key = self.odd_key()
        if self.chance(10):
            return self.unit([b"ms", key, b"4", b"T0"], (key,), self.letters(4))
        words = self.rng.choice((
            [b"mg", key, b"v"], [b"md", key], [b"ma", key], [b"me", key], [b"mg", b"!!", b"b"], [b"mg", b"Zm9", b"b", b"v"],
            [b"md", b"Zm9vY", b"b"], [b"ma", b"===", b"b"], [b"mg", good, b"b"], [b"mg", b"Zm9v=", b"b", b"k"],
            [b"mg", b"Zm 9v", b"b"], [b"mg", key, b"v", b"v"], [b"md", key, b"q"], [b"ma", key, b"z"]))
        return self.unit(words, (key, good))

    def no_operation(self, _now):
        return self.unit([b"mn"] + ([b"x"] if self.chance(10) else []))

    def too_large(self, _now):
        key = self.rng.choice(self.keys.plain)
        fits = (1 << 20) - 48 - 8 - len(key) - 1 - 2
        data = b"v" * (fits + self.rng.choice((0, 1, 4000)))
        flags = [[b"M", self.rng.choice(MODES_SET)]] + ([[b"q"]] if self.chance(30) else [])
        return self.assembled(b"ms", key, flags, data, b"%d" % len(data))

    TABLE = ((0.40, get), (0.70, set), (0.80, delete), (0.90, arithmetic), (0.93, debug), (0.97, odd_keys),
             (0.9998, no_operation), (1.0, too_large))
