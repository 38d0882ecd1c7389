"""The transcript language: what is sent, what must come back, and how the server's counters must have changed.

    # comment                     until the end of the line, at the start of a line only
    @flags -A -m 100              flags of the server of this transcript (at most once, first)
    @modes whole unix             only these ways of sending (default: all; see Mode)
    @fresh                        a server of its own, not one that earlier transcripts used
    @on NAME                      the following lines concern connection NAME, opened at first use
    @wait SECONDS                 time passes
    > text                        sent with CR LF                 >- text   sent as it is
    >eof                          the client ends its side
    < text                        a line that must come, with CR LF
    <- text                       exactly these bytes must come   <... text  skip lines up to this one
    <~ text                       a line that must come, with LF alone (dumps, logs)
    <silence                      nothing comes for a moment      <eof      the server has closed
    ? left OP right               compares two captured or literal numbers; OP is one of == != < <= > >=
    = name +N                     all command counters that changed since the last such group, by how much
    = nothing                     no command counter changed

`[18]`, `[45,rc]` or `[!18]` at the start of any line limits it to those dialects (see tap.parser).
In texts: \\r \\n \\t \\0 \\xHH \\\\ as in C; ${text*N} repeats; ${name} is a number, captured where it is first expected
and inserted from then on; in expected text ${#} is any number, ${#.#} a decimal one and ${*} anything.
A group of `=` lines names every change of the counters in COMMAND_COUNTERS: an unnamed change is a failure.
Times in the answers of the meta commands (t30, l0, exp=30, la=0) may have passed by a few seconds.
At the end every connection that is still open must answer `version` and have nothing else to say.
"""

import itertools
import operator
import re
import time

from harness import tap, wire

COMMAND_COUNTERS = (
    "cmd_get", "cmd_set", "cmd_flush", "cmd_touch", "get_hits", "get_misses",
    "delete_hits", "delete_misses", "incr_hits", "incr_misses", "decr_hits", "decr_misses", "cas_hits", "cas_misses",
    "cas_badval", "touch_hits", "touch_misses", "store_too_large", "store_no_memory",
)
# get_expired and get_flushed are checked only where a transcript names them: leftovers of earlier ones count there.
DIALECTS = ("18", "45", "rc")
MODES = ("whole", "bytes", "unix", "pipelined")
COMPARISONS = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
               ">": operator.gt, ">=": operator.ge}
ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
SCOPE = re.compile(r"^(?:\[(!?[\w,]+)\] ?)?(.*)$", re.DOTALL)
STEP = re.compile(r"^(>eof|>-|>|<eof|<silence|<\.\.\.|<-|<~|<|\?|=)(?: (.*))?$")
# Times of the meta commands; not t-1, which is no time, nor what is left of one already over.
SECONDS = re.compile(r"(?<= )(t|exp=-?|l|la=)(?=0 |0$|[1-9])(\d+)(?= |$)")
# A sanitized server on a busy machine.
SECONDS_LATE_MAX = 3
# Shorter than any test's patience, longer than a scheduling hiccup.
SILENCE_SECONDS = 0.15


class Mismatch(tap.Explained):
    """The server did something else than the transcript says."""


class BadTranscript(Exception):
    """The file itself is wrong."""


def unescape(text):
    """C escapes to the bytes they mean."""
    def replace(match):
        code = match.group(1)
        return chr(int(code[1:], 16)) if code[0] == "x" else ESCAPES[code]

    try:
        return re.sub(r"\\(x[0-9A-Fa-f]{2}|.)", replace, text).encode("latin-1")
    except KeyError as code:
        raise BadTranscript(f"unknown escape {code} in {text!r}") from None


def is_repetition(name):
    return "*" in name and name != "*"


def repeated(name):
    text, count = name.rsplit("*", 1)
    return unescape(text) * int(count)


def applies(scope, dialect, number):
    """Whether a line limited to `scope` (as `18`, `45,rc`, `!18`, or None) concerns this dialect."""
    if scope is None:
        return True
    named = scope.lstrip("!").split(",")
    if not set(named) <= set(DIALECTS):
        raise BadTranscript(f"line {number}: dialects are {DIALECTS}")
    return (dialect in named) != scope.startswith("!")


def as_seconds_pass(text):
    """An expected line, and what becomes of it when the server took its time: seconds left (t30, exp=30) get fewer, seconds
    since (l0, la=0) more."""
    for less, more in itertools.product(range(SECONDS_LATE_MAX + 1), repeat=2):
        def later(match, less=less, more=more):
            name, seconds = match.group(1), int(match.group(2))
            if name == "exp=-" and seconds == 1:  # no time at all
                return match.group(0)
            return name + str(seconds + more if name.startswith("l") else max(seconds - less, 0))

        yield SECONDS.sub(later, text)
        if not SECONDS.search(text):
            return


class Step:
    def __init__(self, number, mark, text):
        self.number = number
        self.mark = mark
        self.text = text

    def __str__(self):
        shown = self.text if len(self.text) < 120 else self.text[:117] + "..."
        return f"line {self.number}: {self.mark} {shown}"


class Transcript:
    """One file. Steps for other dialects are dropped while reading."""

    def __init__(self, path, dialect):
        self.name = path.stem
        self.flags = []
        self.modes = MODES
        self.fresh = False
        self.steps = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            scope, line = SCOPE.match(line).groups()
            if not applies(scope, dialect, number):
                continue
            if line.startswith("@"):
                self._directive(number, line)
            else:
                self._step(number, line)
        if not self.steps:
            raise BadTranscript(f"{path}: no steps for dialect {dialect}")

    def _directive(self, number, line):
        word, _, text = line[1:].partition(" ")
        if word == "flags":
            self.flags = text.split()
        elif word == "modes":
            self.modes = tuple(text.split())
            if not set(self.modes) <= set(MODES):
                raise BadTranscript(f"line {number}: modes are {MODES}")
        elif word == "fresh":
            self.fresh = True
        elif word in ("on", "wait"):
            self.steps.append(Step(number, "@" + word, text))
        else:
            raise BadTranscript(f"line {number}: unknown directive {line!r}")

    def _step(self, number, line):
        match = STEP.match(line)
        if not match:
            raise BadTranscript(f"line {number}: not understood: {line!r}")
        self.steps.append(Step(number, match.group(1), match.group(2) or ""))

    def can_pipeline(self):
        """Everything can be sent at once: no time, no second connection, nothing that depends on an answer."""
        plain = {">", ">-", "<", "<-", "="}
        captures = any(re.search(r"\$\{[a-z]\w*\}", step.text) for step in self.steps)
        return not captures and all(step.mark in plain for step in self.steps)


class Runner:
    """Plays one transcript against one server in one mode."""

    def __init__(self, transcript, server, mode):
        self.transcript = transcript
        self.server = server
        self.mode = mode
        self.values = {}
        self.connections = {}
        self.current = None
        self.unsent = b""
        self.baseline = {}

    def run(self):
        with self.server.connect() as control:
            self.control = control
            self._start()
            try:
                steps = self.transcript.steps
                self._play_pipelined(steps) if self.mode == "pipelined" else self._play(steps)
                self._probe_open_connections()
            finally:
                for connection in self.connections.values():
                    connection.close()

    def _start(self):
        # Earlier transcripts' keys are gone; what they counted is the baseline.
        if not self.transcript.fresh:
            self.control.request("flush_all")
        self._on("first")
        self.baseline = self.control.stats()

    def _on(self, name):
        if name not in self.connections:
            self.connections[name] = self.server.connect()
        self.current = self.connections[name]

    def _play(self, steps):
        index = 0
        while index < len(steps):
            step = steps[index]
            if step.mark == "=":
                group = [step]
                while index + 1 < len(steps) and steps[index + 1].mark == "=":
                    index += 1
                    group.append(steps[index])
                self._flush()
                self._check_counters(group)
            else:
                self._perform(step)
            index += 1
        self._flush()

    def _play_pipelined(self, steps):
        """All requests in one piece, then all answers, then the sum of all counter changes."""
        for step in steps:
            if step.mark in (">", ">-"):
                self._perform(step)
        self._flush()
        for step in steps:
            if step.mark in ("<", "<-"):
                self._perform(step)
        # The sum is known only where a transcript counts to its end.
        if steps[-1].mark == "=":
            self._check_counters([step for step in steps if step.mark == "="])

    def _perform(self, step):
        try:
            self._dispatch(step)
        except wire.Closed as closed:
            raise Mismatch(f"{step}\n{closed}") from None
        except TimeoutError:
            raise Mismatch(f"{step}\nno answer; received so far: {self.current._pending!r}") from None

    def _dispatch(self, step):
        if step.mark in (">", ">-"):
            self.unsent += self._bytes(step.text) + (b"\r\n" if step.mark == ">" else b"")
            return
        self._flush()
        if step.mark == "@on":
            self._on(step.text)
        elif step.mark == "@wait":
            time.sleep(float(step.text))
        elif step.mark == ">eof":
            self.current.send_end()
        elif step.mark == "<":
            self._expect(step, self.current.line())
        elif step.mark == "<~":
            self._expect(step, self.current.bare_line())
        elif step.mark == "<-":
            expected = self._bytes(step.text)
            self._require(step, self.current.take(len(expected)), expected)
        elif step.mark == "<...":
            self._skip_to(step)
        elif step.mark == "<silence":
            self._require(step, self.current.silent_for(SILENCE_SECONDS), b"")
        elif step.mark == "<eof":
            self._require(step, self.current.rest(), b"")
            self._forget_current()
        elif step.mark == "?":
            self._compare(step)

    def _forget_current(self):
        self.current.close()
        self.connections = {name: value for name, value in self.connections.items() if value is not self.current}

    def _flush(self):
        """Consecutive sent lines leave together, or byte by byte."""
        data, self.unsent = self.unsent, b""
        if not data:
            return
        try:
            if self.mode == "bytes":
                # Long data in larger odd pieces, so that a transcript takes tenths of a second, not minutes.
                self.current.send_slowly(data, 1 if len(data) <= 1000 else 89)
            else:
                self.current.send(data)
        except OSError:
            # The server may close before everything was sent; the next expectation says whether it should have.
            pass

    def _bytes(self, text):
        """Literal bytes of a text: repetitions, captured values and escapes resolved."""
        result = b""
        position = 0
        for match in PLACEHOLDER.finditer(text):
            result += unescape(text[position:match.start()])
            name = match.group(1)
            if is_repetition(name):
                result += repeated(name)
            elif name in self.values:
                result += str(self.values[name]).encode()
            else:
                raise BadTranscript(f"{name!r} was not captured before")
            position = match.end()
        return result + unescape(text[position:])

    def _pattern(self, text):
        """The regular expression of an expected line, and the names it captures."""
        pattern, names, position = b"", [], 0
        for match in PLACEHOLDER.finditer(text):
            pattern += re.escape(unescape(text[position:match.start()]))
            name = match.group(1)
            if name == "#":
                pattern += rb"-?\d+"
            elif name == "#.#":
                pattern += rb"\d+\.\d+"
            elif name == "*":
                pattern += rb".*"
            elif is_repetition(name):
                pattern += re.escape(repeated(name))
            elif name in self.values:
                pattern += re.escape(str(self.values[name]).encode())
            else:
                pattern += rb"(\d+)"
                names.append(name)
            position = match.end()
        return re.compile(pattern + re.escape(unescape(text[position:])), re.DOTALL), names

    def _expect(self, step, line):
        if not self._matches(step.text, line):
            raise Mismatch(f"{step}\nreceived {line[:400]!r}")

    def _matches(self, text, line):
        """Whether the line is as expected; captures what the text names."""
        match, names = None, ()
        for later in as_seconds_pass(text):
            pattern, names = self._pattern(later)
            match = pattern.fullmatch(line)
            if match:
                break
        if match:
            self.values.update((name, int(value)) for name, value in zip(names, match.groups()))
        return match is not None

    def _skip_to(self, step):
        skipped = []
        while True:
            line = self.current.line()
            if self._matches(step.text, line):
                return
            skipped.append(line.decode(errors="replace"))
            if line == b"END":
                raise Mismatch(f"{step}\nthe answer ended without that line; it was:\n" + "\n".join(skipped))

    @staticmethod
    def _require(step, received, expected):
        if received != expected:
            raise Mismatch(f"{step}\nreceived {received[:400]!r}\nexpected {expected[:400]!r}")

    def _compare(self, step):
        left, sign, right = (self.values.get(word, word) for word in step.text.split())
        if not COMPARISONS[sign](int(left), int(right)):
            raise Mismatch(f"{step}\nbut it is {left} and {right}")

    def _check_counters(self, group):
        expected = {}
        for step in group:
            if step.text == "nothing":
                continue
            for name, change in re.findall(r"(\w+) \+(\d+)", step.text):
                expected[name] = expected.get(name, 0) + int(change)
        now = self.control.stats()
        watched = set(COMMAND_COUNTERS) | set(expected)
        missing = sorted(name for name in watched if name not in now)
        if missing:
            raise Mismatch(f"{group[0]}\n`stats` has no {', '.join(missing)}")
        changed = {name: int(now[name]) - int(self.baseline[name]) for name in watched}
        wrong = [f"{name} changed by {changed[name]} instead of {expected.get(name, 0)}"
                 for name in sorted(watched) if changed[name] != expected.get(name, 0)]
        if wrong:
            raise Mismatch(f"{group[0]}\n" + "\n".join(wrong))
        self.baseline = now

    def _probe_open_connections(self):
        for name, connection in self.connections.items():
            try:
                connection.send(b"version\r\n")
                line = connection.line()
            except (OSError, wire.Closed) as error:
                raise Mismatch(f"end of transcript: connection {name} is not usable: {error!r}") from None
            if not line.startswith(b"VERSION "):
                raise Mismatch(f"end of transcript: connection {name} still had {line!r} to say")
